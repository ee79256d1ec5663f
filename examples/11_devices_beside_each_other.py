"""One network on Loihi 2, this computer and micro-controllers: who needs least, at which rate.

    python examples/11_devices_beside_each_other.py          # a minute or two of a processor
    python examples/11_devices_beside_each_other.py --rate 1000

The network that swings up a pendulum (models/pendulum), which needs 25 answers a second. What Loihi
2 and micro-controllers take is estimated from counts of this network's own messages and operations;
what this computer takes is measured, and its energy too where it has a counter, otherwise bounded
by data sheets. A GPU is measured where there is one. The example prints the verdict, a table over
rates, and where the winner changes; it writes the profile, a page, and, with matplotlib, a figure.
Nothing here has run on silicon, and input and output of the chip are not counted.
"""

from __future__ import annotations

import argparse
import math
from importlib.util import find_spec
from pathlib import Path

from common import options, run, say

import lnn2loihi as l2l
from lnn2loihi.devices import with_prefix
from lnn2loihi.models import pendulum
from lnn2loihi.profiling import Frontier
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.frontier import EnergyCurve
from lnn2loihi.tables import text_table

CHIP = "loihi2-oheo-gulch"
#: Micro-controllers that have a column of their own; the cheapest of all that are known joins them.
CONTROLLERS = ("mcu-stm32u385", "mcu-gap9")
CALIBRATION_SEED, SEED = 3_000_000, 4_000_000


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--rate", type=float, default=25.0, help="samples a second of the task")
    parser.add_argument(
        "--against", default="cpu,cuda", help="what is measured here, with commas; or none"
    )
    return parser.parse_args()


def shown(frontier: Frontier) -> list[EnergyCurve]:
    """Curves that have a column: the chip, who is named or wins somewhere, and what ran here."""
    row = frontier.rows[0]
    wanted = {*frontier.named, *row.winners}
    return [c for c in row.curves if c.label in wanted or c.kind != "mcu"]


def rates_table(frontier: Frontier) -> str:
    """Energy of a sample at some rates, and whose is least."""
    row, curves = frontier.rows[0], shown(frontier)
    lines = []
    for k in range(0, len(frontier.rates), 4):
        rate = frontier.rates[k]
        # A device that is too slow has no energy at that rate.
        cells = ["too slow" if rate > c.fastest else str(c.energies[k]) for c in curves]
        lines.append(
            (with_prefix(rate, "Hz"), *cells, row.winners[k] or "nobody whose energy is known")
        )
    heads = [f"{c.label.split(' (')[0]}, {c.tier}" for c in curves]
    return text_table(("rate", *heads, "least energy"), lines)


def quickest(row: l2l.ProfileRow) -> float:
    """The time to an answer, for the least of several."""
    return math.inf if row.latency is None or row.latency.value is None else row.latency.value


def thriftiest(row: l2l.ProfileRow) -> float:
    """The energy of a sample, for the least of several."""
    energy = row.total_energy
    return math.inf if energy is None or energy.value is None else energy.value


def watts(result: l2l.ProfileResult, rate: float) -> str:
    """The power of each device at the rate of the task, in words."""
    said = []
    for kind, where in (("loihi", "the chip"), ("mcu", "a micro-controller"), ("cpu", "this CPU"),
                        ("gpu", "this GPU")):  # fmt: skip
        rows = [
            row for row in result.rows
            if row.kind == kind and row.rate == rate and row.mode != "sequence"
            and row.total_energy is not None
        ]  # fmt: skip
        if rows:
            best = min(rows, key=quickest if kind in ("cpu", "gpu") else thriftiest)
            energy = best.total_energy
            assert energy is not None
            low, high = (with_prefix(value * rate, "W") for value in (energy.low, energy.high))
            said.append(f"{where} {low} to {high} ({best.label}; {best.tiers})")
    return f"Power at {with_prefix(rate, 'Hz')}: " + "; ".join(said) + "."


def measured_here(result: l2l.ProfileResult) -> str:
    """What was measured on this machine, and what was not."""
    sentences = []
    for kind, name in (("cpu", "CPU"), ("gpu", "GPU")):
        rows = [
            row for row in result.rows
            if row.kind == kind and row.latency is not None and row.mode == "streaming"
        ]  # fmt: skip
        if rows:
            best = min(rows, key=quickest)
            sentences.append(
                f"On this {name} ({best.title}) the fastest answer to a single sample took "
                f"{best.latency} ({best.label})."
            )
        else:
            failed = {text for row in result.rows if row.kind == kind for text in row.problems}
            why = f" ({'; '.join(sorted(failed))})" if failed else ""
            sentences.append(
                f"No {name} was measured here{why}; its time can only be measured, so none is "
                "compared."
            )
    return " ".join(sentences)


def draw(result: l2l.ProfileResult, path: Path) -> None:
    """The energy of a sample over the rate, with intervals, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    result.plot()
    pyplot.savefig(path, dpi=120)
    pyplot.close()


def main() -> None:
    """Profiles, and says what it means."""
    given = parsed()
    given.out.mkdir(parents=True, exist_ok=True)
    network = pendulum.load()
    program = l2l.quantize(network, pendulum.example(256, 150, CALIBRATION_SEED)[0])
    x = pendulum.example(4 if given.quick else 16, 150, SEED)[0]
    against = () if given.against == "none" else tuple(given.against.split(","))
    result = l2l.profile(
        program, x, (CHIP, *CONTROLLERS), against, given.rate, network=network, closed_loop=True,
        quick=given.quick, budget_seconds=10.0 if given.quick else 60.0,
    )  # fmt: skip
    frontier = result.frontier
    assert frontier is not None
    found = answer(result)
    say(f"The verdict: {found.title}.")
    say(watts(result, given.rate))
    say(measured_here(result))
    say(rates_table(frontier))
    say(frontier.sentence)
    for text in frontier.left_out:
        say(f"Left out: {text}.")
    result.save(given.out / "devices.profile.json")
    l2l.report(result, program, given.out / "devices.html", network=network, x=x)
    written = ["devices.profile.json", "devices.html"]
    if find_spec("matplotlib") is None:
        say("Without matplotlib no figure is drawn: pip install matplotlib")
    else:
        draw(result, given.out / "devices.png")
        written.append("devices.png")
    say(f"Written to {given.out}: {', '.join(written)}")


if __name__ == "__main__":
    run(main)
