"""Converted modules as one object: what they take and answer, quantizing, comparing, costs."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from converted_modules import (
    Computed,
    encoder_decoder,
    samples,
    sandwich,
    sequence_port,
    timed,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converted.costs import parameters_of
from lnn2loihi.converted.parts import (
    BATCH,
    ChipPart,
    ConvertedModule,
    HostPart,
    ModuleInput,
    StatePort,
    ValueName,
)
from lnn2loihi.converted.running import ConvertedResult
from lnn2loihi.converted.structure import given_arguments, places, with_tensors
from lnn2loihi.quantization.state_words import encoded_states

Pair = namedtuple("Pair", "mean spread")  # noqa: PYI024  as people write it


@dataclasses.dataclass
class Output:
    """An answer as a dataclass."""

    y: Any
    name: str = "it"


def only_chip(part: ConvertedModule) -> ChipPart:
    (found,) = part.chip_parts
    return found


class TestPredict:
    def test_host_parts_in_float_and_the_chip_in_integers(self) -> None:
        module, x = sandwich(), samples(4, 3, 12, 3)
        quantized = module.quantize(calibrate=x)
        program = only_chip(quantized).quantized()
        answered = l2l.simulate(program, np.tanh(x)).outputs[:, -1].astype(np.float32)
        raised = np.exp(answered - answered.max(axis=-1, keepdims=True))
        expected = raised / raised.sum(axis=-1, keepdims=True)
        assert np.array_equal(quantized.predict(x), expected)
        for executor in ("reference", "blas"):
            assert np.array_equal(quantized.predict(x, executor=executor), expected)
        assert np.abs(quantized.predict(x) - module.evaluate(x)).max() < 0.02
        assert quantized.predict(x).dtype == np.float32

    def test_states_go_from_part_to_part_as_real_values(self) -> None:
        module = encoder_decoder()
        x, z = samples(5, 2, 6, 2), samples(6, 2, 5, 2)
        quantized = module.quantize()
        y, states = quantized.predict(x, z=z)
        encoder, decoder = quantized.chip_parts
        first = l2l.simulate(encoder.quantized(), x)
        h = first.final_state["encoder"]["h"] * encoder.words[-1].step
        assert np.array_equal(states["h"], h[None].astype(np.float32))
        kept = {"decoder": h.astype(np.float32).astype(np.float64)}
        start = encoded_states(decoder.words, decoder.quantized(), kept)[0]
        second = l2l.simulate(decoder.quantized(), z, initial_state=start)
        assert np.array_equal(y, second.outputs.astype(np.float32))
        assert states["state"][1] is None and states["state"][0].shape == (1, 2, 4)
        floats = module.evaluate(x, z)
        assert np.abs(floats[0] - y).max() < 0.02
        assert np.abs(floats[1]["state"][0] - states["state"][0]).max() < 0.02

    def test_irregular_time(self) -> None:
        module = timed()
        x, dt = module.example["x"], module.example["dt"]
        answer, floats = module.predict(x, dt=dt), module.evaluate(x, dt=dt)
        assert answer.shape == (4, 9, 2) and np.abs(answer - floats).max() < 0.1
        assert np.abs(module.predict(x, dt=2.0 * dt) - answer).max() > 0.01
        module = module.quantize(calibrate=[(x, dt), {"x": x[:1, :5], "dt": dt[:1, :5]}])
        assert module.verify(x, dt, executors="reference,blas").bit_exact
        assert module.compare(x, dt).largest_share < 0.1  # type: ignore[operator]
        with pytest.raises(l2l.InputError, match="dt has 4 along time where x has 9"):
            module.predict(x, dt=dt[:, :4])

    def test_a_module_that_nobody_has_quantized_is_quantized_once_and_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        module, x = sandwich(), samples(4, 3, 12, 3)
        assert not module.is_quantized
        first = module.run(x)
        assert "nobody has quantized it" in caplog.text
        assert "nobody has quantized it: this was done with recipe w8a12" in first.notes[-1]
        assert module.ready is module.ready and module.ready.is_quantized
        assert first.summary().endswith("takes typical inputs")
        assert module.quantize(calibrate=x).run(x).notes == ()

    def test_what_saturates_is_counted(self) -> None:
        module = encoder_decoder().quantize()
        found = module.run(100.0 * module.example["x"], module.example["z"])
        assert found.saturated_inputs > 0
        encode = found.parts["encode"]
        counted = f"{encode.saturated_inputs:,} of {encode.input_values:,} input values"
        assert f"{counted} outside" in str(found)
        (warning,) = found.warnings
        assert warning.startswith(f"encode: {counted} (") and f"warning: {warning}" in str(found)
        decoder = module.chip_parts[1]
        states = {"decoder": np.full((1, 4), 5.0)}
        start, lost = encoded_states(decoder.words, decoder.quantized(), states)
        assert lost == {"decoder": 4}
        assert start["decoder"]["sent"].tolist() == [[2047] * 4]

    def test_predict_says_once_on_the_log_what_saturates(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        module = encoder_decoder().quantize()
        module.predict(module.example["x"], module.example["z"])
        assert caplog.text == ""
        for _ in range(2):
            module.predict(100.0 * module.example["x"], module.example["z"])
        assert caplog.text.count("input values (100.00 %)") == 1

    def test_initial_states_that_no_word_holds_are_warned_of(self) -> None:
        found = ConvertedResult(None, {}, {"decode": {"decoder": 4}})
        assert found.warnings == (
            "decode: 4 values of the initial state decoder are beyond what its words hold, and "
            "were clipped",
        )

    def test_tensors_are_answered_with_tensors(self) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        module = encoder_decoder().quantize()
        x, z = module.example["x"], module.example["z"]
        y, states = module.predict(torch.tensor(x), z)
        assert isinstance(y, torch.Tensor) and isinstance(states["h"], torch.Tensor)
        assert np.array_equal(y.numpy(), module.predict(x, z)[0])

    def test_a_bare_cell_and_an_answer_of_one_number(self) -> None:
        network = l2l.LiquidNetwork(
            "cell", (encoder_decoder().chip_parts[0].float_network().layers)
        )
        part = ChipPart(
            "cell", network,
            (dataclasses.replace(sequence_port("x", 0, 1), axes=("features",)),),
            (dataclasses.replace(sequence_port("y", 2, at=-1), axes=()),),
            initial=(StatePort("h", (4,), None, tuple(("encoder", u) for u in range(4))),),
        )  # fmt: skip
        module = ConvertedModule(
            "Cell", (ModuleInput("x", (None,), (2,), "float32"),
                     ModuleInput("h", (None,), (4,), "float32")),
            ((ValueName("x"), ValueName("h")), {}), (part,), ValueName("y"),
            {"x": samples(1, 2), "h": np.zeros(4, np.float32)},
        )  # fmt: skip
        calls = [(samples(seed, 2), 0.5 * samples(seed + 100, 4)) for seed in range(40)]
        module = module.quantize(calibrate=calls)
        answer = module.predict([0.5, -0.5], [0.1, 0.2, 0.3, 0.4])
        assert answer.shape == ()
        assert abs(answer - module.evaluate([0.5, -0.5], [0.1, 0.2, 0.3, 0.4])) < 0.05


class TestWrongArguments:
    def test_all_that_is_wrong_is_listed_by_name(self) -> None:
        module = encoder_decoder()
        x, z = module.example["x"], module.example["z"]
        with pytest.raises(l2l.InputError) as error:
            module.predict(x[0], z[:, :3])
        assert error.value.subject == "module 'Seq2Seq'"
        assert error.value.problems == (
            "x has shape (8, 2), expected (batch, time, 2)",
            "z has shape (3, 3, 2), expected (batch, 5, 2)",
        )
        with pytest.raises(l2l.InputError, match="z has 2 along batch where x has 3"):
            module.predict(x, z[:2])
        with pytest.raises(l2l.InputError, match="z is missing"):
            module.predict(x)
        with pytest.raises(l2l.InputError, match="x is given twice"):
            module.predict(x, z, x=x)
        with pytest.raises(l2l.InputError, match="3 arguments by position, the example had 2"):
            module.predict(x, z, z)
        with pytest.raises(l2l.InputError, match=r"no argument 'w' .* there are x, z"):
            module.predict(x, z, w=1)
        with pytest.raises(l2l.InputError, match="x is empty"):
            module.predict(x[:0], z[:0])
        with pytest.raises(l2l.InputError, match="x is not an array of numbers"):
            module.predict("text", z)

    def test_numbers_that_no_message_stands_for_are_named_by_their_value(self) -> None:
        module = encoder_decoder()
        z = module.example["z"].copy()
        z[1, 2] = np.nan
        for call in (module.predict, module.evaluate):
            with pytest.raises(l2l.InputError, match="part 'decode': z holds 2 NaN or infinite"):
                call(module.example["x"], z)

    def test_integers_stay_integers(self) -> None:
        inputs = [ModuleInput("ids", (BATCH, None), (2, 3), "int64"),
                  ModuleInput("mask", (BATCH, None), (2, 3), "bool")]  # fmt: skip
        example = ((ValueName("ids"), ValueName("mask")), {})

        def given_ones(ids: Any, mask: Any) -> Any:
            return given_arguments("it", inputs, example, (ids, mask), {}).values

        found = given_ones(np.ones((4, 3), np.int16), np.ones((4, 3), bool))
        assert found["ids"].dtype == np.int64 and found["mask"].dtype == bool
        with pytest.raises(l2l.InputError) as error:
            given_ones(np.ones((4, 3)), np.ones((4, 3), np.int64))
        assert error.value.problems == (
            "ids is float64, expected int64", "mask is int64, expected bool",
        )  # fmt: skip
        with pytest.raises(l2l.InputError, match="ids holds numbers that int64 does not"):
            given_ones(np.full((4, 3), 2**64 - 1, np.uint64), np.ones((4, 3), bool))

    def test_a_host_part_that_fails_is_named_with_what_it_was_given(self) -> None:
        module = sandwich()
        first = dataclasses.replace(
            module.host_parts[0], function=Computed(lambda x: x.reshape(7, 11))
        )
        module = dataclasses.replace(module, parts=(first, *module.parts[1:]))
        with pytest.raises(
            l2l.InputError, match=r"host part 'before': fails with x \(4, 9, 3\): ValueError"
        ):
            module.predict(module.example["x"])
        first = dataclasses.replace(first, function=Computed(lambda x: (x, x)))
        module = dataclasses.replace(module, parts=(first, *module.parts[1:]))
        with pytest.raises(l2l.InputError, match="answers 2 values, expected 1: scaled"):
            module.predict(module.example["x"])


class TestStructures:
    STRUCTURE = (
        ValueName("a"),
        {"k": [ValueName("b"), None], 3: "text"},
        Pair(ValueName("c"), 2.5),
        Output(ValueName("d")),
        OrderedDict(e=ValueName("e")),
    )

    def test_answers_keep_their_types(self) -> None:
        made = with_tensors(self.STRUCTURE, str.upper)
        assert made == ("A", {"k": ["B", None], 3: "text"}, Pair("C", 2.5), Output("D"), {"e": "E"})
        assert type(made[2]) is Pair and type(made[4]) is OrderedDict
        assert [place for place, _ in places(self.STRUCTURE, "answer")] == [
            "answer[0]", "answer[1]['k'][0]", "answer[2].mean", "answer[3].y", "answer[4]['e']",
        ]  # fmt: skip

    def inputs(self) -> list[ModuleInput]:
        return [ModuleInput(n, (BATCH,), (2,), "float32") for n in "abcde"]

    def test_arguments_of_any_structure(self) -> None:
        given_ones = with_tensors(self.STRUCTURE, lambda name: np.full(3, ord(name)))
        found = given_arguments("it", self.inputs(), (self.STRUCTURE, {}), given_ones, {})
        assert {n: int(v[0]) for n, v in found.values.items()} == {n: ord(n) for n in "abcde"}
        assert found.sizes == {BATCH: 3}

    @pytest.mark.parametrize(
        ("place", "value", "text"),
        [
            (1, {"k": [np.zeros(2)], 3: "text"}, r"argument 1\['k'\]|b\['k'\] is a list of 1"),
            (1, {"k": [np.zeros(2), None], 4: "text"}, "is a dict of 'k', 4, expected a dict"),
            (1, {"k": [np.zeros(2), None], 3: "other"}, "'other', and was 'text' when"),
            (1, {"k": [np.zeros(2), 7], 3: "text"}, "is 7, and was None when the module"),
            (2, Pair(np.zeros(2), 2), "c.spread is 2, and was 2.5 when"),
            (2, np.zeros((2, 2)), r"c is an array of shape \(2, 2\), expected a Pair of 2"),
            (3, 5, "d is of type int, expected of type Output"),
            (0, None, "a is None, the example had an array there"),
        ],
    )
    def test_another_structure_is_refused_by_its_place(
        self, place: int, value: Any, text: str
    ) -> None:
        args = list(with_tensors(self.STRUCTURE, lambda name: np.zeros(2)))
        args[place] = value
        with pytest.raises(l2l.InputError, match=text):
            given_arguments("it", self.inputs(), (self.STRUCTURE, {}), args, {})

    def test_what_is_no_tensor_may_be_left_out_and_positions_be_named(self) -> None:
        example = ((ValueName("a"), None, 4), {"flag": True, "b": ValueName("b")})
        inputs = self.inputs()[:2]
        ones = np.ones(2)
        for args, keywords in (
            ((ones,), {"b": ones}), ((), {"a": ones, "b": ones}),
            ((ones, None, 4), {"b": ones, "flag": True}), ((ones, None, 4, ones), {}),
        ):  # fmt: skip
            found = given_arguments("it", inputs, example, args, keywords)
            assert set(found.values) == {"a", "b"}
        with pytest.raises(l2l.InputError, match="flag is False, and was True"):
            given_arguments("it", inputs, example, (ones,), {"b": ones, "flag": False})


class TestQuantize:
    def test_data_in_every_form_give_the_same(self) -> None:
        module, x = sandwich(), samples(4, 6, 12, 3)
        expected = only_chip(module.quantize(calibrate=x)).program
        batches = [x[:4], x[4:]]
        labels = np.zeros(4)
        for data in (
            (x,), {"x": x}, x.tolist(), [(x[:4],), {"x": x[4:]}], batches, iter(batches),
            ([batch, labels] for batch in batches), lambda: iter(batches),
        ):  # fmt: skip
            if data == x.tolist():
                continue  # nested lists are a list of calls, each an array of two axes
            assert only_chip(module.quantize(calibrate=data)).program == expected

    def test_calls_of_different_length(self) -> None:
        module = sandwich()
        calls = [samples(4, 2, 12, 3), samples(5, 3, 7, 3)]
        made = only_chip(module.quantize(calibrate=calls)).quantized()
        assert made.table[0]["compared"] == (2 * 12 + 3 * 7) * 3

    def test_each_part_hears_what_comes_before_it(self) -> None:
        module = encoder_decoder()
        quantized = module.quantize("w8a12", calibrate=tuple(module.example.values()))
        for part in quantized.chip_parts:
            rows = [row for row in part.quantized().table if row["worst_db"] is not None]
            assert rows and all(row["worst_db"] > 25.0 for row in rows)

    def test_recipes_of_layers_find_their_part(self) -> None:
        module = encoder_decoder()
        made = module.quantize(layers={"encoder": "w4a8", "decode.decoder": "w6a10"})
        recipes = [part.quantized().recipe for part in made.chip_parts]
        assert "w4a8" in recipes[0] and "w6a10" in recipes[1]
        with pytest.raises(l2l.QuantizationError, match="no layer 'a'; there are decoder, encoder"):
            module.quantize(layers={"a": "w4a8"})

    def test_problems_of_all_parts_are_listed(self) -> None:
        with pytest.raises(l2l.QuantizationError) as error:
            encoder_decoder().quantize("w9")
        assert [text[:14] for text in error.value.problems] == ["part 'encode':", "part 'decode':"]
        with pytest.raises(l2l.QuantizationError, match="correction: 'x' does not exist"):
            encoder_decoder().quantize(correction="x")

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (3, "calibrate: is of type int; give an array"),
            ([], "calibrate: holds no call"),
            ([(np.zeros((1, 2, 2)),)], "calibrate, call 0: module 'Seq2Seq': z is missing"),
            ({"x": 3, "z": 4}, r"x has shape \(\), expected \(batch, time, 2\)"),
        ],
    )
    def test_wrong_data(self, data: Any, text: str) -> None:
        with pytest.raises(l2l.InputError, match=text):
            encoder_decoder().quantize(calibrate=data)


class TestCompareAndTrace:
    def test_end_to_end_and_part_by_part(self) -> None:
        module = sandwich().quantize()
        x = module.example["x"]
        found = module.compare(x)
        (error,) = found.answer
        truth, own = module.evaluate(x), module.predict(x)
        assert error.largest == pytest.approx(float(np.abs(own - truth).max()))
        assert error.share == pytest.approx(error.largest / float(np.ptp(truth)))
        assert found.against == "float parts" and found.float_answer == ()
        assert [part.part for part in found.parts] == ["before", "chip", "after"]
        assert found.parts[0].outputs[0].largest == 0.0
        assert found.warnings == () and found.largest_share == error.share
        assert found.stages["chip"].output.rms > 0.0
        text = str(found)
        assert "host parts pass on what they are given" in text and "chip part chip" in text
        assert found.to_dict()["answer"][0]["name"] == "answer"

    def test_outputs_that_are_far_off_are_named(self) -> None:
        module = sandwich().quantize("w2a4")
        (warning,) = module.compare(module.example["x"]).warnings
        assert "answer is off by up to" in warning and "part 'chip' answers with" in warning

    def test_the_live_module_is_what_it_is_compared_with(self) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        module = sandwich().quantize()

        class Live(torch.nn.Module):
            calls = 0

            def forward(self, x: Any) -> Any:
                assert not self.training
                self.calls += 1
                return torch.tensor(module.evaluate(x.numpy())) + 0.5

        live = Live()
        found = module.compare(module.example["x"], module=live)
        assert found.against == "module" and found.float_answer[0].largest == pytest.approx(0.5)
        assert found.answer[0].largest > 0.49 and live.calls == 0 and live.training
        with pytest.raises(
            l2l.InputError, match=r"answer: has shape \(4, 2\), expected \(4, 9, 3\)"
        ):
            module.compare(module.example["x"], module=torch.nn.Identity())
        with pytest.raises(l2l.InputError, match="module: cannot be called: RuntimeError"):
            module.compare(module.example["x"], module=torch.nn.Linear(2, 2))
        with pytest.raises(l2l.InputError, match="module: is <class .*; give the live module"):
            module.compare(module.example["x"], module=torch.nn.Linear)

    def test_every_value_is_traced(self) -> None:
        module = encoder_decoder().quantize()
        x, z = module.example["x"], module.example["z"]
        found = module.trace(x, z)
        assert list(found.values) == ["x", "z", "h", "y", "state"]
        assert found["h"].made_by == "encode" and found["h"].on_chip and not found["x"].on_chip
        assert np.array_equal(found["y"].answered, module.predict(x, z)[0])
        floats = found["y"].floats
        assert floats is not None and np.array_equal(floats, module.evaluate(x, z)[0])
        states = found.parts["decode"].states
        assert states is not None and states["decoder"]["h"].shape == (3, 5, 4)
        assert "encode" in str(found)


class TestCosts:
    def test_every_part_is_verified_on_what_it_hears(self) -> None:
        module = encoder_decoder().quantize()
        found = module.verify(*module.example.values(), executors="reference,blas")
        assert found.bit_exact and list(found.parts) == ["encode", "decode"]
        assert found.to_dict()["bit_exact"] and "part decode: BIT EXACT" in str(found)
        own = module.run(*module.example.values(), executor="reference").parts["decode"]
        assert found.parts["decode"].samples == own.counters.samples == 15

    def test_parts_are_placed_and_profiled_and_host_parts_counted_as_such(self) -> None:
        module = sandwich().quantize()
        (placement,) = module.place().values()
        assert placement.cores
        options = {"against": (), "quick": True}
        found = module.profile(module.example["x"], options=options)
        assert [h.part for h in found.host] == ["before", "after"]
        assert found.share_on_chip == pytest.approx(480 / 500)
        (steps,) = found.chip_steps
        program = only_chip(module).quantized()
        assert steps.steps == program.latency_steps + 8 * program.steps_per_sample
        assert (steps.values_in, steps.values_out) == (3.0, pytest.approx(8 / 36))
        assert "time and energy of host parts are not estimated" in str(found)
        assert found.to_dict()["host"][1]["multiply_adds"] == 20

    def test_what_waits_for_the_host_is_said_in_steps(self) -> None:
        module = encoder_decoder().quantize()
        found = module.profile(*module.example.values(), options={"against": (), "frontier": False})
        encode, decode = found.chip_steps
        assert decode.waits_for == "encode" and encode.waits_for == ""
        assert f"takes {encode.steps} + {decode.steps} chip steps one after the other" in str(found)
        assert "counted from states of zero" in str(found)

    def test_the_page_opens_from_disk(self, tmp_path: Path) -> None:
        module = sandwich()
        named = dataclasses.replace(module, name="<b>it</b>")
        page = named.report(tmp_path / "page.html").read_text("utf-8")
        assert "<b>it</b>" not in page and "&lt;b&gt;it&lt;/b&gt;" in page
        assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
        for words in ("Chip part chip", "On the host", "Difference", "softmax", "4×9×3"):
            assert words in page
        with pytest.raises(l2l.InputError, match=r"reports are written as \.html"):
            module.report(tmp_path / "page.txt")

    def test_parameters_of_live_host_parts_are_counted(self) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        part = sandwich().host_parts[0]
        assert parameters_of(part) is None
        function: Any = Computed(np.tanh)
        function.module = torch.nn.Linear(3, 2)
        assert parameters_of(dataclasses.replace(part, function=function)) == 8

    def test_the_table_of_parts(self) -> None:
        text = str(sandwich())
        assert "Sandwich: x (batch, time, 3) float32; on the chip 96.00 % of 500" in text
        assert "before is on the host: why" in text
        assert sandwich().to_dict()["parts"][1]["on"] == "chip"


class TestChecks:
    """What contradicts itself is found when a module is made."""

    @staticmethod
    def problems(**changes: Any) -> str:
        with pytest.raises(l2l.NetworkError) as error:
            dataclasses.replace(encoder_decoder(), **changes)
        return str(error.value)

    def test_values_are_made_before_they_are_taken(self) -> None:
        encode, decode = encoder_decoder().chip_parts
        text = self.problems(parts=(decode, encode))
        assert "part 'decode' takes h, which nothing before it answers" in text
        assert "answer[2] is w" not in text
        text = self.problems(
            answer=(ValueName("y"), ValueName("w")), parts=(encode, encode, decode)
        )
        assert "answer[1] is w, which no part answers" in text
        assert "part 'encode' answers h, which is there before it" in text
        assert "names of parts are not unique" in text

    def test_arguments_hold_the_inputs(self) -> None:
        assert "arguments hold x, its inputs are x, z" in self.problems(
            arguments=((ValueName("x"),), {})
        )

    def test_names_are_lines(self) -> None:
        assert "is not one line of printable text" in self.problems(name="a\nb")

    def test_ports_fit_their_network(self) -> None:
        encode, decode = encoder_decoder().chip_parts
        wrong = dataclasses.replace(
            decode, inputs=(sequence_port("z", 0),), outputs=(sequence_port("y", 3),),
            initial=(StatePort("h", (4,), 5, tuple(("encoder", u) for u in range(4))),),
            elapsed=sequence_port("z", 1),
        )  # fmt: skip
        text = self.problems(parts=(encode, wrong))
        assert "it hears columns [0], its network has 2 inputs" in text
        assert "y is outputs [3], its network has 1" in text
        assert "h has its batch along axis 5 of 2" in text
        assert "h holds unit 0 of 'encoder'; there are decoder (4)" in text
        assert "time is constant, and z holds times" in text
        assert "z holds elapsed times, and has columns" in text

    def test_a_module_has_a_part_on_the_chip(self) -> None:
        part = HostPart("all", ("x", "z"), ("y", "h", "state"), Computed(np.tanh))
        assert "it has no part on the chip" in self.problems(parts=(part,))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 4), st.integers(1, 6), st.floats(0.1, 20.0))
def test_executors_agree_whatever_comes(batch: int, time: int, scale: float) -> None:
    module = _QUANTIZED
    x, z = scale * samples(batch, batch, time, 2), scale * samples(time, batch, 5, 2)
    expected = module.predict(x, z, executor="reference")
    for executor in ("blas", "auto"):
        found = module.predict(x, z, executor=executor)
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1]["h"], expected[1]["h"])
        assert np.array_equal(found[1]["state"][0], expected[1]["state"][0])


_QUANTIZED = encoder_decoder().quantize()
