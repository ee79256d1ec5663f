"""The networks of ../shared/zoo, converted: what runs on the chip, and how exactly.

    python benchmarks/whole_modules.py [NAME ...]

Prints a table in Markdown: for each network the layers on the chip, what the host keeps, the share
of multiply-adds on the chip (of the example), the largest difference of the integers (w8a12,
calibrated on the example) from the module in % of the spread of an output, on the example, and the
processor time of `convert`. Weights are random, with noise on biases and on the maps of LTCs; seeds
are fixed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from zoo_examples import call, example, names, trained  # noqa: E402

import lnn2loihi  # noqa: E402
from lnn2loihi.converted.description import share_on_chip  # noqa: E402


def row(name: str) -> str:
    """One network as a row of the table."""
    module = call(name, trained(name))
    args, keywords = example(name)
    begin = time.process_time()
    converted = lnn2loihi.convert(module, *args, **keywords)
    seconds = time.process_time() - begin
    chips = [
        " ".join(layer.name for layer in part.network.layers)
        for part in converted.chip_parts
        if part.network is not None
    ]
    hosts = [" ".join(dict.fromkeys(part.operators)) for part in converted.host_parts]
    compared = converted.quantize().compare(*args, **keywords)
    share, difference = share_on_chip(converted), compared.largest_share
    return (
        f"| {name} | {'; '.join(chips)} | {'; '.join(hosts)} "
        f"| {'' if share is None else f'{100 * share:.1f} %'} "
        f"| {'' if difference is None else f'{100 * difference:.2f} %'} | {seconds:.1f} s |"
    )


def main() -> None:
    """The table."""
    print(
        "| network | on the chip | on the host | multiply-adds on the chip | difference | convert |"
    )
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or names():
        print(row(name), flush=True)


if __name__ == "__main__":
    main()
