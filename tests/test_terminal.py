"""The command line as people and scripts meet it: widths, help, completion, documents, files."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from networks import random_samples

import lnn2loihi as l2l
from lnn2loihi.cli.application import app
from lnn2loihi.cli.road import EXAMPLES, ORDER
from lnn2loihi.files import write_atomically
from lnn2loihi.models import damped_sine
from lnn2loihi.profiling.result import ENDED_EARLY
from lnn2loihi.replacing import replacing_guarded
from lnn2loihi.tables import text_table, width, wrapped

#: Verbs of the road that the application has: build joins when it is there.
VERBS = [verb for verb in ORDER if verb in {c.name or c.callback.__name__ for c in
                                            app.registered_commands if c.callback}]  # fmt: skip
CELLS = st.one_of(
    st.none(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60),
)  # fmt: skip


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Content of the files that the examples name."""
    folder = tmp_path_factory.mktemp("originals")
    x = random_samples(1, 2, 12, 1)
    program = l2l.quantize(damped_sine.load(), calibrate=x)
    l2l.save(program, folder / "net.l2l")
    np.save(folder / "x.npy", x)
    (folder / "net.toml").write_bytes((damped_sine.FOLDER / "network.toml").read_bytes())
    weights = (damped_sine.FOLDER / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights)
    result = l2l.profile(program, x, devices=("loihi2-oheo-gulch",), against=(), frontier=False)
    result.save(folder / "net.profile.json")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def files(tmp_path: Path, originals: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in originals.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _bytes(save: Callable[..., object], *arrays: object, **named: object) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def records(verb: str) -> list[str]:
    """A command for each verb that prints tables."""
    return {
        "inspect": ["inspect", "net.l2l"],
        "network": ["inspect", "net.toml"],
        "compare": ["compare", "net.toml", "net.l2l", "-i", "x.npy"],
        "place": ["place", "net.l2l", "--target", "fused,split"],
        "profile": ["profile", "net.l2l", "-i", "x.npy", "--against", "none", "--target", "fused"],
        "verify": ["verify", "net.l2l", "-i", "x.npy", "--executors", "reference,blas"],
        "simulate": ["simulate", "net.l2l", "-i", "x.npy"],
        "devices": ["devices"],
        "device": ["devices", "loihi2-oheo-gulch"],
        "validation": ["devices", "--validation"],
        "doctor": ["doctor"],
        "recipe": ["explain", "recipe"],
    }[verb]


class TestWidths:
    @pytest.mark.parametrize(
        "verb",
        ["inspect", "network", "compare", "place", "profile", "verify", "simulate", "devices",
         "device", "validation", "doctor", "recipe"],
    )  # fmt: skip
    def test_no_line_is_wider_than_the_terminal(
        self, run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        widths = (40, 132) if verb not in ("profile", "doctor", "place") else (60,)
        for columns in widths:
            monkeypatch.setenv("COLUMNS", str(columns))
            _, out, err = run(*records(verb))
            assert not err
            # What one word is, a path or a command, is not broken outside of tables.
            wide = [line for line in out.splitlines() if len(line) > columns]
            assert not [line for line in wide if len(line.split()) > 1], verb

    @given(
        columns=st.integers(40, 250),
        headers=st.lists(st.text("abc _", min_size=1, max_size=30), min_size=1, max_size=25),
        draw=st.data(),
    )
    def test_any_table_fits_and_loses_nothing(
        self, columns: int, headers: list[str], draw: st.DataObject
    ) -> None:
        row = st.lists(CELLS, min_size=len(headers), max_size=len(headers))
        rows = draw.draw(st.lists(row, max_size=6))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            text = text_table(headers, rows)
        assert max(map(len, text.split("\n"))) <= columns
        shown = "".join(text.split())
        for cells in rows:
            for cell in cells:
                if isinstance(cell, int):
                    assert f"{cell:,}" in shown

    def test_the_width_is_that_of_columns_within_bounds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for given_, expected in (("80", 80), ("3", 40), ("9999", 250)):
            monkeypatch.setenv("COLUMNS", given_)
            assert width() == expected
        monkeypatch.setenv("COLUMNS", "0")
        monkeypatch.setattr(sys, "__stdout__", None)
        assert width() == 100

    def test_folding_keeps_markdown_and_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        row, path = "| a " * 30, "x" * 90
        assert wrapped(f"{row}\n{path}") == f"{row}\n{path}"
        toml = wrapped(f"# {'word ' * 20}\nmode = 1    # {'word ' * 20}")
        assert all(line.startswith(("# ", "mode = 1")) for line in toml.splitlines())
        assert wrapped(f"  one {'two ' * 20}").splitlines()[1].startswith("    two")


class TestHelp:
    def test_every_verb_has_examples_that_its_parameters_take(self) -> None:
        from typer.main import get_command

        group: Any = get_command(app)
        assert [verb for verb in group.commands if verb not in ORDER] == []
        for verb in VERBS:
            assert EXAMPLES[verb], verb
            for example in EXAMPLES[verb]:
                command, *arguments = shlex.split(example.partition(" > ")[0])
                assert (command, arguments[0]) == ("lnn2loihi", verb)
                group.commands[verb].make_context(verb, arguments[1:])

    def test_doctor_speaks_of_every_verb_that_works_on_something(self) -> None:
        assert {*VERBS} - {*l2l.examine().verbs} <= {"doctor", "explain", "build"}

    @pytest.mark.parametrize("example", [e for v in ("inspect", "quantize", "verify", "simulate",
                             "compare", "place", "report", "devices", "prepare", "explain")
                             for e in EXAMPLES[v][:1]])  # fmt: skip
    def test_examples_run(self, run: Run, files: Path, example: str) -> None:
        arguments = [{"net.pt": "net.toml"}.get(a, a) for a in shlex.split(example)[1:]]
        if arguments[0] == "verify":
            arguments += ["--executors", "reference,blas"]
        code, _, err = run(*arguments)
        assert (code, err) == (0, "")

    @pytest.mark.parametrize("asked", ["-h", "--help", None])
    def test_help_without_a_verb(self, run: Run, asked: str | None) -> None:
        code, out, err = run(*filter(None, [asked]))
        assert (code, err) == (0, "")
        places = [out.index(f" {verb} ") for verb in VERBS]
        assert places == sorted(places)

    def test_the_help_of_a_verb_ends_with_examples_that_fit(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        code, out, _ = run("profile", "-h")
        lines = out[out.index("Examples:") :].splitlines()
        assert code == 0 and max(map(len, lines)) <= 40
        joined = " ".join("\n".join(lines).replace("\\\n", " ").split())
        assert all(example in joined for example in EXAMPLES["profile"])

    def test_usage_errors_name_the_help_of_the_verb(self, run: Run) -> None:
        assert "(see lnn2loihi quantize --help)" in run("quantize")[2]
        assert "(see lnn2loihi --help)" in run("frobnicate")[2]

    def test_what_was_left_out_is_refused_whatever_typer_does(self) -> None:
        from typer.main import get_command

        group: Any = get_command(app)
        for verb, left_out in (("place", "argument 'program'"), ("quantize", "option '--calib")):
            context = group.commands[verb].make_context(verb, ["a"], resilient_parsing=True)
            context.params = {"source": "a"}
            with pytest.raises(Exception, match=f"Missing {left_out}"):
                group.commands[verb].invoke(context)

    @pytest.mark.parametrize("topic", ["recipe", "samples", "description", "exit-codes", "json"])
    def test_explain(self, run: Run, topic: str) -> None:
        code, out, err = run("explain", topic)
        assert (code, err) == (0, "") and len(out) > 500
        assert topic in run("explain")[1]
        assert json.loads(run("explain", topic, "--json")[1])["text"].startswith("# ")
        assert "is no topic; there are recipe" in run("explain", f"{topic}x")[2]
        for meant in (f"{topic.upper()} ", topic.removesuffix("s"), f"{topic.removesuffix('s')}s"):
            assert run("explain", meant)[1] == out
        assert run("explain", *topic.split("-"))[1] == out

    def test_explains_a_recipe_and_a_file(self, run: Run) -> None:
        out = run("explain", "w4a8")[1]
        assert "weights of 4 bits, integers from -8 to 7" in " ".join(out.split())
        assert "weights (w) of 9 bits; 2 to 8 are possible" in run("explain", "w9a8")[2]
        refused = run("explain", "w9a99")[2]
        assert "recipe 'w9a99': 2 problems" in refused and "x" not in refused
        for name, what in (("a/b.L2N", "a float network"), ("x.npy", "samples")):
            code, out, err = run("explain", name)
            assert (code, err) == (0, "") and f"{name} is {what}" in out
        assert json.loads(run("explain", "net.keras", "--json")[1])["topic"] == "files"


#: What is typed, and one of the words that complete it.
COMPLETED = {
    "lnn2loihi quan": "quantize",
    "lnn2loihi place n.l2l -d loihi2-o": "loihi2-oheo-gulch",
    "lnn2loihi place --obj": "--objective",
    "lnn2loihi place n.l2l --target fused,spl": "fused,split_graph",
    "lnn2loihi simulate n.l2l --executor re": "reference",
    "lnn2loihi export n.l2l --format loi": "loihi2",
    "lnn2loihi footprint n.l2l -p cortex-m0": "cortex-m0plus",
    "lnn2loihi profile n.l2l --io on": "on-board",
    "lnn2loihi explain rec": "recipe",
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    for words, expected in [*COMPLETED.items()][: None if shell == "bash" else 2]:
        monkeypatch.setenv("_LNN2LOIHI_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", words)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        code, out, err = run()
        assert (code, err) == (0, "") and expected in out and "Usage" not in out, words


class TestDocuments:
    @pytest.mark.parametrize(
        ("arguments", "kind", "code"),
        [
            ("simulate none.l2l -i x.npy", "InputError", 1),
            ("quantize net.toml -c x.npy -o a.l2l -r w9a12", "QuantizationError", 1),
            ("quantize", "UsageError", 1),
            ("frobnicate", "UsageError", 1),
            ("place net.l2l --chips many", "UsageError", 1),
            ("place net.l2l --device nowhere", "DeviceError", 1),
        ],
    )
    def test_errors_are_documents(
        self, run: Run, files: Path, arguments: str, kind: str, code: int
    ) -> None:
        found, out, err = run(*arguments.split(), "--json")
        document = json.loads(out)
        assert document["schema"] == {"name": "lnn2loihi.error", "version": 1}
        error = document["error"]
        assert (found, error["exit_code"], error["kind"]) == (code, code, kind)
        assert err.strip() == error["message"] and error["problems"]
        assert run(*arguments.split())[1] == ""

    @pytest.mark.parametrize("arguments", ["devices", "devices loihi2-oheo-gulch", "explain",
                             "inspect net.toml", "inspect net.l2l", "place net.l2l",
                             "quantize net.toml -c x.npy -o b.l2l"])  # fmt: skip
    def test_every_document_says_what_it_is(self, run: Run, files: Path, arguments: str) -> None:
        code, out, err = run(*arguments.split(), "--json")
        assert (code, err) == (0, "")
        verb = arguments.split()[0]
        assert json.loads(out)["schema"] == {"name": f"lnn2loihi.{verb}", "version": 1}

    def test_warnings_of_the_text_are_in_the_document(self, run: Run, files: Path) -> None:
        arguments = ["quantize", "net.toml", "-c", "x.npy", "-o", "b.l2l"]
        assert json.loads(run(*arguments, "--json")[1])["warnings"] == [
            *l2l.load(files / "b.l2l").warnings
        ]

    def test_an_interrupted_profile_prints_what_it_has_and_says_so(
        self, run: Run, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import dataclasses

        result = l2l.load_profile(files / "net.profile.json")
        stopped = dataclasses.replace(result, problems=(f"{ENDED_EARLY}interrupted",))
        monkeypatch.setattr(l2l, "profile", lambda *_, **__: stopped)
        code, out, _ = run("profile", "net.l2l", "-i", "x.npy", "--json")
        assert code == 130 and json.loads(out)["complete"] is False


class TestOutputs:
    #: What stands where a verb writes, and what the message calls it.
    FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
        "an array": (lambda p: p.write_bytes(_bytes(np.save, np.ones(3))), "an array (.npy)"),
        "samples": (lambda p: p.write_bytes(_bytes(np.savez, x=np.ones(3))), "samples (.npz)"),
        "a page of others": (lambda p: p.write_text("<!doctype html><p>mine"), "an HTML page of"),
        "notes": (lambda p: p.write_text("my notes\n"), "a text"),
        "weights": (
            lambda p: p.write_bytes((damped_sine.FOLDER / "weights.safetensors").read_bytes()),
            "weights (safetensors)",
        ),
    }
    VERBS = {
        "quantize net.toml -c x.npy -o": "o.l2l",
        "simulate net.l2l -i x.npy -o": "o.npz",
        "export net.l2l -o": "o.c",
        "devices loihi2-oheo-gulch -o": "o.toml",
        "report net.profile.json -p net.l2l -o": "o.html",
    }

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("kind", FOREIGN)
    def test_a_file_of_another_kind_is_replaced_on_request_only(
        self, run: Run, files: Path, verb: str, kind: str
    ) -> None:
        make, words = self.FOREIGN[kind]
        target = Path(self.VERBS[verb])
        make(target)
        before = target.read_bytes()
        code, out, err = run(*verb.split(), target)
        assert (code, out) == (1, "") and words in err and "--force to replace it" in err
        assert target.read_bytes() == before
        if kind == "notes":
            code, out, err = run(*verb.split(), target, "--force")
            assert (code, err) == (0, "") and f"replaced: {target}, which was a text" in out
            assert target.read_bytes() != before

    def test_what_a_verb_has_written_itself_it_writes_again_without_a_word(
        self, tmp_path: Path
    ) -> None:
        with replacing_guarded() as guard:
            for text in ("{}", '{"a": 1}'):
                write_atomically(tmp_path / "a.json", text.encode())
        assert guard.replaced == []

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_file_of_the_same_kind_is_replaced_and_named(
        self, run: Run, files: Path, verb: str
    ) -> None:
        target = self.VERBS[verb]
        assert "replaced" not in run(*verb.split(), target)[1]
        code, out, err = run(*verb.split(), target)
        assert (code, err) == (0, "") and f"replaced: {target}, which was " in out
        assert target in json.loads(run(*verb.split(), target, "--json")[1])["replaced"]

    def test_what_lies_beside_is_looked_at_too(self, run: Run, files: Path) -> None:
        Path("o.h").write_text("/* mine */\n")
        code, _, err = run("export", "net.l2l", "-o", "o.c")
        assert code == 1 and "o.h: is a text" in err and not Path("o.c").exists()

    def test_files_in_a_folder_are_looked_at_too(self, run: Run, files: Path) -> None:
        arguments = ("export", "stock.l2l", "--format", "loihi2", "-i", "x.npy", "-o", "board")
        assert run("prepare", "net.l2l", "--target", "stock", "-o", "stock.l2l")[0] == 0
        assert run(*arguments)[0] == 0
        assert "replaced: " in run(*arguments)[1]
        notes = Path("board/README.md")
        notes.write_text("mine\n")
        code, _, err = run(*arguments)
        assert code == 1 and "README.md: is a text" in err and notes.read_text() == "mine\n"
        assert run(*arguments, "--force")[0] == 0

    def test_an_empty_file_is_nobodys(self, run: Run, files: Path) -> None:
        Path("o.l2l").touch()
        assert run("quantize", "net.toml", "-c", "x.npy", "-o", "o.l2l")[0] == 0


class TestMessages:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ("simulate a/b/näme.l2l -i x.npy", "a/b/näme.l2l: there is no such file"),
            ("compare net.l2l net.toml -i x.npy", "net.toml: is a description; give a program"),
            ("report net.l2l -p net.l2l -o a.html", "net.l2l: is a program; give a profile"),
            ("inspect .", ".: is a folder; give a file of it, such as net.toml, weights"),
            ("profile net.l2l -i x.npy --against cuda:torch", "--against: cuda:torch runs the"),
            ("quantize net.toml -c x.npy -o none/a.l2l", "there is no folder none: make it first"),
            ("quantize net.toml -c x.npy -o a.txt", "its name does not end with .l2l"),
            ("simulate net.l2l -i empty.npy", "empty.npy: is empty, its shape is (0, 12, 1)"),
            ("simulate net.l2l -i semi.csv", "line 1 has semicolons between its columns"),
            ("simulate net.l2l -i ragged.csv", "line 3 has 1 columns, the one before has 2"),
            ("simulate net.l2l -i blank.csv", "line 4, column 2 is empty; fill or leave out"),
        ],
    )
    def test_message(self, run: Run, files: Path, arguments: str, text: str) -> None:
        np.save("empty.npy", np.ones((0, 12, 1)))
        Path("semi.csv").write_text("1,5;2\n3;4\n")
        Path("ragged.csv").write_text("a,b\n1,2\n3\n")
        Path("blank.csv").write_text("a,b\n1,2\n\n3,\n")
        code, out, err = run(*arguments.split())
        assert (code, out) == (1, "") and text in err

    def test_a_program_in_onnx_is_said_to_be_one(self, run: Run, files: Path) -> None:
        pytest.importorskip("onnx")
        assert run("export", "net.l2l", "-o", "net.onnx")[0] == 0
        assert (
            "It is a program in integers, which export has written" in run("inspect", "net.onnx")[2]
        )


def test_topics_are_pages_of_the_documentation() -> None:
    from lnn2loihi.cli.explain import TOPICS

    folder = Path(l2l.__file__).parent / "cli" / "topics"
    assert {one.stem for one in folder.iterdir()} == {*TOPICS}
    docs = folder.parent.parent.parent / "docs"
    real = [Path(os.path.realpath(one)).parent for one in folder.iterdir()]
    assert {*real} == {docs.resolve()}
