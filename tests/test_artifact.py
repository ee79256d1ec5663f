"""Saved programs come back equal; damaged and hostile files raise ArtifactError and only that."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Sizes, random_inputs, random_program
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from test_program import ROW

from lnn2loihi import artifact
from lnn2loihi.artifact import load, save
from lnn2loihi.errors import ArtifactError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.sealed import LARGEST_FILE, checksum, ordered
from lnn2loihi.simulation import simulate

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], Any]
SMALL = Sizes(inputs=2, layers=(2,), readout=1)
MEGABYTE = 1 << 20


@cache
def small() -> LoihiProgram:
    start = random_program(1, SMALL)
    return dataclasses.replace(start, table=(ROW,), provenance={"source": "by hand"})


@cache
def small_bytes() -> bytes:
    arrays: dict[str, np.ndarray] = {}
    manifest = json.dumps(artifact._manifest(small(), arrays), sort_keys=True)
    return container(manifest, arrays)


def container(manifest: str, arrays: dict[str, np.ndarray]) -> bytes:
    metadata = {"manifest": manifest, "sha256": checksum(manifest, arrays)}
    return ordered(save_arrays(arrays, metadata))


def header_of(content: bytes) -> dict[str, Any]:
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def with_header(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def forged(change: Change) -> bytes:
    """The small program's file with another manifest or other arrays, and a fresh checksum."""
    arrays = dict(load_arrays(small_bytes()))
    manifest = json.loads(header_of(small_bytes())["__metadata__"]["manifest"])
    replaced = change(manifest, arrays)
    text = replaced if isinstance(replaced, str) else json.dumps(manifest)
    return container(text, arrays)


def reading(path: Path, content: bytes) -> LoihiProgram:
    path.write_bytes(content)
    return load(path)


def refused(path: Path, content: bytes) -> str:
    with pytest.raises(ArtifactError) as caught:
        reading(path, content)
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.l2l"


class TestRoundTrip:
    @settings(max_examples=25)
    @given(
        st.integers(0, 10**6),
        st.builds(
            Sizes,
            layers=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
            readout=st.integers(0, 2),
            activation=st.sampled_from(["ramp12", "ramp16", "lines16", "hard"]),
            skip_delay=st.booleans(),
        ),
    )
    def test_a_loaded_program_is_equal_and_answers_the_same(
        self, path: Path, seed: int, sizes: Sizes
    ) -> None:
        program = random_program(seed, sizes)
        save(program, path)
        loaded = load(path)
        assert loaded == program
        x = random_inputs(seed, program, 1, 3)
        first, second = (simulate(p, x, engine="reference") for p in (loaded, program))
        assert np.array_equal(first.integers, second.integers)

    def test_table_and_provenance_come_back(self, path: Path) -> None:
        assert save(small(), str(path)) == path
        loaded = load(str(path))
        assert loaded == small()
        assert dict(loaded.table[0]) == ROW and loaded.provenance["source"] == "by hand"

    def test_saving_twice_gives_the_same_bytes(self, path: Path, tmp_path: Path) -> None:
        save(small(), path)
        save(load(path), tmp_path / "again.l2l")
        assert (tmp_path / "again.l2l").read_bytes() == path.read_bytes()

    def test_the_forger_of_these_tests_changes_nothing_by_itself(self, path: Path) -> None:
        assert reading(path, forged(lambda m, a: None)) == small()


