"""A ball flies through pictures: convolutions of lava-dl and a CfC behind them, as one program.

    python examples/10_convolutional_front_end.py           # the shipped files; less than a minute
    python examples/10_convolutional_front_end.py --train   # trains both anew with lava-dl; minutes

The pictures are rendered from a seed. lava-dl's sigma-delta convolutions say where the ball is, one
picture by itself; a CfC tells from their answers how fast it flies, and where it is while it is
hidden. Both become integers and one program, which is verified on every executor that is there,
placed, and costed. Needs h5py; --train needs PyTorch, ncps and lava-dl as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import console, options, positive, run, say
from numpy.lib.stride_tricks import sliding_window_view

import lnn2loihi as l2l
from lnn2loihi.converters.lavadl.file import read_net
from lnn2loihi.models import moving_ball
from lnn2loihi.models.moving_ball import data, train
from lnn2loihi.models.training import complaints
from lnn2loihi.tables import text_table

#: Pictures of a sequence; from which one on errors count, since speed shows in several only.
TIME, FIRST = 48, 8
CALIBRATION_SEED, TEST_SEED = 3_000_000, 4_000_000
DEVICE = "loihi2-oheo-gulch"
#: Costs are those at full speed: placed for it, a new picture every chip step.
OBJECTIVE, MODE = "fast", "pipelined"
#: What a weight or a bias of 1.0 is in a file of lava-dl.
ONE = 1 << 6


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--train", action="store_true", help="train instead of the shipped files")
    parser.add_argument("--seed", type=int, default=1, help="of the training")
    parser.add_argument("--recipe", default="w8a12", help="of the core")
    parser.add_argument("--sequences", type=positive, default=256, help="test sequences")
    parser.add_argument("--executors", default="all", help="what verify compares, with commas")
    parser.add_argument("--verified", type=positive, default=24, help="pictures that it runs")
    given = parser.parse_args()
    if given.quick:
        given.sequences, given.verified = min(given.sequences, 24), min(given.verified, 2)
    return given


def float_front(path: Path, pictures: np.ndarray) -> np.ndarray:
    """What the front's weights answer without thresholds, rounding and limits: a network of ReLU.

    Args:
        path: of the front, as lava-dl exported it.
        pictures: (count, time, pixels).
    """
    values = pictures.reshape(*pictures.shape[:2], 1, data.SIZE, data.SIZE).astype(np.float64)
    for layer in read_net(path).layers:
        if layer.weight is None:
            continue
        weight = layer.weight / ONE
        if layer.kind == "conv":
            down, across = layer.stride
            over: Any = (-2, -1)
            windows = sliding_window_view(values, weight.shape[2:], axis=over)
            windows = windows[..., ::down, ::across, :, :]
            values = np.einsum("...cyxij,ocij->...oyx", windows, weight, optimize=True)
        else:
            values = values.reshape(*pictures.shape[:2], -1) @ weight.T
        if layer.bias is not None:
            values = values + layer.bias.reshape(values.shape[2:]) / ONE
        values = values if layer.sigma else np.maximum(values, 0.0)
    return values


def errors(answers: np.ndarray, drawn: data.Flights) -> tuple[float, float, float]:
    """Errors while the ball is seen, while it is hidden, and of its speed."""
    counts = np.broadcast_to(np.arange(TIME) >= FIRST, drawn.seen.shape)
    seen, _ = data.errors(answers, drawn.truth, counts & drawn.seen)
    hidden, _ = data.errors(answers, drawn.truth, counts & ~drawn.seen)
    _, speed = data.errors(answers, drawn.truth, counts)
    return seen, hidden, speed


def with_speed_zero(answers: np.ndarray) -> np.ndarray:
    """What the front alone tells: where the ball is, and nothing of its speed."""
    return np.concatenate([answers[..., :2], np.zeros_like(answers[..., :2])], axis=-1)


def told(found: dict[str, tuple[float, float, float]]) -> str:
    """What the errors say, in sentences."""
    integers, floats = found["one program of integers"], found["front and core in float"]
    alone, nothing = found["front alone, integers"], found["always the middle, at rest"]
    return (
        f"While the ball is hidden, the one program of integers is {integers[1]:.2f} pixels off, "
        f"and the front alone, which sees one picture at a time, {alone[1]:.2f}; whoever always "
        f"says the middle is {nothing[1]:.2f} off. In float, without the thresholds and the "
        f"rounding of the front, it is {floats[1]:.2f}."
    )


def saturated(result: l2l.SimulationResult) -> str:
    """What saturated where, and how often."""
    found = {"pixels": result.saturated_inputs}
    for population, words in (result.saturated_words or {}).items():
        found |= {f"{population}.{word}": int(counts.sum()) for word, counts in words.items()}
    return ", ".join(f"{name} {count:,}" for name, count in found.items() if count) or "nothing"


def cost_row(name: str, program: l2l.LoihiProgram, x: np.ndarray) -> tuple[object, ...]:
    """Size, cores, and the cost of a picture, an estimate."""
    counters = l2l.simulate(program, x).counters
    placement = l2l.place(program, DEVICE, objective=OBJECTIVE, counters=counters)
    found = l2l.estimate(l2l.workload(placement, counters), DEVICE, mode=MODE)
    energy = found.energy["total_full_chip"]
    return (
        name, program.neurons, program.synapses, found.cores, program.latency_steps,
        str(found.sample_time), str(found.latency), str(energy),
    )  # fmt: skip


def main() -> None:
    """Trains if asked to, converts, joins, verifies, evaluates, places, costs."""
    arguments = parsed()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.train:
        with complaints(console, "torch", "ncps", "lava-dl"):
            train.train(arguments.out, arguments.seed, console)
    folder = arguments.out if arguments.train else moving_ball.FOLDER
    front = l2l.import_program(folder / "front.net")
    network = l2l.import_network(folder / "network.toml")
    typical = data.flights(arguments.sequences, TIME, CALIBRATION_SEED)
    heard = l2l.simulate(front, typical.pictures).outputs
    core = l2l.quantize(network, calibrate=heard, recipe=arguments.recipe)
    both = l2l.join(front, core, name="moving_ball")
    l2l.save(both, arguments.out / "moving_ball.l2l")
    say(both)

    drawn = data.flights(arguments.sequences, TIME, TEST_SEED)
    names = arguments.executors
    chosen = names if names == "all" else tuple(names.split(","))
    verified = l2l.verify(both, drawn.pictures[:1, : arguments.verified], chosen)
    say(verified.summary().partition("\n\n")[0])
    if not verified.bit_exact:
        raise SystemExit(2)

    apart = l2l.simulate(front, drawn.pictures).outputs
    ideal = float_front(folder / "front.net", drawn.pictures)
    joined = l2l.simulate(both, drawn.pictures)
    same = np.array_equal(joined.integers, l2l.simulate(core, apart).integers)
    say(f"one program and two, one after the other: {'equal' if same else 'NOT EQUAL'}")
    if not same:
        raise SystemExit(2)
    found = {
        "always the middle, at rest": errors(np.zeros_like(drawn.truth), drawn),
        "front alone, integers": errors(with_speed_zero(apart), drawn),
        "front and core in float": errors(network.evaluate(ideal).outputs, drawn),
        "front in integers, core in float": errors(network.evaluate(apart).outputs, drawn),
        "one program of integers": errors(joined.outputs, drawn),
    }
    headers = (
        f"root mean square error, {arguments.sequences} sequences", "place, seen (pixels)",
        "place, hidden (pixels)", "speed (pixels a picture)",
    )  # fmt: skip
    rows = [(name, *(f"{value:.3f}" for value in values)) for name, values in found.items()]
    say(text_table(headers, rows))
    say(told(found))
    say(f"saturated: {saturated(joined)}")

    few = drawn.pictures[:8]
    costs = [
        cost_row("front", front, few),
        cost_row("core", core, apart[:8]),
        cost_row("one program", both, few),
    ]
    headers = (
        f"on {DEVICE}, {OBJECTIVE}, {MODE}: estimates", "neurons", "synapses", "cores",
        "steps to the answer", "time a picture", "latency", "energy a picture",
    )  # fmt: skip
    say(text_table(headers, costs))
    say(f"written: {arguments.out / 'moving_ball.l2l'}")


if __name__ == "__main__":
    run(main)
