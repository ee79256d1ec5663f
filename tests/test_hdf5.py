"""HDF5 files as h5py writes them, damaged ones, and what a file must not make h5py do."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converters.files.hdf5 import MOST_OBJECTS, Contents, Hdf5Error, read_hdf5

SAVED = zipfile.ZipFile(Path(__file__).parent / "keras_saved.zip")


@pytest.fixture(autouse=True)
def package() -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")


def written(fill: Callable[[Any], Any], **options: Any) -> bytes:
    import h5py

    target = io.BytesIO()
    with h5py.File(target, "w", **options) as file:
        fill(file)
    return target.getvalue()


#: Attributes that are read here.
ATTRIBUTES = ("a", "b", "long", "short", "numbers", "several", "name", "model_config")


def read(fill: Callable[[Any], Any], **options: Any) -> Contents:
    return read_hdf5(written(fill, **options), "a file", ATTRIBUTES)


# ---------------------------------------------------------------- what is read

NUMBERS = ["f2", "f4", "f8", ">f4", "i1", "u2", ">i4", "i8", "?"]


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize(
    "options", [{}, {"chunks": (2, 1)}, {"compression": "gzip", "shuffle": True},
                {"compression": "lzf"}, {"fletcher32": True}]
)  # fmt: skip
def test_numbers(dtype: str, options: dict[str, Any]) -> None:
    numbers = np.arange(6).reshape(3, 2).astype(dtype)
    tensor = read(lambda f: f.create_dataset("a/b", data=numbers, **options)).arrays["a/b"]
    assert tensor.shape == (3, 2)
    assert tensor.kind == ("float" if "f" in dtype else "integer")
    assert tensor.read().dtype == np.float64 and np.array_equal(tensor.read(), numbers)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_shapes(shape: tuple[int, ...]) -> None:
    tensor = read(lambda f: f.create_dataset("a", data=np.ones(shape))).arrays["a"]
    assert tensor.shape == shape and np.array_equal(tensor.read(), np.ones(shape))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_many_groups(libver: str) -> None:
    def fill(file: Any) -> None:
        for number in range(40):
            file[f"layer/{number}/weight"] = np.full(2, number)
            file[f"layer/{number}"].attrs["name"] = f"layer {number}"

    found = read(fill, libver=libver)
    assert len(found.arrays) == 40
    assert found.arrays["layer/39/weight"].read().tolist() == [39.0, 39.0]
    assert found.texts["layer/7", "name"] == "layer 7"


def test_texts() -> None:
    def fill(file: Any) -> None:
        file.attrs["long"] = "é" * 300
        file.attrs["short"] = np.bytes_(b"abc")
        file.attrs["numbers"] = np.arange(3)
        file.attrs["several"] = ["a", "b"]
        file["kind"] = "CUBA"
        file.create_dataset("type", (1,), "S10", [b"dense"])
        file.create_dataset("names", (2,), "S10", [b"a", b"b"])

    found = read(fill)
    assert found.texts == {("", "long"): "é" * 300, ("", "short"): "abc"}
    assert found.words == {"kind": "CUBA", "type": "dense"}
    assert {one.kind for one in found.arrays.values()} == {"other"}


def test_the_layouts_of_keras() -> None:
    found = read_hdf5(SAVED.read("hostile/new_layout.h5"), "new", ATTRIBUTES)
    assert found.arrays["layers/lstm/cell/vars/0"].read().tolist() == [[1.0] * 4] * 2
    assert found.texts["", "model_config"] == "{}"


# ---------------------------------------------------------------- what is refused


def external(file: Any) -> None:
    file.create_dataset("a", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("a", layout)


def endless(file: Any) -> None:
    """A virtual array without an end, whose shape is that of its sources."""
    import h5py

    layout = h5py.VirtualLayout((4,), "f4", maxshape=(None,))
    source = h5py.VirtualSource("/etc/passwd", "x", (4,), maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("a", layout)


def foreign_filter(file: Any) -> None:
    import h5py

    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((4,))
    made.set_filter(307, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_INT32, space, made)


def linked(kind: str) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        import h5py

        links = {"soft": h5py.SoftLink("/b"), "dangling": h5py.SoftLink("/none"),
                 "external": h5py.ExternalLink("/etc/passwd", "/x")}  # fmt: skip
        file["b"] = 1.0
        file["a"] = links[kind]

    return fill


def round_about(file: Any) -> None:
    inner = file.create_group("b/c")
    inner["a"] = file["b"]


def root_again(file: Any) -> None:
    file["a"] = file["/"]


def doubled(file: Any) -> None:
    """Each group holds the next one twice: few objects, and very many paths."""
    one = file
    for _ in range(20):
        inner = one.create_group("a")
        one["b"] = inner
        one = inner


def deep(file: Any) -> None:
    file["/".join("a" * 60)] = 1.0


def many(file: Any) -> None:
    for number in range(MOST_OBJECTS + 1):
        file.create_group(str(number))


def bomb(file: Any) -> None:
    file.create_dataset("a", data=np.zeros(1 << 22), compression="gzip", chunks=(1 << 16,))


def several(file: Any) -> None:
    for number in range(9):
        file.create_dataset(f"{number} a", (1 << 17,), "f8", chunks=(1 << 10,))


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "external data": (external, "the data of a stand in another file"),
    "virtual": (virtual, "the data of a stand in another file"),
    "endless": (endless, "the data of a stand in another file"),
    "a filter of a plug-in": (foreign_filter, "a needs the filter 307, .*gzip, shuffle"),
    "soft link": (linked("soft"), "a is a link to elsewhere"),
    "dangling link": (linked("dangling"), "a is a link to elsewhere"),
    "external link": (linked("external"), "a is a link to elsewhere"),
    "cycle": (round_about, "b/c/a holds itself"),
    "root again": (root_again, "a holds itself"),
    "doubled": (doubled, "more than 8192 objects"),
    "deep": (deep, "too deeply nested"),
    "many": (many, "more than 8192 objects"),
    "compressed zeros": (bomb, "a claims shape .4194304,.; the limit"),
    "several": (several, "[0-9] a claims shape .131072,.; the limit"),
    "huge": (lambda f: f.create_dataset("a", (1 << 50,), "f4", chunks=(1 << 10,)), "claims shape"),
    "nothing stored": (lambda f: f.create_dataset("a", (9,), "f4"), "has 0 bytes of data"),
    "huge chunk": (
        lambda f: f.create_dataset("a", (1,), "f4", maxshape=(None,), chunks=(1 << 28,)),
        "claims chunks",
    ),
    "huge chunk of texts": (
        lambda f: f.create_dataset("a", (1,), "S1", maxshape=(None,), chunks=(1 << 28,)),
        "claims chunks",
    ),
    "huge text": (lambda f: f.create_dataset("a", (1,), f"S{1 << 28}", chunks=(1,)), "claims"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_must_not_make_h5py_do(name: str) -> None:
    fill, said = REFUSED[name]
    with pytest.raises(Hdf5Error, match=said):
        read(fill)


def test_types_that_are_no_numbers_are_named_and_not_read() -> None:
    import h5py

    def fill(file: Any) -> None:
        file.create_dataset("pair", (1 << 40,), np.dtype([("a", "f4")]), chunks=(1 << 10,))
        file.create_dataset("reference", (2,), h5py.ref_dtype)
        file.create_dataset("ragged", (2,), h5py.vlen_dtype("f4"))
        file.create_dataset("complex", data=np.ones(2, complex))
        file.create_dataset("wide", data=np.ones(2, np.longdouble))
        file.attrs["reference"] = file.ref

    for name, tensor in read(fill).arrays.items():
        assert tensor.kind == "other"
        with pytest.raises(Hdf5Error, match=f"{name} is of another type, not numbers"):
            tensor.read()


def test_what_was_saved_to_hurt() -> None:
    """Files that h5py would not write, among them."""
    for name, said in {
        "external_link": "a link to elsewhere", "soft_link": "is a link", "itself": "holds itself",
        "external_data": "in another file, which is not opened", "huge": "claims shape",
    }.items():  # fmt: skip
        with pytest.raises(Hdf5Error, match=said):
            read_hdf5(SAVED.read(f"hostile/{name}.h5"), name)
    with pytest.raises(Hdf5Error, match="no HDF5 file"):
        read_hdf5(b"", "nothing")


@pytest.mark.parametrize("size", [0, 1, 5, 15, 16, 24, 1 << 20, (1 << 64) - 1])
@pytest.mark.parametrize("part", ["an object", "what is free", "the collection"])
def test_damaged_collections_of_texts(part: str, size: int) -> None:
    """HDF5 2.0.0 goes round for ever where what is free does not reach to the end."""
    content = bytearray(written(lambda f: f.attrs.update({"a": "x" * 40, "b": "y"})))
    at = content.index(b"GCOL")
    places = {"the collection": at + 8, "an object": at + 24}
    while int.from_bytes(content[at + 16 : at + 18], "little"):
        at += 16 + -(-int.from_bytes(content[at + 24 : at + 32], "little") // 8) * 8
    place = (places | {"what is free": at + 24})[part]
    content[place : place + 8] = size.to_bytes(8, "little")
    with pytest.raises(Hdf5Error, match="damaged"):
        read_hdf5(bytes(content), "damaged", ATTRIBUTES)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("where", ["attribute", "array", "one of many"])
def test_texts_that_claim_more_than_the_file_has(where: str, libver: str) -> None:
    """HDF5 2.0.0 allocates what a text claims, up to 4 GiB, before it looks for it."""

    def fill(file: Any) -> None:
        holder = file if where == "array" else file.attrs
        holder["a"] = "x" * 41
        for number in range(20 if where == "one of many" else 0):  # no longer in the header
            file.attrs[f"{number}"] = "y"

    content = bytearray(written(fill, libver=libver))
    assert read_hdf5(bytes(content), "sound", ATTRIBUTES)
    claim = (41).to_bytes(4, "little") + content.index(b"GCOL").to_bytes(8, "little")
    at = content.index(claim)
    content[at : at + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(Hdf5Error, match="claims more bytes than the file has|damaged"):
        read_hdf5(bytes(content), "damaged", ATTRIBUTES)


SOURCES = st.sampled_from(["gru.h5", "lstm.weights.h5", "hostile/new_layout.h5"])


@given(SOURCES, st.data())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_damage_is_refused_as_ours(name: str, data: st.DataObject) -> None:
    content = bytearray(SAVED.read(name))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 9))
        patch = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8)))
        content[place : place + len(patch)] = patch
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    try:
        for tensor in read_hdf5(bytes(content[:cut]), "damaged", ATTRIBUTES).arrays.values():
            assert int(np.prod(tensor.shape)) <= 1 << 20
    except Hdf5Error:
        pass


def test_without_h5py_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "net.h5"
    path.write_bytes(SAVED.read("lstm.h5"))
    with pytest.raises(l2l.BackendMissingError, match="h5py: pip install h5py") as caught:
        l2l.import_network(path, format="keras")
    assert caught.value.exit_code == 3
