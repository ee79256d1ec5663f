"""Options that are written as name=value: typed by who takes them, refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from networks import random_network
from programs import random_program

import lnn2loihi as l2l
from lnn2loihi import plugins
from lnn2loihi.errors import InputError
from lnn2loihi.kinds import Count
from lnn2loihi.options import read_options


class Method:
    """What an exporter or an importer may look like."""

    def export(
        self,
        source: object,
        *,
        text: str = "a",
        whole: int = 1,
        number: float = 1.0,
        flag: bool = False,
        few: Count = 1,
        either: int | str = 1,
        named: Literal["fast", "small", 3] = "fast",
        path: Path | None = None,
        older: Optional[bool] = None,  # noqa: UP045
        noted: Annotated[float, "a share"] = 0.5,
        arrays: list[int] | tuple[int, ...] = (),
        bare=2.5,  # noqa: ANN001  # pyright: ignore
        nothing=None,  # noqa: ANN001  # pyright: ignore
    ) -> Any: ...

    def anything(self, source: object, **options: Any) -> Any: ...

    def foreign(self, source: object, *, level: int = 1, what: NoSuchType = 3) -> Any: ...  # noqa: F821  # pyright: ignore


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text=3", "3"), ("text=", ""), ("text=a=b", "a=b"), ("whole=-3", -3), ("number=1", 1.0),
        ("number=1e-3", 1e-3), ("flag=true", True), ("flag=No", False), ("few=7", 7),
        ("either=7", 7), ("either=x", "x"), ("named=small", "small"), ("named=3", 3),
        ("path=a/b", Path("a/b")), ("path=none", None), ("older=yes", True), ("older=None", None),
        ("noted=1", 1.0), ("bare=3", 3.0), ("nothing=x", "x"),
    ],
)  # fmt: skip
def test_the_annotation_says_what_it_is(written: str, value: object) -> None:
    (found,) = read_options(Method().export, [written], InputError).values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("whole=1.5", "whole is '1.5'; give a whole number"),
        ("whole=", "whole is ''; give a whole number"),
        ("number=x", "number is 'x'; give a number"),
        ("flag=1", "flag is '1'; give True or False"),
        ("few=0", "few is '0'; give a whole number from 1 to"),
        ("named=large", "named is 'large'; give one of fast, small, 3"),
        ("arrays=1", "arrays cannot be written as text; give it in Python"),
        ("bare=x", "bare is 'x'; give a number"),
        ("whole", "'whole' is not written as name=value"),
        ("=3", "'=3' is not written as name=value"),
        ("a b=3", "'a b=3' is not written as name=value"),
        ("hole=3", "options hole: unknown; it takes text, whole, number, flag"),
    ],
)
def test_what_does_not_fit_is_named(written: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong.replace("(", "[(]")):
        read_options(Method().export, [written], InputError)


def test_all_problems_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_options(Method().export, ["whole", "few=1", "few=2"], InputError)
    assert len(caught.value.problems) == 2 and "few is given twice" in str(caught.value)
    with pytest.raises(InputError) as caught:
        read_options(Method().export, ["whole=x", "few=x", "text=3"], InputError)
    assert len(caught.value.problems) == 2


def test_one_that_takes_anything_gets_texts() -> None:
    assert read_options(Method().anything, ["level=3"], InputError) == {"level": "3"}


def test_annotations_of_what_is_not_there() -> None:
    found = read_options(Method().foreign, ["level=2", "what=4"], InputError)
    assert found == {"level": 2, "what": 4}


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_read_or_refused(texts: list[str]) -> None:
    try:
        found = read_options(Method().export, texts, InputError)
    except InputError:
        return
    assert set(found) <= {text.partition("=")[0] for text in texts}


class Writer:
    """A stranger's exporter, of programs and networks."""

    suffixes = (".txt",)

    def accepts(self, source: object) -> bool:
        return True

    def export(
        self, source: Any, *, width: int = 8, header: bool = False, name: str = "net"
    ) -> str:
        return f"{type(source).__name__} {width!r} {header!r} {name!r}"

    def to_bytes(self, made: str) -> bytes:
        return made.encode()


class Reader:
    """A stranger's importer."""

    def recognises(self, source: object) -> bool:
        return isinstance(source, Path) and source.suffix == ".mine"

    def load(self, source: object, *, seed: int = 0, timespan: float = 1.0) -> l2l.LiquidNetwork:
        assert type(seed) is int
        return random_network(seed)


@pytest.fixture
def strangers() -> Iterator[None]:
    plugins.EXPORTERS.add("writer", Writer())
    plugins.IMPORTERS.add("reader", Reader())
    yield
    plugins.EXPORTERS.remove("writer")
    plugins.IMPORTERS.remove("reader")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return l2l.save(random_program(0), tmp_path / "net.l2l")


def test_options_of_a_strangers_exporter(
    strangers: None, program: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "net.txt"
    code, _, err = run(
        "export", program, "-o", out, "--option", "width=4", "--option", "header=yes"
    )
    assert (code, err) == (0, "") and out.read_text() == "LoihiProgram 4 True 'net'"
    code, _, err = run("export", program, "-o", out, "--format", "writer", "--option", "depth=4")
    assert code == 1 and "options depth: unknown; it takes width, header, name" in err
    code, _, err = run("export", program, "-o", out, "--option", "width=wide")
    assert code == 1 and "width is 'wide'; give a whole number" in err
    assert run("export", program, "-o", out, "--dtype", "int32")[0] == 1
    assert out.read_text() == "LoihiProgram 4 True 'net'"


def test_shorthands_are_not_given_twice(program: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("onnx", "1.22")
    out = tmp_path / "net.onnx"
    code, _, err = run("export", program, "-o", out, "--dtype=float32", "--option", "dtype=int32")
    assert code == 1 and "dtype is given twice: leave --option out" in err
    code, _, err = run("export", program, "-o", out, "--option", "dtype=float32")
    assert code == 0 and out.exists()


def test_options_of_a_strangers_importer(
    strangers: None, program: Path, tmp_path: Path, run: Run
) -> None:
    source, out = tmp_path / "net.mine", tmp_path / "net.txt"
    source.touch()
    code, text, err = run("inspect", source, "--option", "seed=7")
    assert code == 0 and text.strip() == random_network(7).summary().strip(), err
    code, _, err = run("inspect", source, "--option", "sed=7")
    assert code == 1 and "options sed: unknown; it takes seed, timespan" in err
    code, _, err = run("inspect", source, "--timespan", "2", "--option", "timespan=3")
    assert code == 1 and "timespan is given twice" in err
    code, _, err = run("export", source, "-o", out, "--import-option", "seed=7")
    assert code == 0 and out.read_text().startswith("LiquidNetwork"), err
    code, _, err = run("inspect", tmp_path / "none.mine", "--option", "seed=7")
    assert code == 1 and "there is no such file" in err


@pytest.mark.parametrize("verb", ["inspect", "export", "profile"])
def test_options_that_nobody_reads_are_refused(
    verb: str, program: Path, tmp_path: Path, run: Run
) -> None:
    option = "--import-option" if verb == "export" else "--option"
    more: dict[str, Callable[[], list[object]]] = {
        "inspect": lambda: [],
        "export": lambda: ["-o", tmp_path / "net.onnx"],
        "profile": lambda: ["-i", tmp_path / "x.csv"],
    }
    (tmp_path / "x.csv").write_text("0,0,0\n" * 3)
    code, _, err = run(verb, program, *more[verb](), "--timespan", "1", option, "seed=7")
    assert code == 1 and f"--timespan, {option}: has no effect here" in err
