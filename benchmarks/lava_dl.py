"""Compares imported `.net` files with netx in Lava's simulator, layer by layer, and times both.

    python benchmarks/lava_dl.py                        # 20 random networks of each kind
    python benchmarks/lava_dl.py mnist.net oxford.net   # files
    python benchmarks/lava_dl.py pilotnet_sdnn.net --crop 35 43     # the convolutions of a part
    python benchmarks/lava_dl.py pilotnet_sdnn.net --samples 12     # whole: minutes
    python benchmarks/lava_dl.py --record tests/lavadl_answers.zip

Needs h5py, and lava-dl 0.6.0, which is installed on Python 3.11 with
`pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0` beside torch,
matplotlib, scipy, networkx, asteval and numpy below 2. Times are wall times of one run; netx does
one sequence at a time, and so `one` is the time of one sequence too, `batch` of 64 together; of our
engine's calls the median.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from lavadl_nets import KINDS, network, samples, written

import lnn2loihi as l2l

#: Sequences of a batch, samples of a sequence.
BATCH, TIME = 64, 200
#: Calls of our engine, of which the median is taken.
CALLS = 9
#: Networks of more neurons run in batches of 8.
LARGEST_BATCHED = 1 << 16
#: Networks of each kind that are recorded for the tests, and their samples.
RECORDED, RECORDED_TIME = (
    {
        "cuba": 8,
        "sigma_delta": 6,
        "convolutions": 2,
        "spiking_convolutions": 2,
    },
    60,
)
#: Shares of inputs that spike, and largest input of images, in 1/64.
DENSITIES, BRIGHTEST = (0.02, 0.1, 0.3), 64


def import_netx() -> Any:
    """Netx; what lava-dl imports of torchvision and OpenCV is left out."""
    from lnn2loihi.models.lava_dl import import_lava_dl

    import_lava_dl()
    from lava.lib.dl import netx

    return netx


def netx_answers(
    path: Path, x: np.ndarray, shape: tuple[int, ...], sigma_delta: bool
) -> tuple[list[np.ndarray], float]:
    """What each layer with weights sends in each chip step, and the seconds of the run."""
    netx = import_netx()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io import sink, source
    from lava.proc.sdn.process import Delta

    options: dict[str, Any] = {"skip_layers": 1, "input_message_bits": 16} if sigma_delta else {}
    net = netx.hdf5.Network(net_config=str(path), **options)
    data = np.moveaxis(x.reshape(len(x), *shape), 0, -1)
    data = data.transpose(*range(len(shape))[::-1], len(shape)).astype(np.int32).copy()
    begin = source.RingBuffer(data=data)
    if sigma_delta:
        import h5py

        with h5py.File(path) as opened:
            file: Any = opened
            threshold = int(file["layer/0/neuron/vThMant"][()])
        encoder = Delta(shape=net.inp.shape, vth=threshold, spike_exp=6, state_exp=6)
        begin.s_out.connect(encoder.a_in)
        encoder.s_out.connect(net.inp)
    else:
        begin.s_out.connect(net.inp)
    ends = [sink.RingBuffer(shape=layer.out.shape, buffer=len(x)) for layer in net.layers]
    for layer, end in zip(net.layers, ends, strict=True):
        layer.neuron.s_out.connect(end.a_in)
    start = time.perf_counter()
    try:
        net.run(RunSteps(num_steps=len(x)), Loihi2SimCfg(select_tag="fixed_pt"))
        found = [np.array(end.data.get()).astype(np.int64) for end in ends]
        took = time.perf_counter() - start
    finally:
        net.stop()
    return [
        one.transpose(*range(one.ndim)[::-1]).reshape(len(x), -1) for one in found
    ], took  # WHCT to TCHW


def compared(path: Path, x: np.ndarray, shape: tuple[int, ...]) -> tuple[str, int, list[Any]]:
    """A line of what was found, how many values differ, and netx's answers."""
    program = l2l.import_program(path)
    sigma_delta = program.populations[0].name.startswith("encoder")
    depth = len(program.populations)
    padded = np.concatenate([x, np.repeat(x[-1:], depth, axis=0)])
    answers, took = netx_answers(path, padded, shape, sigma_delta)
    given = x[None] / (64.0 if sigma_delta else 1.0)
    result = l2l.simulate(program, given, return_states=True)
    assert result.states is not None and result.saturated_words is not None
    wrong = compared_values = sent = 0
    for place, population in enumerate(program.populations[sigma_delta:], start=1):
        right = answers[place - 1][place : place + len(x)]
        own = result.integers if population.name == program.output else None
        if own is None:
            own = result.states[population.name]["message"]
        wrong += int(np.count_nonzero(own[0] != right))
        compared_values += right.size
        sent += int(np.count_nonzero(right))
    lost = sum(int(np.sum(n)) for words in result.saturated_words.values() for n in words.values())
    step = took / len(padded)
    times = []
    copies = BATCH if program.neurons < LARGEST_BATCHED else 8
    for batch in (given, np.repeat(given, copies, axis=0)):
        calls = []
        for _ in range(CALLS):
            start = time.perf_counter()
            l2l.simulate(program, batch, "c")
            calls.append(time.perf_counter() - start)
        times.append(statistics.median(calls) / batch.shape[0] / len(x))
    text = (
        f"{path.name}: {wrong} of {compared_values:,} differ ({sent:,} are not zero), "
        f"{lost} saturated; netx "
        f"{1e3 * step:.2f} ms a step, "
        f"C one {1e6 * times[0]:.2f} us ({step / times[0]:,.0f} times), "
        f"batch {1e6 * times[1]:.2f} us ({step / times[1]:,.0f} times)"
    )
    return text, wrong, answers


