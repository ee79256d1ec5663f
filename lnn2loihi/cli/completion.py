"""What a shell completes: names of devices, targets, executors, formats, parts and topics.

Names are looked up when somebody asks for them; a name of a package's that is broken is completed
too, and refused by the verb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lnn2loihi.startup import importing


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _listed(names: Iterable[str], incomplete: str) -> list[str]:
    """The same where commas separate several: what stands before the last comma stays."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def _registered(kind: str) -> list[str]:
    with importing():
        from lnn2loihi.registry import Registry

    return [*Registry(f"lnn2loihi.{kind}s", kind, object).names()]


def devices_that_begin(incomplete: str) -> list[str]:
    """Names of devices."""
    with importing():
        from lnn2loihi.devices import device_names

    return _beginning(device_names(), incomplete)


def microcontrollers_that_begin(incomplete: str) -> list[str]:
    """Names of micro-controllers."""
    return [name for name in devices_that_begin(incomplete) if name.startswith("mcu-")]


def targets_that_begin(incomplete: str) -> list[str]:
    """Names of targets, several with commas."""
    return _listed([*_registered("target"), "all"], incomplete)


def executors_that_begin(incomplete: str) -> list[str]:
    """Names of executors, several with commas."""
    return _listed(["auto", *_registered("executor")], incomplete)


def formats_that_begin(incomplete: str) -> list[str]:
    """Names of exporters."""
    return _beginning(_registered("exporter"), incomplete)


def parts_that_begin(incomplete: str) -> list[str]:
    """Names of processors whose C code is counted."""
    with importing():
        from lnn2loihi.micro.parts import PARTS

    return _beginning(PARTS, incomplete)


def recipes_that_begin(incomplete: str) -> list[str]:
    """Recipes that are often asked for."""
    return _beginning(["w8a12", "w8a16", "w8a12x16", "w4a8x12", "w8a12-lines16"], incomplete)


def topics_that_begin(incomplete: str) -> list[str]:
    """Topics of explain."""
    with importing():
        from lnn2loihi.cli.explain import TOPICS

    return _beginning(TOPICS, incomplete)


def words_that_begin(words: tuple[str, ...]) -> Callable[[str], list[str]]:
    """What completes one of some words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(words, incomplete)

    return complete
