"""What stands around the integers: encoder and decoder as functions, and the metadata.

The integer core holds no float. Encoder and decoder are added where samples are to go in and
answers to come out in real numbers; they compute in double precision, as the library does.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from lnn2loihi.artifact import fingerprint
from lnn2loihi.converters.onnx_write.build import DOMAIN, Functions, Graph
from lnn2loihi.program import InputPort, LoihiProgram, Population


def encoded(graph: Graph, functions: Functions, port: InputPort, samples: str) -> str:
    """Adds the encoder: messages int32 from samples of any float type, (batch, time, channels)."""

    def build(body: Graph) -> list[str]:
        x = body.cast("samples", np.float64, "double")
        x = body.add("Sub", x, body.constant(port.offset, np.float64, "offset"))
        x = body.add("Mul", x, body.constant(port.gain, np.float64, "gain"), name="scaled")
        x = body.add("Floor", body.add("Add", x, body.constant(0.5, np.float64, "half")))
        x = body.add("Max", x, body.constant(port.low, np.float64, "low"))
        x = body.add("Min", x, body.constant(port.high, np.float64, "high"), name="saturated")
        return [body.cast(x, np.int32, "messages")]

    functions.define("Encode", ["samples"], build, "floor((x - offset) * gain + 0.5), saturated")
    return graph.add("Encode", samples, name="encoded", domain=DOMAIN)


def decoded(
    graph: Graph,
    functions: Functions,
    population: Population,
    messages: str,
    dtype: npt.DTypeLike,
) -> str:
    """Adds the decoder: answers in a float type from messages."""

    def build(body: Graph) -> list[str]:
        double = body.cast("messages", np.float64, "double")
        own = population.has_own_scales
        unit = population.scale if own else population.message.step
        value = body.add("Mul", double, body.constant(unit, np.float64, "step"), name="scaled")
        if own:
            offset = body.constant(population.offset, np.float64, "offset")
            value = body.add("Add", value, offset, name="moved")
        return [body.cast(value, dtype, "answers")]

    what = "messages times the unit of the last place"
    what += ", plus the offset" if population.has_own_scales else ""
    functions.define("Decode", ["messages"], build, what)
    return graph.add("Decode", messages, name="decoded", domain=DOMAIN)


def _unit(population: Population) -> dict[str, object]:
    """What one unit of a message is worth: a format, or a scale and an offset for each neuron."""
    if population.has_own_scales:
        return {"scale": population.scale.tolist(), "offset": population.offset.tolist()}
    message = population.message
    return {"format": str(message), "fraction_bits": message.fraction_bits}


def metadata(program: LoihiProgram) -> dict[str, str]:
    """What a reader of the file needs beside the graph, as texts; all but two are JSON."""
    port, output = program.input, program.output_population
    structured = {
        "input": {
            "bits": port.format.bits,
            "fraction_bits": port.format.fraction_bits,
            "low": port.low.tolist(),
            "high": port.high.tolist(),
            "gain": port.gain.tolist(),
            "offset": port.offset.tolist(),
            "elapsed_time_is_last_channel": program.timed,
        },
        "output": {
            "population": output.name,
            "bits": output.message.bits,
            **_unit(output),
            **({} if output.has_own_scales else {"step": output.message.step}),
        },
        "messages": {
            p.name: {
                "bits": p.message.bits,
                **_unit(p),
                "low": p.message_low,
                "high": p.message_high,
            }
            for p in program.populations
        },
        "accumulator_bits": {
            p.name: {
                name: interval.bits
                for name, interval in program.accumulator_intervals(p.name).items()
            }
            for p in program.populations
        },
        "initial_state": {
            f"{p.name}.{word}": values.tolist()
            for p in program.populations
            for word, values in p.initial_state.items()
            if values.any()
        },
        "schedule": {
            "period": program.schedule.period,
            "first_input": program.schedule.first_input,
            "first_valid": dict(program.schedule.first_valid),
        },
        "provenance": dict(program.provenance),
    }
    texts = {key: json.dumps(value, sort_keys=True) for key, value in structured.items()}
    return {"recipe": program.recipe, "sha256": fingerprint(program), **texts}
