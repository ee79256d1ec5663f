"""Whole modules as people write them: what goes on the chip, and how far the answer is off.

    python benchmarks/zoo.py ../shared/zoo/zoo.py [MORE.py ...] [--only NAME,NAME] [--batch 4]
        [--steps 40] [--calls 4] [--recipe w8a12] [--calibrate-apart] [--executors reference,c,lava]
        [--seed 0] [--json FILE] [--write docs/zoo.md]

Each network gets noise where training would have changed it (zoo_networks.py), is converted with
the example that the zoo has for it, and quantized with `--calls` calls of `--batch` sequences of
`--steps` samples, as far as its forward takes other sizes than the example's; it is judged on the
same calls, or on others of the same kind with --calibrate-apart. A difference is the largest of all
calls, in % of the spread of that tensor of the answer (largest value less the smallest) over all
calls; the worst tensor counts. "Worst feature" is the same feature by feature: it shows an output
that is small beside the others. Executors are compared on the example, bit for bit. Seconds are
processor time of `convert`.

Prints a table, and puts it between the markers `<!-- zoo: NAME -->` and `<!-- end of zoo: NAME -->`
of the file of --write, NAME being that of the zoo's file. Exit code 1 where a network is refused
(other than one of which the zoo says that it has nothing for the chip) or fails, answers in another
structure or wrong in floats, is off by more than 2 % without a warning that names the output,
differs between executors, or is changed by being converted. A network that the zoo's own code
cannot make is listed with its error.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from zoo_networks import Arguments, Network, answered, inputs_like, leaves, networks

from lnn2loihi.conversion import convert
from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.faults import described
from lnn2loihi.files import write_atomically
from lnn2loihi.tables import markdown_table

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: An output that is off by more has to be named in a warning.
LARGEST_SHARE = 0.02
#: What float parts may be off, which differ from the module by rounding in single precision alone.
LARGEST_FLOAT_SHARE = 1e-3
HEADERS = (
    "network", "on the chip", "on the host", "multiply-adds on the chip", "difference",
    "worst feature", "named in a warning", "executors identical", "tracing s",
)  # fmt: skip


@dataclass
class Row:
    """What became of a network.

    Attributes:
        name, uses: of the zoo.
        faults: why it fails; nothing where it does not.
        refusal: why it is not converted: what refuses it, or why there is no module at all.
        chip: layers of each chip part.
        host: operators of host parts, with how many there are.
        chip_share: of the multiply-adds of the example; None where nobody counted them.
        shares: for each tensor of the answer the largest difference over its spread; None where all
            true values are one.
        feature_shares: the same, of the worst feature.
        float_shares: as `shares`, with the float networks in place of the programs.
        warnings: what `compare` says of the calls, each once.
        identical: whether all executors answer the same; None where they were not asked.
        seconds: processor time of convert and of quantize.
        notes: what convert says.
    """

    name: str
    uses: str
    faults: list[str] = field(default_factory=list)
    refusal: str = ""
    chip: list[str] = field(default_factory=list)
    host: dict[str, int] = field(default_factory=dict)
    chip_share: float | None = None
    shares: dict[str, float | None] = field(default_factory=dict)
    feature_shares: dict[str, float | None] = field(default_factory=dict)
    float_shares: dict[str, float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    identical: bool | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def converted(self) -> bool:
        """Whether it runs at all."""
        return bool(self.shares)

    def named(self, place: str) -> bool:
        """Whether a warning names that tensor."""
        return any(warning.startswith(f"{place} ") for warning in self.warnings)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("zoo", type=Path, nargs="+", help="Python files with networks; they run")
    parser.add_argument("--only", help="names of some networks")
    parser.add_argument("--batch", type=int, default=4, help="sequences of a call")
    parser.add_argument("--steps", type=int, default=40, help="samples of a sequence")
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--recipe", default="w8a12")
    parser.add_argument("--calibrate-apart", action="store_true", help="with calls of their own")
    parser.add_argument("--executors", default="reference,c,lava", help="'' for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    parser.add_argument("--write", type=Path, help="document that has markers for the tables")
    return parser.parse_args()


def row_of(network: Network, given: argparse.Namespace) -> Row:
    """Converts a network and looks at it from all sides."""
    row = Row(network.name, network.uses)
    try:
        called = network.trained(given.seed)
    except Exception as error:  # whatever the zoo's own code raises
        row.refusal = f"the zoo itself cannot make it: {described(error)}"
        return row
    try:
        measure(network, called, row, given)
    except Lnn2LoihiError as error:
        row.refusal = str(error)
        if row.converted or not network.refused:
            row.faults.append(f"refused: {row.refusal}")
    except Exception as error:  # whatever a network or a converter raises
        row.faults.append(f"fails: {described(error)}")
    return row


def measure(network: Network, called: Any, row: Row, given: argparse.Namespace) -> None:
    """Fills the row in, as far as it gets."""
    example = network.example()
    before = answered(called, example)
    converted, row.seconds["convert"] = timed(lambda: convert(called, *example[0], **example[1]))
    after = answered(called, example)
    if not alike([before], [after]):
        row.faults.append("convert has changed the module: it answers something else than before")
    contents(converted, row)
    calls = drawn(network, converted, given, 1)
    calibration = (
        drawn(network, converted, given, 1 + given.calls) if given.calibrate_apart else calls
    )
    whole, row.seconds["quantize"] = timed(
        lambda: converted.quantize(given.recipe, [as_call(called, one) for one in calibration])
    )
    differences(whole, called, calls, row)
    executors = [name for name in given.executors.split(",") if name]
    if executors:
        answers = [
            dict(leaves(whole.predict(*example[0], executor=name, **example[1]), "answer"))
            for name in executors
        ]
        row.identical = alike(answers, answers[:1] * len(answers))
        if not row.identical:
            row.faults.append(f"executors differ: {', '.join(executors)}")


def timed(call: Any) -> tuple[Any, float]:
    """What a call answers, and its seconds of processor time."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def drawn(
    network: Network, converted: ConvertedModule, given: argparse.Namespace, seed: int
) -> list[Arguments]:
    """Calls of the size that was asked for."""
    first = 1000 * given.seed + seed
    return [
        inputs_like(network, converted, given.batch, given.steps, first + number)
        for number in range(given.calls)
    ]


