"""Exported programs: the integers of the reference, under onnxruntime and onnx's own evaluator."""

from __future__ import annotations

import dataclasses
import importlib
import json
from typing import Any

import numpy as np
import onnx_models as models
import pytest
from engines import (
    BYTE,
    deep_program,
    long_program,
    made,
    operations_program,
    random_start,
    zoo_program,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network, random_samples
from onnx_models import onnx
from programs import Sizes, random_inputs, random_program
from variants import Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.artifact import fingerprint
from lnn2loihi.converters.onnx_write.build import Functions, Graph, finished
from lnn2loihi.converters.onnx_write.program_weights import GATHERED_COST, heard_of
from lnn2loihi.converters.onnx_write.sparse import Heard, unpacked
from lnn2loihi.errors import BackendMissingError, InputError, ProgramError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population
from lnn2loihi.simulation.inputs import encode

BOTH = "reference,onnxruntime,onnx-reference"
FEW = settings(max_examples=12)
KINDS = {
    "plain": Variant(layers=2),
    "no gate": Variant(mode="no_gate", layers=2),
    "pure": Variant(mode="pure", irregular=True, backbone=(4,)),
    "backbone": Variant(backbone=(7, 6), activation="silu", irregular=True),
    "memory": Variant(memory=True, irregular=True, before="tanh", after="sigmoid", readout=False),
    "shared memory": Variant(shared_memory=True, layers=3, units=3),
    "gelu": Variant(before="gelu", after="relu", backbone=(5,), activation="gelu"),
    "gru": Variant(family="gru", layers=2),
    "lstm": Variant(family="lstm", irregular=True, mixed=True),
    "mingru": Variant(family="mingru", layers=2),
    "minlstm": Variant(family="minlstm", readout=False),
}


def quantized(variant: Variant, recipe: str = "w8a12") -> LoihiProgram:
    x, elapsed = samples(variant, 8, 20)
    return l2l.quantize(network(variant), x, recipe, calibrate_timespans=elapsed)


def exported(program: LoihiProgram, **options: Any) -> Any:
    return l2l.export(program, "onnx", **options)


def assert_exact(program: LoihiProgram, inputs: np.ndarray, seed: int = 0) -> None:
    """Every state of every step, from a random initial state."""
    start = random_start(program, seed, len(inputs))
    encoded = inputs.dtype.kind != "f"
    result = l2l.verify(program, inputs, BOTH, initial_state=start, encoded=encoded)
    assert result.bit_exact, result.summary()


class TestIntegers:
    @pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
    def test_of_every_kind(self, variant: Variant) -> None:
        program = quantized(variant)
        x, elapsed = samples(variant, 5, 9, seed=1)
        result = l2l.verify(program, 3 * x, BOTH, timespans=elapsed)
        assert result.bit_exact, result.summary()

    @FEW
    @given(variant=variants(), batch=st.integers(1, 9), time=st.integers(1, 6))
    def test_of_random_networks(self, variant: Variant, batch: int, time: int) -> None:
        program = quantized(variant)
        x, elapsed = samples(variant, batch, time, seed=1)
        result = l2l.verify(program, 50 * x, BOTH, timespans=elapsed)
        assert result.bit_exact, result.summary()

    @FEW
    @given(
        seed=st.integers(0, 1 << 20),
        layers=st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple),
        weight_bits=st.sampled_from([2, 4, 8]),
        activation=st.sampled_from(["ramp12", "ramp16", "lines16", "hard"]),
        extreme=st.booleans(),
        skip_delay=st.booleans(),
    )
    def test_of_random_programs(
        self, seed: int, layers: tuple[int, ...], weight_bits: int, activation: str, extreme: bool,
        skip_delay: bool,
    ) -> None:  # fmt: skip
        sizes = Sizes(
            layers=layers, weight_bits=weight_bits, activation=activation, extreme=extreme,
            skip_delay=skip_delay,
        )  # fmt: skip
        try:
            program = random_program(seed, sizes)
        except ProgramError:  # its bounds do not hold
            return
        assert_exact(program, random_inputs(seed, program, 3, 5), seed)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_of_random_code(self, seed: int) -> None:
        """All operations, several accumulators, some of them fed by nobody, dead ends."""
        program = zoo_program(seed, (3, 5))
        assert_exact(program, random_inputs(seed, program, 4, 6), seed)

    def test_of_every_operation_at_its_limits(self) -> None:
        program = operations_program()
        low, high = program.input.low[0], program.input.high[0]
        ends = np.array([low, low + 1, -1, 0, 1, high - 1, high])
        corners = np.stack(np.meshgrid(ends, ends, ends), axis=-1).reshape(1, -1, 3)
        assert_exact(program, corners)

    def test_of_messages_of_different_widths(self) -> None:
        program = deep_program(3, Sizes(density=0.3), (4, 8, 12))
        assert_exact(program, random_inputs(3, program, 4, 6))

    @pytest.mark.parametrize("variant", [KINDS["plain"], KINDS["memory"], KINDS["pure"]], ids=str)
    @pytest.mark.parametrize("end", ["low", "high"])
    def test_of_the_ends_of_all_ranges(self, variant: Variant, end: str) -> None:
        program = quantized(variant)
        inputs = np.broadcast_to(getattr(program.input, end), (2, 8, program.input.size))
        model = exported(program, record=True)
        start = random_start(program, 0, 2)
        found = models.run(model, {"x": inputs, **models.state_feed(start)})
        truth = l2l.simulate(
            dataclasses.replace(program, timed=False), inputs, "reference", initial_state=start,
            return_states=True,
        )  # fmt: skip
        for population, words in (truth.states or {}).items():
            for word, values in words.items():
                assert np.array_equal(found[f"{population}.{word}.steps"], values)

    @pytest.mark.parametrize("optimised", [True, False])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_do_not_depend_on_how_the_runtime_works(self, optimised: bool, threads: int) -> None:
        program = quantized(KINDS["memory"])
        x, elapsed = samples(KINDS["memory"], 40, 6)
        inputs, _ = encode(program, x, elapsed)
        found = models.run(exported(program), {"x": inputs}, optimised, threads)["y"]
        assert np.array_equal(found, l2l.simulate(program, x, "blas", timespans=elapsed).integers)

    def test_of_several_updates_for_each_sample(self) -> None:
        x = np.random.default_rng(0).normal(size=(6, 9, 3))
        program = l2l.quantize(random_ltc(0, unfolds=3), x)
        assert l2l.verify(program, x, BOTH).bit_exact
        found = models.run(exported(program), {"x": encode(program, x)[0]})
        assert np.array_equal(found["y"], l2l.simulate(program, x, "blas").integers)

    def test_go_on_where_they_ended(self) -> None:
        program, variant = quantized(KINDS["memory"]), KINDS["memory"]
        inputs, _ = encode(program, *samples(variant, 3, 8))
        model = exported(program)
        whole = models.run(model, {"x": inputs})
        state: dict[str, Any] = {}
        answers = []
        for t in range(inputs.shape[1]):
            found = models.run(model, {"x": inputs[:, t : t + 1], **state})
            answers.append(found.pop("y"))
            state = {name.removesuffix(".final"): value for name, value in found.items()}
        assert np.array_equal(np.concatenate(answers, axis=1), whole["y"])
        for name, value in state.items():
            assert np.array_equal(value, whole[f"{name}.final"])

    def test_of_a_message_that_depends_on_nothing(self) -> None:
        """What has one value for all sequences still has the shape of all sequences."""
        code = (
            Instruction("RDC", "sum", ("acc",)),
            Instruction("MOV", "kept", ("p",)),
            Instruction("MOV", "h", (7,)),
            Instruction("SPIKE", "", ("p",)),
        )
        neuron = NeuronProgram("constant", ("acc",), (("p", 8),), (("h", 8),), code)
        population = Population(
            "only", neuron, {"p": np.arange(4)}, {"h": np.zeros(4)}, BYTE, -128, 127, 4
        )
        port = InputPort("input", BYTE, np.full(2, -128), np.full(2, 127))
        link = Connection.from_dense("input", "only", ("acc",), np.ones((4, 2)))
        program = made("constant", port, [population], [link], "only")
        assert_exact(program, random_inputs(0, program, 3, 2))


