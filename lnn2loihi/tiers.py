"""How a number came about: the words for it, which stand beside every figure of cost."""

from __future__ import annotations

from collections.abc import Mapping

MEASURED = "MEASURED"
CALIBRATED = "CALIBRATED-ESTIMATE"
ESTIMATED = "ESTIMATED"
BOUND = "BOUND"

#: What each says, best first.
TIERS: Mapping[str, str] = {
    MEASURED: "read from a clock or a power meter while this network ran on this device",
    CALIBRATED: "computed from exact counts of this network and from parameters that were fitted "
    "to published measurements; the interval holds 90 % of what they allow",
    ESTIMATED: "a bound from a data sheet times a measured time; nobody measured it",
    BOUND: "a limit that cannot be passed, whatever the device does",
}