def as_call(called: Any, arguments: Arguments) -> Any:
    """A call as `quantize` takes it: arguments alone, or all of them by name."""
    args, keywords = arguments
    if not keywords:
        return args
    forward = called.forward if hasattr(called, "forward") else called
    return dict(inspect.signature(forward).bind(*args, **keywords).arguments)


def contents(converted: ConvertedModule, row: Row) -> None:
    """What is where."""
    row.notes = list(converted.notes)
    for part in converted.chip_parts:
        network = part.float_network()
        layers = [
            f"{type(layer).__name__.removesuffix('Layer')} {layer.units}"
            for layer in network.layers
        ]
        if network.readout is not None:
            layers.append(f"readout {network.readout.weight.shape[0]}")
        row.chip.append(", ".join(layers))
    row.host = dict(Counter(name for part in converted.host_parts for name in part.operators))
    if not row.chip:
        row.faults.append("nothing is on the chip")
    on_host = [part.multiply_adds for part in converted.host_parts]
    if converted.multiply_adds and None not in on_host:
        row.chip_share = 1.0 - sum(n or 0 for n in on_host) / converted.multiply_adds


def differences(whole: ConvertedModule, called: Any, calls: Sequence[Arguments], row: Row) -> None:
    """Integers, and floats in their place, against the live module, over all calls."""
    truth = [answered(called, call) for call in calls]
    answers = [dict(leaves(whole.predict(*args, **kw), "answer")) for args, kw in calls]
    floats = [dict(leaves(whole.evaluate(*args, **kw), "answer")) for args, kw in calls]
    for found in (answers, floats):
        if any(shapes(own) != shapes(true) for own, true in zip(found, truth, strict=True)):
            row.faults.append(f"answers {shapes(found[0])}, the module {shapes(truth[0])}")
            return
    said = [w for args, kw in calls for w in whole.compare(*args, **kw).warnings]
    row.warnings = list(dict.fromkeys(said))
    for place in truth[0]:
        true, own, plain = (
            [np.asarray(one[place], np.float64) for one in found]
            for found in (truth, answers, floats)
        )
        row.shares[place] = share_of(true, own, by_feature=False)
        row.feature_shares[place] = share_of(true, own, by_feature=True)
        row.float_shares[place] = share_of(true, plain, by_feature=False)
        if not within(row.shares[place], LARGEST_SHARE) and not row.named(place):
            row.faults.append(f"{place} is off by {percent(row.shares[place])} without a warning")
        if not within(row.float_shares[place], LARGEST_FLOAT_SHARE):
            row.faults.append(f"{place}: float parts are off by {percent(row.float_shares[place])}")


def shapes(answer: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shapes of an answer's tensors."""
    return {place: array.shape for place, array in answer.items()}


def within(share: float | None, limit: float) -> bool:
    """Whether a share is known to be at most so large; what is not a number is not."""
    return share is None or share <= limit


def share_of(
    truth: Sequence[np.ndarray], found: Sequence[np.ndarray], *, by_feature: bool
) -> float | None:
    """Largest difference over the spread of the true values; None where they are all one and
    nothing differs.
    """
    true, own = ([one.reshape(-1, one.shape[-1]) if one.ndim > 1 else one.reshape(-1, 1)
                  for one in arrays] for arrays in (truth, found))  # fmt: skip
    if not by_feature or len({one.shape[1] for one in true}) > 1:
        true, own = ([one.reshape(-1, 1) for one in arrays] for arrays in (true, own))
    joined, other = np.concatenate(true), np.concatenate(own)
    if not joined.size:
        return None
    spread, largest = np.ptp(joined, axis=0), np.abs(other - joined).max(axis=0)
    moves = (spread > 0.0) | (largest > 0.0) | ~np.isfinite(largest)
    if not moves.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(largest[moves] / spread[moves]))