class TestSynapses:
    """Four forms of weights: dense, with a mask, placed, listed."""

    @staticmethod
    def program(dense: np.ndarray, sums: int = 1) -> LoihiProgram:
        """A layer that sends its sums; its connection is the one under test."""
        names = tuple(f"acc{n}" for n in range(sums))
        code = [Instruction("RDC", f"sum{n}", (name,)) for n, name in enumerate(names)]
        code.append(Instruction("MOV", "total0", ("sum0",)))
        code += [
            Instruction("ADD", f"total{n}", (f"total{n - 1}", f"sum{n}")) for n in range(1, sums)
        ]
        code.append(Instruction("SPIKE", "", (f"total{sums - 1}",)))
        neuron = NeuronProgram("sum", names, (), (), tuple(code))
        size, low, high = len(dense) // sums, -(1 << 23), (1 << 23) - 1
        layer = Population("layer", neuron, {}, {}, FixedPoint(24, 0), low, high, size)
        columns = dense.shape[1]
        port = InputPort("input", BYTE, np.full(columns, -128), np.full(columns, 127))
        link = Connection.from_dense("input", "layer", names, dense, exponent=1)
        return made("sums", port, [layer], [link], "layer")

    @pytest.mark.parametrize(
        ("columns", "density", "form"),
        [(20, 0.9, "dense"), (2000, 0.2, "masked"), (600, 0.004, "listed"), (40, 0.0, "listed")],
    )
    @pytest.mark.parametrize("sums", [1, 3])
    def test_every_form_is_exact(self, columns: int, density: float, form: str, sums: int) -> None:
        rng = np.random.default_rng(columns)
        shape = (sums * 9, columns)
        dense = rng.integers(-8, 9, shape) * (rng.random(shape) < density)
        program = self.program(dense, sums)
        operations = {node.op_type for node in models.nodes(exported(program))}
        assert ("GatheredSum" in operations) == (form == "listed")
        assert ("BitShift" in operations) == (form == "masked")
        assert_exact(program, random_inputs(1, program, 4, 3))

    @pytest.mark.parametrize("bits", range(1, 8))
    @pytest.mark.parametrize("shape", [(1,), (8,), (7, 9), (3, 5, 16)])
    def test_packed_numbers_come_out_as_they_were(self, bits: int, shape: tuple[int, ...]) -> None:
        numbers = np.random.default_rng(bits).integers(0, 1 << bits, shape, np.uint8)
        graph = Graph()
        graph.claim([out := graph.value_info("out", np.uint8, shape)], "test")
        found = unpacked(graph, numbers, bits, "numbers")
        graph.add_many("Identity", [found], ["out"])
        model = finished(graph.finished("test", [], [out]), Functions(), "test", {}, "")
        assert np.array_equal(models.run(model, {})["out"], numbers)
        assert np.array_equal(onnx.reference.ReferenceEvaluator(model).run(None, {})[0], numbers)
        held = [t for t in models.tensors(model) if t.name.startswith("numbers")]
        octets = sum(-(-numbers.size * width // 8) for width in (4, 2, 1) if bits & width)
        assert sum(len(tensor.raw_data) for tensor in held) == octets

    @pytest.mark.parametrize(
        ("columns", "density", "form"),
        [(400, 1.0, "dense"), (3000, 0.2, "masked"), (30_000, 0.01, "listed")],
    )
    @pytest.mark.parametrize(("low", "high", "bits"), [(-8, 7, 4), (-2, 1, 2), (-16, 15, 5)])
    def test_narrow_weights_are_packed_and_exact(
        self, columns: int, density: float, form: str, low: int, high: int, bits: int
    ) -> None:
        rng = np.random.default_rng(columns)
        mask = np.tile(rng.random((11, columns)) < density, (3, 1))
        program = self.program(rng.integers(low, high, mask.shape, endpoint=True) * mask, 3)
        assert heard_of(program.connections[0].unrolled(), 11).bits == bits
        operations = [node.op_type for node in models.nodes(exported(program))]
        assert ("GatheredSum" in operations) == (form == "listed")
        assert ("CumSum" in operations) == (form != "dense")
        assert_exact(program, random_inputs(1, program, 3, 2))

    @pytest.mark.parametrize(("columns", "weight"), [(20, 3), (500, 64)])
    def test_numbers_that_take_a_byte_all_the_same(self, columns: int, weight: int) -> None:
        """Too few to be worth the nodes, or too wide to be worth the time to load."""
        program = self.program(np.full((9, columns), weight))
        assert heard_of(program.connections[0].unrolled(), 9).bits == 8
        assert "BitShift" not in {node.op_type for node in models.nodes(exported(program))}

    def test_a_matrix_that_is_too_large_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = importlib.import_module("lnn2loihi.converters.onnx_write.sparse")
        monkeypatch.setattr(module, "LARGEST_MATRIX", 90)
        exported(self.program(np.ones((9, 10))))
        with pytest.raises(
            InputError, match=r"input_to_layer\.mantissas: is a matrix of 99 numbers"
        ):
            exported(self.program(np.ones((9, 11))))

    def test_distances_beyond_a_byte(self) -> None:
        dense = np.zeros((3, 1000), np.int64)
        dense[0, [0, 999]], dense[1, [255, 511]], dense[2, 510] = 5, -7, 9
        program = self.program(dense)
        assert_exact(program, random_inputs(1, program, 2, 3))

    @pytest.mark.parametrize("largest", (7, 80))
    def test_few_numbers_are_placed_and_exact(self, largest: int) -> None:
        rng = np.random.default_rng(largest)
        dense = rng.integers(-largest, largest + 1, (9, 6000)) * (rng.random((9, 6000)) < 0.1)
        dense[0, :] = 0
        dense[0, [0, 255, 510, 1500]] = 5  # distances of whole bytes
        program = self.program(dense)
        operations = {node.op_type for node in models.nodes(exported(program))}
        assert "ScatterND" in operations and "GatheredSum" not in operations
        assert_exact(program, random_inputs(1, program, 4, 3))

    @given(data=st.data(), sources=st.integers(1, 900))
    def test_places_are_those_of_the_weights(self, data: st.DataObject, sources: int) -> None:
        """Distances of whole bytes too: no two entries stand at one place."""
        chosen = data.draw(st.sets(st.integers(0, 4 * sources - 1) | st.sampled_from([0])))
        chosen |= {place for place in (255, 510, 1020) if place < 4 * sources}
        places = np.array(sorted(chosen), np.int64)
        weights = np.arange(1, 2 * len(places) + 1, dtype=np.int32).reshape(-1, 2)
        distances, numbers = Heard("x", places, weights, 4, sources).placed
        found = np.cumsum(distances.astype(np.int64))
        assert len(np.unique(found)) == len(found)
        there = numbers.any(axis=1)
        assert np.array_equal(found[there], places) and np.array_equal(numbers[there], weights)

    def test_short_rows_are_gathered(self) -> None:
        rows = np.zeros((4, 10 * GATHERED_COST), np.int64)
        rows[:, :9] = 1
        assert "GatheredSum" in {n.op_type for n in models.nodes(exported(self.program(rows)))}
        rows[0, 9] = 1
        assert "MatMul" in {n.op_type for n in models.nodes(exported(self.program(rows)))}


class TestFile:
    def test_of_a_million_weights_is_hardly_larger_than_they_are(self) -> None:
        program = long_program()
        assert program.synapses > 2_900_000
        assert exported(program).ByteSize() < 1.1 * program.synapses

    def test_of_a_million_weights_of_four_bits_takes_half_a_byte_each(self) -> None:
        dense = np.random.default_rng(0).integers(1, 8, (3 * 600, 600))
        program = TestSynapses.program(dense, 3)
        assert program.synapses == dense.size > 1_000_000
        assert exported(program).ByteSize() < 1.1 * dense.size / 2

    def test_a_tenth_of_the_synapses_take_one_and_a_half_bytes(self) -> None:
        """The wiring of a layer is shared by the accumulators of its neurons, as in an NCP."""
        rng = np.random.default_rng(0)
        mask = np.tile(rng.random((1000, 1000)) < 0.1, (3, 1))
        program = TestSynapses.program(rng.integers(1, 9, mask.shape) * mask, 3)
        assert exported(program).ByteSize() < 1.5 * program.synapses

    @pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
    def test_of_a_small_network_is_small(self, variant: Variant) -> None:
        program = quantized(variant)
        assert exported(program).ByteSize() - program.synapses < 100_000

    @pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
    def test_holds_standard_integer_operators_and_one_scan(self, variant: Variant) -> None:
        model = exported(quantized(variant), record=True)
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == 10
        assert {(o.domain, o.version) for o in model.opset_import} == {("", 21), ("lnn2loihi", 1)}
        assert models.loop(model).node
        functions = {function.name for function in model.functions}
        for node in models.nodes(model):
            assert node.domain in ("", "lnn2loihi")
            if node.domain:
                assert node.op_type in functions
            else:
                assert onnx.defs.get_schema(node.op_type, 21).support_level.name == "COMMON"
        kinds = ("INT8", "INT32", "INT64", "UINT8", "UINT16", "BOOL")
        whole = {getattr(onnx.TensorProto, kind) for kind in kinds}
        assert {tensor.data_type for tensor in models.tensors(model)} <= whole
        casts = [a.i for n in models.nodes(model) if n.op_type == "Cast" for a in n.attribute]
        assert set(casts) <= whole

    def test_shows_neurons_and_instructions_as_functions(self) -> None:
        model = exported(quantized(Variant(layers=2)))
        names = {function.name for function in model.functions}
        assert {"cfc", "cfc_2", "linear"} <= names
        assert "MUL_SHR_15" in names and any(name.startswith("SHR_") for name in names)
        assert {n.op_type for n in models.loop(model).node if n.domain} == {
            "cfc",
            "cfc_2",
            "linear",
        }

    def test_populations_of_one_program_share_its_function(self) -> None:
        model = exported(random_program(0))
        assert [n.op_type for n in models.loop(model).node if n.domain] == ["cfc", "cfc", "linear"]

    def test_names_and_shapes(self) -> None:
        model = exported(quantized(KINDS["memory"]), record=True)

        def shapes(values: Any) -> dict[str, list[Any]]:
            return {
                v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
                for v in values
            }

        assert shapes(model.graph.input) == {
            "x": ["batch", "time", 4],
            "layer_0.memory.c": ["batch", 5],
            "layer_0.h": ["batch", 5],
        }
        assert shapes(model.graph.output) == {
            "y": ["batch", "time", 4],
            "layer_0.memory.c.final": ["batch", 5],
            "layer_0.h.final": ["batch", 5],
            "before.message.steps": ["batch", "updates", 6],
            "layer_0.memory.c.steps": ["batch", "updates", 5],
            "layer_0.memory.message.steps": ["batch", "updates", 5],
            "layer_0.h.steps": ["batch", "updates", 5],
            "after.message.steps": ["batch", "updates", 4],
        }

    @pytest.mark.parametrize("dtype", ["int32", "float64"])
    def test_outputs_with_scales_of_their_own_are_decoded(self, dtype: str) -> None:
        made, x = random_network(3, outputs=2), random_samples(3, 3, 9, 3)
        assert made.readout is not None
        readout = l2l.Linear(
            "readout", made.readout.weight * [[1e3], [1e-5]], np.array([7e5, -2.0])
        )
        program = l2l.quantize(dataclasses.replace(made, readout=readout), x)
        assert program.output_population.has_own_scales
        right = l2l.simulate(program, x, "blas").outputs
        model = exported(program, dtype=dtype)
        output = json.loads(models.metadata(model)["output"])
        assert "step" not in output and "fraction_bits" not in output
        if dtype == "float64":
            assert np.array_equal(models.run(model, {"x": x})["y"], right)
        else:
            messages = models.run(model, {"x": program.input.encode(x)[0]})["y"]
            assert np.array_equal(messages * output["scale"] + np.array(output["offset"]), right)

    def test_metadata_are_enough_to_encode_and_decode(self) -> None:
        program = quantized(KINDS["plain"])
        x, _ = samples(KINDS["plain"], 3, 5, seed=4)
        model = exported(program)
        said = models.metadata(model)
        assert said["recipe"] == program.recipe and said["sha256"] == fingerprint(program)
        port, output = json.loads(said["input"]), json.loads(said["output"])
        codes = np.floor((x - port["offset"]) * port["gain"] + 0.5)
        messages = models.run(model, {"x": np.clip(codes, port["low"], port["high"])})["y"]
        assert np.array_equal(messages * output["step"], l2l.simulate(program, x, "blas").outputs)
        assert "scale" not in output
        assert json.loads(said["messages"])["layer_0"]["format"] == "Q0.11"
        assert max(json.loads(said["accumulator_bits"])["layer_0"].values()) <= 24
        assert json.loads(said["schedule"])["period"] == 1

    def test_the_hash_is_that_of_the_saved_program(self, tmp_path: Any) -> None:
        program = random_program(1)
        content = l2l.save(program, tmp_path / "net.l2l").read_bytes()
        assert fingerprint(program).encode() in content
        assert fingerprint(random_program(2)) != fingerprint(program)

    def test_initial_states_are_in_the_metadata(self) -> None:
        program = random_program(1)
        said = json.loads(models.metadata(exported(program))["initial_state"])
        assert said["layer_0.h"] == program.population("layer_0").initial_state["h"].tolist()


class TestCodec:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("kind", ["plain", "pure"])
    def test_real_numbers_in_and_out(self, dtype: str, kind: str) -> None:
        program = quantized(KINDS[kind])
        x, elapsed = samples(KINDS[kind], 4, 6, seed=5)
        x[0], x[1, 0] = 1e6 * x[0], program.input.decode(program.input.low)[:3]  # saturates; exact
        x = x.astype(dtype)
        feed = {"x": x} if elapsed is None else {"x": x, "timespans": elapsed}
        model = exported(program, dtype=dtype)
        assert {"Encode", "Decode"} <= {function.name for function in model.functions}
        found = models.run(model, feed)["y"]
        truth = l2l.simulate(program, x, "blas", timespans=elapsed).outputs
        assert np.array_equal(found, truth.astype(dtype))

    def test_halves_are_rounded_up(self) -> None:
        program = quantized(KINDS["plain"])
        half = (np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])[:, None] / program.input.gain)[None]
        found = models.run(exported(program, dtype="float64"), {"x": half})["y"]
        assert np.array_equal(found, l2l.simulate(program, half, "blas").outputs)

    def test_the_integer_model_has_none(self) -> None:
        names = {function.name for function in exported(random_program(0)).functions}
        assert not names & {"Encode", "Decode"}