def cropped(path: Path, folder: Path, height: int, width: int) -> Path:
    """The encoder and the convolutions of a file, for a part of its image: those that have room."""
    import h5py

    target = folder / f"{path.stem}_{height}_{width}.net"
    with h5py.File(path) as opened, h5py.File(target, "w") as file:
        source: Any = opened
        shape = (int(source["layer/0/shape"][0]), height, width)
        for number in range(len(source["layer"])):
            layer = source[f"layer/{number}"]
            if number:
                if "stride" not in layer:
                    break
                weight, stride, padding, dilation = (
                    np.broadcast_to(layer[key][()] if key != "weight" else layer[key].shape[2:4], 2)
                    for key in ("weight", "stride", "padding", "dilation")
                )
                lengths = np.array(shape[1:]) + 2 * padding - dilation * (weight - 1) - 1
                if lengths.min() < 0:
                    break
                down, across = lengths // stride + 1
                shape = (int(layer["weight"].shape[0]), int(down), int(across))
            source.copy(layer, file.require_group("layer"), str(number))
            made: Any = file[f"layer/{number}/shape"]
            made[...] = np.array(shape)
    return target


def sent_to(path: Path, time: int) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """What a file is sent, and the shape of each sample: spikes, or images in which a fifth of the
    pixels changes from one to the next.
    """
    import h5py

    random = np.random.default_rng(0)
    program = l2l.import_program(path)
    shape: tuple[int, ...] = (program.channels,)
    with h5py.File(path) as opened:
        file: Any = opened
        if "weight" not in file["layer/0"]:
            shape = tuple(int(n) for n in file["layer/0/shape"][()])
    if not program.populations[0].name.startswith("encoder"):
        spikes = (random.random((time, program.channels)) < share for share in DENSITIES)
        return [(x.astype(np.int64), shape) for x in spikes]
    first = random.integers(0, BRIGHTEST, program.channels)
    changing = random.random((time, program.channels)) < 0.2
    walk = np.cumsum(changing * random.integers(-3, 4, changing.shape), axis=0)
    return [((first + walk).clip(0, BRIGHTEST), shape)]


def record(target: Path, folder: Path) -> None:
    """Networks, what is sent and what each layer of netx answers, for `tests/test_lavadl.py`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind, count in RECORDED.items():
            for seed in range(count):
                content, shape, random = network(kind, seed)
                x = samples(kind, random, RECORDED_TIME, int(np.prod(shape)))
                path = written(folder, content, f"{kind}_{seed}")
                text, _, answers = compared(path, x, shape)
                print(text, flush=True)
                archive.writestr(path.name, content)
                arrays = {f"layer_{n}": one.astype(np.int32) for n, one in enumerate(answers)}
                made = io.BytesIO()
                np.savez_compressed(made, x=x.astype(np.int16), **arrays)
                archive.writestr(f"{kind}_{seed}.npz", made.getvalue())


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--networks", type=int, default=20, help="random ones of each kind")
    parser.add_argument("--samples", type=int, default=TIME, help="of a sequence")
    parser.add_argument("--crop", type=int, nargs=2, help="height and width of a part of an image")
    parser.add_argument("--record", type=Path, help="write the answers for the tests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.record:
            record(options.record, folder)
            return
        total = 0
        for path in options.files:
            if options.crop:
                path = cropped(path, folder, *options.crop)
            for x, shape in sent_to(path, options.samples):
                text, wrong, _ = compared(path, x, shape)
                total += wrong
                print(text, flush=True)
        for kind in () if options.files else KINDS:
            for seed in range(options.networks):
                content, shape, random = network(kind, seed)
                x = samples(kind, random, options.samples, int(np.prod(shape)))
                text, wrong, _ = compared(written(folder, content, f"{kind}_{seed}"), x, shape)
                total += wrong
                print(text, flush=True)
        print(f"{total} values differ in all")


if __name__ == "__main__":
    main()
