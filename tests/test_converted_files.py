"""Saved modules: what comes back, what is refused, and the command line on them."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from converted_modules import encoder_decoder, samples, sandwich, timed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi import files
from lnn2loihi.converted import onnx_host, storage
from lnn2loihi.converted.parts import ConvertedModule, ValueName
from lnn2loihi.converted.structure import places
from lnn2loihi.converted.structure_file import from_plain, to_plain
from lnn2loihi.storage import is_module_file

Pair = namedtuple("Pair", "mean spread")  # noqa: PYI024  as people write it
SEQ2SEQ = encoder_decoder().quantize()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return l2l.save(SEQ2SEQ, tmp_path_factory.mktemp("saved") / "it.l2m")


def rewritten(path: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same file with another manifest, and all sums right."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["module.json"])
    change(manifest)
    entries["module.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return to


class TestRoundTrip:
    def test_a_loaded_module_answers_the_same_integers(self, saved: Path) -> None:
        loaded = l2l.load(saved)
        assert isinstance(loaded, ConvertedModule) and not loaded.has_floats
        x, z = samples(4, 2, 7, 2), samples(5, 2, 5, 2)
        y, states = SEQ2SEQ.predict(x, z)
        found, kept = loaded.predict(x, z)
        assert np.array_equal(found, y) and np.array_equal(kept["h"], states["h"])
        assert np.array_equal(kept["state"][0], states["state"][0]) and kept["state"][1] is None
        assert loaded.verify(x, z, executors="reference,blas").bit_exact
        for one, other in zip(loaded.chip_parts, SEQ2SEQ.chip_parts, strict=True):
            assert one.program == other.program and one.inputs == other.inputs
            assert one.initial == other.initial and one.final == other.final
        for name, array in SEQ2SEQ.example.items():
            assert np.array_equal(loaded.example[name], array)

    def test_host_parts_run_by_onnxruntime(self, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")
        module = sandwich().quantize()
        loaded = l2l.load(module.save(tmp_path / "it.l2m"))
        x = samples(4, 5, 11, 3)
        assert np.abs(loaded.predict(x) - module.predict(x)).max() < 1e-3
        assert loaded.host_parts[0].operators == ("tanh",) and loaded.multiply_adds == 500
        assert loaded.host_parts[1].multiply_adds == 20
        again = loaded.save(tmp_path / "again.l2m")
        assert again.read_bytes() == (tmp_path / "it.l2m").read_bytes()

    def test_without_onnxruntime_it_is_looked_at_and_saved_again(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("onnx", reason="onnx is not installed")
        path = sandwich().quantize().save(tmp_path / "it.l2m")
        monkeypatch.setattr(onnx_host, "find_spec", lambda name: None)
        loaded = l2l.load(path)
        assert isinstance(loaded, ConvertedModule) and "softmax" in str(loaded)
        assert loaded.save(tmp_path / "again.l2m").read_bytes() == path.read_bytes()
        code, out, err = run("inspect", path)
        assert (code, err) == (0, "") and "softmax" in out
        code, out, err = run("run", path)
        assert code == 3 and "pip install onnxruntime" in err

    def test_files_from_before_states_were_kept(self, saved: Path, tmp_path: Path) -> None:
        path = rewritten(saved, tmp_path / "it.l2m", lambda manifest: manifest.pop("kept"))
        loaded = l2l.load(path)
        assert isinstance(loaded, ConvertedModule) and loaded.kept == ()

    def test_times_and_states_are_there_again(self, tmp_path: Path) -> None:
        module = timed().quantize()
        loaded = l2l.load(module.save(tmp_path / "it"))  # a name says nothing
        x, dt = module.example["x"], module.example["dt"]
        assert np.array_equal(loaded.predict(x, dt=dt), module.predict(x, dt=dt))

    def test_equal_modules_give_equal_bytes(self, tmp_path: Path, saved: Path) -> None:
        assert SEQ2SEQ.save(tmp_path / "b.l2m").read_bytes() == saved.read_bytes()

    def test_what_needs_floats_says_that_there_are_none(self, saved: Path) -> None:
        loaded = l2l.load(saved)
        for verb in (loaded.evaluate, loaded.compare):
            with pytest.raises(l2l.InputError, match="what was saved holds the integers alone"):
                verb(*loaded.example.values())
        with pytest.raises(l2l.InputError, match="convert the module again"):
            loaded.quantize()
        trace = loaded.trace(*loaded.example.values())
        assert trace["y"].floats is None and trace["y"].answered.shape == (3, 5, 1)

    def test_a_large_example_is_left_out_and_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(storage, "LARGEST_EXAMPLE", 10)
        loaded = l2l.load(SEQ2SEQ.save(tmp_path / "it.l2m"))
        assert "its example was too large to be saved with it" in loaded.notes
        with pytest.raises(l2l.InputError, match=r"example was left out .* \(x, z\); give argum"):
            loaded.report(tmp_path / "page.html")

    def test_programs_are_saved_and_loaded_as_before(self, tmp_path: Path) -> None:
        program = SEQ2SEQ.chip_parts[0].quantized()
        assert l2l.load(l2l.save(program, tmp_path / "a.bin")) == program
        with pytest.raises(l2l.InputError, match="program is of type int; give a LoihiProgram"):
            l2l.save(3, tmp_path / "a")

    def test_it_is_loaded_without_pytorch(self, tmp_path: Path, saved: Path) -> None:
        code = (
            "import sys; sys.modules['torch'] = None\n"
            "import lnn2loihi as l2l\n"
            f"m = l2l.load({str(saved)!r}); y, _ = m.predict(*m.example.values())\n"
            "print(y.shape)"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (found.stdout, found.stderr) == ("(3, 5, 1)\n", "")


_NODES = st.recursive(
    st.one_of(
        st.builds(ValueName, st.text("abc[].0", min_size=1, max_size=5)), st.none(), st.booleans(),
        st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=5),
    ),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3), st.lists(inside, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inside, max_size=3),
        st.builds(Pair, inside, inside),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(_NODES)
def test_structures_come_back_as_they_were(structure: Any) -> None:
    problems: list[str] = []
    plain = json.loads(json.dumps(to_plain(structure, "answer", problems), allow_nan=False))
    assert problems == []
    found = from_plain(plain)
    assert found == structure
    assert list(places(found, "a")) == list(places(structure, "a"))


class TestWhatCannotBeSaved:
    def test_all_of_it_is_listed_by_its_place(self, tmp_path: Path) -> None:
        class Own:
            """A class of the module's own."""

        odd = (ValueName("y"), {"a": [Own(), 2**60]}, 1j, ValueName("h"), ValueName("state"))
        module = dataclasses.replace(SEQ2SEQ, answer=odd)
        with pytest.raises(l2l.ArtifactError) as error:
            module.save(tmp_path / "it.l2m")
        assert [text.split(" is of type")[0] for text in error.value.problems] == [
            "answer[1]['a'][0]", "answer[1]['a'][1]", "answer[2]",
        ]  # fmt: skip
        assert "tuples, named tuples, lists" in error.value.problems[0]
        assert not list(tmp_path.iterdir())

    def test_structures_that_are_too_deep(self) -> None:
        deep: Any = 1
        for _ in range(40):
            deep = [deep]
        problems: list[str] = []
        to_plain(deep, "answer", problems)
        assert "nested more than 32 levels deep" in problems[0]

    def test_nothing_is_left_behind_by_what_is_interrupted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Path
    ) -> None:
        path = tmp_path / "it.l2m"
        path.write_bytes(saved.read_bytes())

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(files.os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dataclasses.replace(SEQ2SEQ, name="other").save(path)
        assert [one.name for one in tmp_path.iterdir()] == ["it.l2m"]
        assert path.read_bytes() == saved.read_bytes()

    def test_a_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(l2l.ArtifactError, match="cannot be written"):
            SEQ2SEQ.save(tmp_path / "none" / "it.l2m")


class TestHostileFiles:
    def test_every_truncation_is_refused(self, saved: Path, tmp_path: Path) -> None:
        content = saved.read_bytes()
        path = tmp_path / "it.l2m"
        for size in {*range(0, len(content), len(content) // 23), len(content) - 1}:
            path.write_bytes(content[:size])
            with pytest.raises(l2l.ArtifactError):
                l2l.load(path)

    def test_a_changed_byte_is_found(self, saved: Path, tmp_path: Path) -> None:
        content = bytearray(saved.read_bytes())
        path = tmp_path / "it.l2m"
        for place in range(40, len(content) - 400, len(content) // 37):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(l2l.ArtifactError):
                l2l.load(path)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda m: m.update(schema=2), "schema version 2 is unknown"),
            (lambda m: m.update(schema=True), "schema version True is unknown"),
            (lambda m: m.update(format="x"), "its format is 'x'"),
            (lambda m: m.update(entries={}), "entries are not those that its manifest names"),
            (lambda m: m["entries"].update({"parts/0.l2l": "0"}), "checksum of parts/0.l2l"),
            (lambda m: m.update(parts=m["parts"][:1]), "belong to no part"),
            (lambda m: m.update(parts=m["parts"][::-1]), "its manifest is not a module's|part 'd"),
            (lambda m: m.update(parts={}), "expected a list"),
            (lambda m: m["parts"][0].update(host={}), "is not a module's"),
            (lambda m: m["parts"][0]["chip"]["inputs"][0].update(columns=[0, 10**9]), "it hears"),
            (lambda m: m["parts"][0]["chip"]["inputs"][0].update(axes=["x"]), "one of batch, time"),
            (lambda m: m["parts"][0]["chip"]["inputs"][0].update(at="a"), "a whole number"),
            (lambda m: m["parts"][0]["chip"].update(words=[["a", "b", "c"]]), "no word"),
            (lambda m: m["parts"][0]["chip"]["final"][0].update(units=[["a", 1]] * 4), "'a'"),
            (lambda m: m["parts"][0]["chip"]["final"][0].update(shape=[2**40]), "holds 4 units"),
            (lambda m: m.update(answer={"value": "none"}), "which no part answers"),
            (lambda m: m.update(answer={"named": ["a b", ["x"], []]}), "is not a module's"),
            (lambda m: m.update(answer={"named": ["__import__('os')", ["x"], []]}), "module's"),
            (lambda m: m.update(answer={"constant": [1]}), "no part of a structure"),
            (lambda m: m.update(arguments={"list": []}), "arguments are a tuple"),
            (lambda m: m["inputs"][0].update(dtype="O"), "an input of type object"),
            (lambda m: m["inputs"][0].update(shape=[-1, 2, 3]), "expected a count"),
            (lambda m: m.update(name="a\nb"), "one line of printable text"),
            (lambda m: m.update(multiply_adds=1.5), "expected a whole number"),
            (lambda m: m.update(constants=["c"]), "is not a module's"),
        ],
    )
    def test_manifests_are_checked_as_data(
        self, saved: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], text: str
    ) -> None:
        with pytest.raises(l2l.ArtifactError, match=text):
            l2l.load(rewritten(saved, tmp_path / "it.l2m", change))

    def test_archives_that_are_none_of_ours(self, saved: Path, tmp_path: Path) -> None:
        path = tmp_path / "it.l2m"
        with zipfile.ZipFile(saved) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}

        def write(names: list[str], kind: int = zipfile.ZIP_STORED) -> None:
            with zipfile.ZipFile(path, "w", kind) as archive:
                for name in names:
                    archive.writestr(name, entries.get(name, b"x"))

        write([*entries, "extra"])
        with pytest.raises(l2l.ArtifactError, match="entries are not those"):
            l2l.load(path)
        write(list(entries), zipfile.ZIP_DEFLATED)
        with pytest.raises(l2l.ArtifactError, match="is compressed or encrypted"):
            storage.load(path)
        write(list(entries)[::-1])
        assert not is_module_file(path)
        with pytest.raises(l2l.ArtifactError, match=r"its first entry is not module\.json"):
            storage.load(path)
        with pytest.warns(UserWarning, match="Duplicate name"):
            write([*entries, "parts/0.l2l"])
        with pytest.raises(l2l.ArtifactError, match="two entries of one name"):
            l2l.load(path)

    def test_what_claims_more_than_there_is(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(storage, "LARGEST_FILE", 100)
        with pytest.raises(l2l.ArtifactError, match="modules have at most 100"):
            l2l.load(saved)
        with pytest.raises(l2l.ArtifactError, match="at most 100 are read"):
            SEQ2SEQ.save(tmp_path / "it.l2m")
        monkeypatch.undo()
        monkeypatch.setattr(storage, "LARGEST_MANIFEST", 100)
        with pytest.raises(l2l.ArtifactError, match="its manifest claims"):
            l2l.load(saved)

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        for path, text in ((tmp_path, "is a folder"), (tmp_path / "none.l2m", "no such file")):
            with pytest.raises(l2l.ArtifactError, match=text):
                storage.load(path)

    def test_models_that_are_none(self, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        module = copy.copy(sandwich().quantize())
        for part in module.host_parts:
            part.function._model = lambda: b"nothing"  # type: ignore[attr-defined]
        with pytest.raises(l2l.ArtifactError, match="onnxruntime cannot load its model"):
            l2l.load(module.save(tmp_path / "it.l2m"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside),
    max_leaves=6,
)


@settings(
    deadline=None, max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_anything_in_a_manifest_is_taken_or_refused_by_our_errors(
    data: st.DataObject, saved: Path, tmp_path: Path
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        spot: Any = manifest
        while True:
            keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not keys:
                return
            key = data.draw(st.sampled_from(keys))
            inside = spot[key]
            if isinstance(inside, (dict, list)) and inside and data.draw(st.booleans()):
                spot = inside
                continue
            spot[key] = data.draw(_JSON)
            return

    path = rewritten(saved, tmp_path / "it.l2m", change)
    try:
        module = l2l.load(path)
        module.run(*SEQ2SEQ.example.values())
    except l2l.Lnn2LoihiError:
        return
    assert isinstance(module, ConvertedModule)


class TestCommandLine:
    @pytest.fixture
    def arrays(self, tmp_path: Path) -> Path:
        path = tmp_path / "x.npz"
        np.savez(path, x=samples(4, 2, 7, 2), z=samples(5, 2, 5, 2))
        return path

    def test_run(self, run: Run, saved: Path, tmp_path: Path, arrays: Path) -> None:
        written = tmp_path / "y.npz"
        code, out, err = run("run", saved, arrays, "-o", written, "--executor", "blas")
        assert (code, err) == (0, "") and "answer[0] 2x5x1, between" in out
        with np.load(arrays) as held, np.load(written) as found:
            y, states = SEQ2SEQ.predict(held["x"], held["z"])
            assert sorted(found) == ["answer[0]", "answer[1]['h']", "answer[1]['state'][0]"]
            assert np.array_equal(found["answer[0]"], y)
            assert np.array_equal(found["answer[1]['h']"], states["h"])
        code, out, err = run("run", saved, "--json")
        assert (code, err) == (0, "") and json.loads(out)["answer"]["answer[0]"]["shape"] == [
            3,
            5,
            1,
        ]
        code, _, err = run("run", saved, arrays, "-o", tmp_path / "y.npy")
        assert code == 1 and "the module answers 3 arrays; give .npz" in err
        code, _, err = run("run", saved, arrays, "-o", saved)
        assert code == 1 and "writing would destroy it" in err

    def test_wrong_arrays_are_listed(self, run: Run, saved: Path, tmp_path: Path) -> None:
        path = tmp_path / "bad.npz"
        np.savez(path, x=np.zeros((2, 7, 2)), q=np.zeros(2))
        code, _, err = run("run", saved, path)
        assert code == 1 and "no array named 'z'; there are x, q" in err
        assert "array 'q' is no input of the module, which takes x, z" in err
        np.save(tmp_path / "one.npy", np.zeros((2, 7, 2)))
        code, _, err = run("run", saved, tmp_path / "one.npy")
        assert code == 1 and "holds one array, and the module takes x, z" in err

    def test_one_array_for_one_input(self, run: Run, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")
        path = sandwich().quantize().save(tmp_path / "it.l2m")
        np.save(tmp_path / "x.npy", samples(1, 2, 5, 3))
        code, out, err = run("run", path, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
        assert (code, err) == (0, "") and "answer 2x2, between" in out
        assert np.load(tmp_path / "y.npy").shape == (2, 2)

    def test_other_verbs_take_it(self, run: Run, saved: Path, tmp_path: Path, arrays: Path) -> None:
        code, out, err = run("inspect", saved)
        assert (code, err) == (0, "") and "encode  chip  gru" in out
        code, out, err = run("inspect", saved, "--listing")
        assert (code, err) == (0, "") and "decode, readout" in out and "MUL_SHR" in out
        code, out, err = run("verify", saved, "-i", arrays, "--executors", "reference,blas")
        assert (code, err) == (0, "") and out.count("BIT EXACT") == 2
        code, out, err = run("place", saved, "--json")
        assert (code, err) == (0, "") and sorted(json.loads(out)) == ["decode", "encode", "schema"]
        code, out, err = run("place", saved, "--copies", "2")
        assert (code, out) == (1, "") and "--copies: place of a converted module" in err
        page = tmp_path / "page.html"
        code, out, err = run("profile", saved, "-i", arrays, "--against", "none", "--report", page)
        assert (code, err) == (0, "") and "waits for" in out and page.is_file()
        code, out, err = run("report", saved, "-o", page)
        assert (code, err) == (0, "") and "Chip part decode" in page.read_text("utf-8")

    def test_others_say_what_does(
        self, run: Run, saved: Path, tmp_path: Path, arrays: Path
    ) -> None:
        for call, text in (
            (("simulate", saved, "-i", arrays), "lnn2loihi run takes it"),
            (("export", saved, "-o", tmp_path / "a.onnx"), "unzip it"),
            (("compare", saved, saved, "-i", arrays), "compares in Python"),
            (("verify", saved, "-i", arrays, "--encoded"), "--encoded: verify of a converted mod"),
            (("report", saved, "-o", tmp_path / "a.html", "-p", saved), "--program: report of a"),
            (("run", arrays), "is truncated or no .l2l file"),
        ):  # fmt: skip
            code, _, err = run(*call)
            assert code == 1 and text in err
        program = l2l.save(SEQ2SEQ.chip_parts[0].quantized(), tmp_path / "a.l2l")
        code, _, err = run("run", program)
        assert code == 1 and "is a program; run takes a converted module" in err


def test_named_arrays_are_read_whole(tmp_path: Path) -> None:
    from lnn2loihi import samples as reading

    content = io.BytesIO()
    np.savez(content, **{f"a{n}": np.zeros(1) for n in range(reading.MOST_ARRAYS + 1)})
    (tmp_path / "many.npz").write_bytes(content.getvalue())
    with pytest.raises(l2l.InputError, match="it has 1,025 arrays; at most 1,024 are read"):
        reading.read_named_arrays(tmp_path / "many.npz")