def alike(some: Sequence[dict[str, np.ndarray]], others: Sequence[dict[str, np.ndarray]]) -> bool:
    """Whether answers are the same, bit for bit."""
    return all(
        one.keys() == other.keys()
        and all(
            one[place].shape == other[place].shape
            and one[place].dtype == other[place].dtype
            and one[place].tobytes() == other[place].tobytes()
            for place in one
        )
        for one, other in zip(some, others, strict=True)
    )


def percent(share: float | None) -> str:
    """In percent; a dash where nothing moves."""
    return "-" if share is None else f"{100 * share:.2f} %"


def worst(shares: dict[str, float | None]) -> float | None:
    """The largest; what is not a number is larger than all."""
    known = [share for share in shares.values() if share is not None]
    return max(known, key=lambda share: np.inf if np.isnan(share) else share, default=None)


def table(rows: Sequence[Row]) -> str:
    """The table, and what it comes to."""
    lines: list[list[object]] = []
    for row in rows:
        if not row.converted:
            what = row.refusal or "; ".join(row.faults)
            lines.append([f"`{row.name}`", f"not converted: {what}", *[None] * (len(HEADERS) - 2)])
            continue
        off = [place for place, share in row.shares.items() if not within(share, LARGEST_SHARE)]
        lines.append(
            [
                f"`{row.name}`", counted(Counter(row.chip), "; "), counted(row.host),
                None if row.chip_share is None else f"{100 * row.chip_share:.1f} %",
                percent(worst(row.shares)), percent(worst(row.feature_shares)),
                ", ".join(place for place in row.shares if row.named(place))
                or ("no" if off else None),
                row.identical, f"{row.seconds['convert']:.1f}",
            ]
        )  # fmt: skip
    return f"{markdown_table(HEADERS, lines)}\n\n{conclusion(rows)}"


def counted(names: dict[str, int], between: str = ", ") -> str | None:
    """Names, with how many there are of each."""
    listed = (
        name if number == 1 else f"{number} times {name}" if "," in name else f"{number} {name}"
        for name, number in names.items()
    )  # fmt: skip
    return between.join(listed) or None


def conclusion(rows: Sequence[Row]) -> str:
    """Some sentences on all networks."""
    done = [row for row in rows if row.converted]
    if not done:
        return f"None of {len(rows)} networks is converted."
    exact = [row for row in done if within(worst(row.shares), LARGEST_SHARE)]
    alone = [
        row for row in done if not any(re.search("Dense|Product|readout", c) for c in row.chip)
    ]
    shares = [row.chip_share for row in done if row.chip_share is not None]
    slowest = max(done, key=lambda row: row.seconds["convert"])
    median = f"{100 * float(np.median(shares)):.0f} %" if shares else "an unknown share"
    return (
        f"{len(done)} of {len(rows)} networks are converted, {len(exact)} of them within "
        f"{100 * LARGEST_SHARE:g} % of the spread of every output; of {len(alone)} the recurrent "
        f"part alone is on the chip. In the median {median} of the multiply-adds are there. "
        f"Tracing took at most {slowest.seconds['convert']:.1f} s of processor time "
        f"(`{slowest.name}`)."
    )


def written(document: str, name: str, content: str) -> str:
    """A document with something else between the markers of that name.

    Raises:
        ValueError: it does not have them.
    """
    begin, end = f"<!-- zoo: {name} -->", f"<!-- end of zoo: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(f"the document has no markers {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", document, count=1)


def main() -> int:
    """Runs what was asked for; the exit code."""
    given = options()
    torch.set_num_threads(1)  # threads that wait for each other are no work
    convert(torch.nn.GRU(2, 2), torch.zeros(1, 2, 2))  # what is loaded once is nobody's tracing
    found: dict[str, list[Row]] = {}
    for path in given.zoo:
        rows = found[path.stem] = []
        for network in networks(path):
            if given.only and network.name not in given.only.split(","):
                continue
            rows.append(row_of(network, given))
            said = "; ".join(rows[-1].faults) or rows[-1].refusal or "good"
            print(f"{path.stem}, {network.name}: {said}", file=sys.stderr, flush=True)
        print(f"\n{path.stem}\n\n{table(rows)}", flush=True)
    if given.json:
        listed = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        write_atomically(given.json, (json.dumps(listed, indent=1) + "\n").encode())
    if given.write:
        document = given.write.read_text()
        for name, rows in found.items():
            document = written(document, name, table(rows))
        write_atomically(given.write, document.encode())
    return int(any(row.faults for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