class TestWriting:
    @pytest.mark.parametrize("step", ["os.fsync", "os.replace", "os.fchmod"])
    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_an_interrupted_write_leaves_the_old_file_and_no_other(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
    ) -> None:
        save(random_program(2, SMALL), path)
        old = path.read_bytes()

        def interrupted(*_: object) -> None:
            raise error

        monkeypatch.setattr(step, interrupted)
        expected = ArtifactError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            save(small(), path)
        assert path.read_bytes() == old
        assert os.listdir(path.parent) == [path.name]

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="cannot be written: No such file or directory"):
            save(small(), tmp_path / "nowhere" / "net.l2l")

    def test_a_folder_is_not_replaced(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(ArtifactError, match="cannot be written"):
            save(small(), path)
        assert os.listdir(path.parent) == [path.name]


class TestDamage:
    @settings(max_examples=300)
    @given(st.data())
    def test_any_changed_byte_is_noticed(self, path: Path, data: st.DataObject) -> None:
        content = bytearray(small_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            loaded = load(path)
        except ArtifactError:
            return
        # White space between the fields of a header is all that a checksum cannot see.
        assert loaded == small() and chr(content[place]) in " \t\r\n"

    def test_every_bit_of_the_length_counts(self, path: Path) -> None:
        for place in range(8):
            for bit in range(8):
                content = bytearray(small_bytes())
                content[place] ^= 1 << bit
                refused(path, bytes(content))

    def test_a_truncated_file_is_refused_wherever_it_ends(self, path: Path) -> None:
        content = small_bytes()
        header_end = 8 + int.from_bytes(content[:8], "little")
        ends = {0, 1, 7, 8, 9, header_end - 1, header_end, header_end + 1, len(content) - 1}
        for end in sorted(ends | set(range(10, len(content), 97))):
            refused(path, content[:end])

    @pytest.mark.parametrize("tail", [b"\0", b" ", b"a" * 999])
    def test_a_file_that_is_too_long_is_refused(self, path: Path, tail: bytes) -> None:
        refused(path, small_bytes() + tail)

    @given(content=st.binary(max_size=200))
    def test_random_bytes_are_refused(self, path: Path, content: bytes) -> None:
        refused(path, content)
        refused(path, struct.pack("<Q", len(content)) + content)

    def test_the_message_says_what_is_wrong(self, path: Path) -> None:
        content = small_bytes()
        assert "is truncated or no .l2l file: it has 0 bytes" in refused(path, b"")
        assert "is truncated or no .l2l file" in refused(path, content[:300])
        array = io.BytesIO()
        np.save(array, np.zeros(3))
        said = refused(path, array.getvalue())
        assert said.endswith("no .l2l file: by its content it is an array (.npy)")
        assert "is not a valid safetensors file" in refused(path, content[:-1])
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        assert "its checksum does not match its content" in refused(path, flipped)
        plain = save_arrays({"a": np.zeros(2)})
        assert "it is a safetensors file, but no .l2l program" in refused(path, plain)

    def test_what_is_no_file_is_refused(self, path: Path, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match=r"net\.l2l: there is no such file"):
            load(path)
        with pytest.raises(ArtifactError, match="is a folder, not a file"):
            load(tmp_path)
        os.mkfifo(path)
        with pytest.raises(ArtifactError, match="is a pipe, not a file"):
            load(path)


def replace(*keys: Any, value: Any) -> Change:
    """Sets one entry of the manifest."""

    def change(manifest: Any, _: dict[str, np.ndarray]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


def remove(*keys: Any) -> Change:
    def change(manifest: Any, _: dict[str, np.ndarray]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        del manifest[keys[-1]]

    return change


def paths_of(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a manifest, containers included."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found: list[tuple[Any, ...]] = []
    for key in keys:
        found.append((*before, key))
        if isinstance(value[key], (dict, list)):
            found += paths_of(value[key], (*before, key))
    return found


@cache
def places() -> list[tuple[Any, ...]]:
    return paths_of(json.loads(header_of(small_bytes())["__metadata__"]["manifest"]))


WRONG_VALUES: list[Any] = [
    None, True, -1, 1 << 31, 10**12, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\x1b[2J",
    [], {}, [[]], ["x"], {"x": 1}, "\ud800",
]  # fmt: skip


class TestHostileManifests:
    """The checksum is right: whoever wrote the file wanted to be believed."""

    @settings(max_examples=400)
    @given(st.data())
    def test_a_wrong_value_anywhere_is_refused_or_makes_a_sound_program(
        self, path: Path, data: st.DataObject
    ) -> None:
        place = data.draw(st.sampled_from(places()))
        content = forged(replace(*place, value=data.draw(st.sampled_from(WRONG_VALUES))))
        try:
            loaded = reading(path, content)
        except ArtifactError:
            return
        # It proved itself, so it runs, prints and is saved like any other.
        simulate(loaded, random_inputs(0, loaded, 1, 2), engine="reference")
        loaded.summary()
        save(loaded, path)
        assert load(path) == loaded

    @settings(max_examples=100)
    @given(st.data())
    def test_a_missing_entry_is_refused_or_makes_a_sound_program(
        self, path: Path, data: st.DataObject
    ) -> None:
        try:
            loaded = reading(path, forged(remove(*data.draw(st.sampled_from(places())))))
        except ArtifactError:
            return
        simulate(loaded, random_inputs(0, loaded, 1, 2), engine="reference")

    POPULATION = ("populations", 0)
    PROGRAM = ("populations", 0, "program")
    CONNECTION = ("connections", 0)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (replace("format", value="x"), "its format is 'x', not 'lnn2loihi program'"),
            (replace("schema", value=6), "schema version 6 is unknown; this lnn2loihi reads"),
            (replace("schema", value=None), "schema version None is unknown"),
            (remove("schema"), "schema version None is unknown"),
            (remove("input"), "its manifest is not a program's (KeyError: 'input')"),
            (remove(*POPULATION, "size"), "KeyError: 'size'"),
            (replace("name", value=3), "expected text, found 3"),
            (replace("populations", value={}), "expected a list, found {}"),
            (replace("populations", value="ab"), "expected a list, found 'ab'"),
            (replace("populations", value=[]), "output 'readout' is not a population"),
            (replace("connections", value=[]), "gets no input from any earlier stage"),
            (replace(*POPULATION, "size", value=-1), "at least one neuron, not -1"),
            (replace(*POPULATION, "size", value=10**12), "expected an integer, found 10000000000"),
            (replace(*POPULATION, "size", value=1 << 31), "instructions times neurons; the limit"),
            (replace(*POPULATION, "size", value=True), "expected an integer, found True"),
            (replace(*POPULATION, "size", value=2.0), "expected an integer, found 2.0"),
            (replace(*POPULATION, "message", value=[25, 0]), "no fixed-point format: [25, 0]"),
            (replace(*POPULATION, "message", value=[12, 1001]), "no fixed-point format"),
            (replace(*POPULATION, "message", value=[12]), "not enough values to unpack"),
            (replace(*POPULATION, "message_range", value="12"), "expected a list, found '12'"),
            (replace(*PROGRAM, "accumulators", value="abc"), "expected a list, found 'abc'"),
            (replace(*PROGRAM, "instructions", value="abcd"), "expected a list, found 'abcd'"),
            (replace(*PROGRAM, "instructions", 0, value="abcd"), "expected a list, found 'abcd'"),
            (replace(*PROGRAM, "instructions", 0, 2, value="a"), "expected a list, found 'a'"),
            (replace(*PROGRAM, "instructions", 1, 2, value=[[], {}]), "expected an integer"),
            (replace(*PROGRAM, "instructions", 1, 2, value=[None, 1]), "expected an integer"),
            (replace(*PROGRAM, "instructions", 2, 3, value=99), "shift 99 is outside 0..31"),
            (replace(*PROGRAM, "instructions", 0, 0, value="EXEC"), "program 'cfc': instruction 0"),
            (replace(*PROGRAM, "bounds", value=[]), "which needs"),
            (replace(*PROGRAM, "message_state", value=""), "a recurrent neuron keeps its message"),
            (replace(*CONNECTION, "columns", value="nothing"), "KeyError: 'nothing'"),
            (replace(*CONNECTION, "columns", value=["x"]), "expected text, found ['x']"),
            (replace(*CONNECTION, "columns", value="input.low"), "KeyError: 'input.low'"),
            (replace(*CONNECTION, "mantissas", value="connections.0.columns"), "KeyError"),
            (replace(*CONNECTION, "exponent", value=-1), "connections only shift left"),
            (replace("schedule", "period", value=2), "not the one that its connections ask for"),
            (replace("schedule", "first_valid", value=[]), "AttributeError"),
            (replace("provenance", value={"x": 1}), "expected text, found 1"),
            (replace("table", value=[[["stage", "x"]]]), "AttributeError"),
            (replace("table", value=[{}]), "column 'stage' is missing"),
            (replace("table", 0, "range_used", value=float("nan")), "range_used is nan"),
            (lambda m, a: "[]", "AttributeError"),
            (lambda m, a: "{", "JSONDecodeError"),
            (lambda m, a: "[" * 100_000, "its manifest is not a program's"),
            (lambda m, a: a.update(extra=np.zeros(1)), "does not name: ['extra']"),
            (lambda m, a: a.pop("input.low") is None, "KeyError: 'input.low'"),
            (lambda m, a: a.update({"input.low": np.zeros(2)}), "float64 (2,), expected"),
            (lambda m, a: a.update({"input.low": np.zeros((2, 1), np.int32)}), "(2, 1), expected"),
            (lambda m, a: a.update({"input.low": np.zeros(2, np.uint32)}), "uint32 (2,), expected"),
            (
                lambda m, a: a.update({"input.low": np.array([-4096, 0], np.int32)}),
                "its ranges do not fit",
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, path: Path, change: Change, message: str) -> None:
        assert message in refused(path, forged(change))

    def test_a_message_stays_short_however_long_the_wrong_value_is(self, path: Path) -> None:
        assert len(refused(path, forged(replace("name", value=list(range(10**5)))))) < 400


def test_a_file_with_two_synapses_of_one_pair_names_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions wrote such files, and engines did not agree on their answers."""
    start = small()
    first, *others = start.connections
    columns = np.array(first.columns)
    row = int(np.flatnonzero(np.diff(first.row_starts) > 1)[0])
    place = int(first.row_starts[row])
    columns[place + 1] = columns[place]
    changed = dataclasses.replace(first, columns=columns)
    with monkeypatch.context() as patch:
        patch.setattr(type(first), "problems", lambda *_: [])
        save(dataclasses.replace(start, connections=(changed, *others)), path)
    expected = rf"net\.l2l: .*{first.name}: row {row} has source {columns[place]} more than once"
    with pytest.raises(ArtifactError, match=expected):
        load(path)


class TestHostileSizes:
    """Refused with little memory, whatever a file claims."""

    @pytest.fixture(autouse=True)
    def little_memory(self) -> Any:
        tracemalloc.start()
        yield
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 150 * MEGABYTE

    def test_a_header_of_terabytes(self, path: Path) -> None:
        content = struct.pack("<Q", 1 << 42) + b"{}"
        assert "by its content it is weights (safetensors)" in refused(path, content)
        content = struct.pack("<Q", 1 << 42) + b"\x00\x01"
        assert "its header claims 4398046511104" in refused(path, content)

    def test_a_sparse_file_of_terabytes(self, path: Path) -> None:
        path.write_bytes(small_bytes())
        with path.open("r+b") as file:
            file.truncate(1 << 40)
        with pytest.raises(ArtifactError, match=f"programs have at most {LARGEST_FILE}"):
            load(path)

    def test_a_header_of_megabytes(self, path: Path) -> None:
        content = with_header(b"[" + b"[]," * (6 * MEGABYTE) + b"[]]")
        assert "at most 16777216 are read" in refused(path, content)

    @pytest.mark.parametrize("shape", [[1 << 40], [1 << 62, 4], [0, 1 << 62], [-1], ["x"], {}, 3])
    def test_a_tensor_of_terabytes(self, path: Path, shape: object) -> None:
        entry = {"dtype": "I32", "shape": shape, "data_offsets": [0, 0]}
        refused(path, with_header({"a": entry}))

    @pytest.mark.parametrize("dtype", ["F8_E4M3", "BF16", "F4", "C64", "BOOL", "no", None, {}])
    def test_a_tensor_of_another_type(self, path: Path, dtype: object) -> None:
        entry = {"dtype": dtype, "shape": [1], "data_offsets": [0, 1]}
        refused(path, with_header({"a": entry}, b"\0"))

    @pytest.mark.parametrize(
        "header",
        [[], 3, None, "x", {"__metadata__": []}, {"__metadata__": {"manifest": 3}}, {"a": 1},
         {"__metadata__": {"manifest": "{}", "sha256": None}}, b"[" * 100_000, b"1" * 100_000,
         b'{"__metadata__": {"manifest": "\\ud800"}}', b"\xff\xfe"],
    )  # fmt: skip
    def test_a_header_of_another_kind(self, path: Path, header: object) -> None:
        refused(path, with_header(header))

    def test_a_hundred_thousand_instructions(self, path: Path) -> None:
        def change(manifest: Any, _: object) -> None:
            program = manifest["populations"][0]["program"]
            program["instructions"] = [["ADD", f"w{n}", [1, 1], None] for n in range(10**5)]

        assert "100000 instructions; the limit is 4096" in refused(path, forged(change))

    def test_a_hundred_thousand_parameters(self, path: Path) -> None:
        def change(manifest: Any, _: object) -> None:
            program = manifest["populations"][0]["program"]
            program["parameters"] = [[f"p{n}", 8] for n in range(10**5)]

        assert "declared words; the limit is 4096" in refused(path, forged(change))

    def test_too_many_populations_and_connections(self, path: Path) -> None:
        def populations(manifest: Any, _: object) -> None:
            manifest["populations"] = [
                manifest["populations"][0] | {"parameters": {}, "initial_state": {}}
            ] * 1100

        assert "1100 populations; the limit is 1024" in refused(path, forged(populations))

        def connections(manifest: Any, arrays: dict[str, np.ndarray]) -> None:
            entry = manifest["connections"][0]
            names = "row_starts", "columns", "mantissas"
            for n in range(1100):
                own = {name: f"own.{n}.{name}" for name in names}
                arrays.update({own[name]: arrays[entry[name]] for name in names})
                manifest["connections"].append(entry | own)

        assert "connections; the limit is 1024" in refused(path, forged(connections))

    def test_one_large_array_does_not_serve_many_connections(self, path: Path) -> None:
        def change(manifest: Any, arrays: dict[str, np.ndarray]) -> None:
            large = manifest["connections"][0]["columns"]
            arrays[large] = np.zeros(MEGABYTE, np.int32)
            manifest["connections"] = manifest["connections"][:1] * 1000

        assert "KeyError" in refused(path, forged(change))

    def test_a_large_population_with_a_long_program(self, path: Path) -> None:
        neurons = 100_000

        def change(manifest: Any, arrays: dict[str, np.ndarray]) -> None:
            population, connection = manifest["populations"][1], manifest["connections"][-1]
            code = population["program"]["instructions"]
            code[-1:-1] = [["ADD", f"w{n}", [1, 1], None] for n in range(4000)]
            population["size"] = neurons
            for name in population["parameters"].values():
                arrays[name] = np.zeros(neurons, np.int32)
            arrays[connection["row_starts"]] = np.zeros(neurons + 1, np.int32)

        assert "instructions times neurons; the limit" in refused(path, forged(change))
