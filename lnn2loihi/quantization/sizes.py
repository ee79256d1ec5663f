"""How much memory quantizing takes, asked before it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lnn2loihi.errors import QuantizationError
from lnn2loihi.machine_memory import available_memory
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.quantization.moments import LARGEST_BY_ROW

GIBIBYTE = 1 << 30
#: Bytes of a weight that only stages have (an LTC's are dense): a float64, its mantissa, and a
#: float32 of the simulation.
STAGE_WEIGHT = 13
#: Copies of the calibration data in float64: given, normalised, as integers and as what these
#: stand for. Each answer to a sample is kept in float64, in int32 and once more while it is
#: compared; those of synapses to the other steps of a sample are computed in parts.
INPUT_COPIES, ANSWER_BYTES, STEP_BYTES = 5, 20, 8
#: What does not grow: parts that are rounded together, and the moments of the widest stage.
CONSTANT = 2 * 8 * LARGEST_BY_ROW


def needed_memory(network: LiquidNetwork, samples: int) -> dict[str, int]:
    """An upper estimate of the bytes that quantizing takes beside the network, by what takes them.

    Args:
        network: the float network; its stages are not made.
        samples: calibration samples of all sequences together.
    """
    found: dict[str, int] = {}
    steps = samples * network.substeps
    units, answers = network.units, network.units
    for layer in network.single_layers:
        more, weights = layer.made_by_stages
        if weights:
            what = f"layer {layer.name!r} with its {more:,} synapses"
            found[what] = STAGE_WEIGHT * weights
        answers += more
    found[f"{samples:,} calibration samples of {network.input_size:,} channels"] = (
        8 * INPUT_COPIES * steps * network.input_size
    )
    found[f"the answers of {answers:,} units to them"] = (
        ANSWER_BYTES * samples * answers + STEP_BYTES * steps * units
    )
    return found


def check_memory(network: LiquidNetwork, samples: int) -> None:
    """Refuses what the memory cannot hold, before any is asked for.

    Raises:
        QuantizationError: says how much is needed by what, and how much there is.
    """
    needed = needed_memory(network, samples)
    total, available = sum(needed.values()), available_memory()
    if total <= max(available, CONSTANT):
        return
    most = sorted(needed.items(), key=lambda item: -item[1])[:2]
    parts = "; ".join(f"{what} take {size / GIBIBYTE:.3g}" for what, size in most)
    raise QuantizationError(
        f"quantize network {network.name!r}",
        f"about {total / GIBIBYTE:.3g} GiB of memory would be needed ({parts} GiB), and there are "
        f"{available / GIBIBYTE:.3g}; calibrate with fewer or shorter sequences, or make the "
        "network smaller or sparser",
    )


@contextmanager
def memory_that_ends(network: LiquidNetwork) -> Iterator[None]:
    """Turns a lack of memory into our error.

    Raises:
        QuantizationError: says what was asked for.
    """
    try:
        yield
    except MemoryError as error:
        raise QuantizationError(
            f"quantize network {network.name!r}",
            f"memory ended ({error or 'no more was given'}); calibrate with fewer or shorter "
            "sequences, or make the network smaller or sparser",
        ) from error