class TestRefusals:
    def test_unknown_types(self) -> None:
        with pytest.raises(InputError, match="'int8' is not one of int32, float32, float64"):
            exported(random_program(0), dtype="int8")

    def test_two_states_of_one_name(self) -> None:
        program = random_program(0, Sizes(layers=(2, 2)))
        neuron = program.populations[0].program
        renamed = dataclasses.replace(
            neuron,
            states=(("a.h", 12),),
            message_state="a.h",
            instructions=tuple(
                dataclasses.replace(i, result="a.h") if i.result == "h" else i
                for i in neuron.instructions
            ),
        )
        first, second, readout = program.populations
        first = dataclasses.replace(
            first, name="b", program=renamed, initial_state={"a.h": first.initial_state["h"]}
        )
        second = dataclasses.replace(second, name="b.a")
        names = {"layer_0": "b", "layer_1": "b.a"}
        links = [
            dataclasses.replace(
                link, source=names.get(link.source, link.source),
                target=names.get(link.target, link.target),
            )
            for link in (c.unrolled() for c in program.connections)
        ]  # fmt: skip
        clash = made("clash", program.input, [first, second, readout], links, "readout")
        with pytest.raises(InputError, match=r"would be called b\.a\.h, b\.a\.h\.final"):
            exported(clash)

    def test_without_onnx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "onnx", None)
        with pytest.raises(BackendMissingError, match="pip install 'onnx"):
            exported(random_program(0))
