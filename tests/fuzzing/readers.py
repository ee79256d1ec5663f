"""The readers under test: for each format its seeds, its mutations, and how it is read."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzzing.mutations import (
    Mutation,
    bytes_changed,
    hdf5_changed,
    json_changed,
    onnx_changed,
    safetensors_changed,
    text_changed,
    zip_changed,
)

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Reader:
    """One format.

    Attributes:
        name: name of the format, and of its folder in the corpus.
        suffix: suffix of its files.
        read: reads a file of that suffix, as a user would.
        mutations: ways to damage one, more likely ones more than once.
        beside: files that must lie beside it, by name.
        needs: packages without which it cannot be read.
    """

    name: str
    suffix: str
    read: Callable[[Path], Any]
    mutations: tuple[Mutation, ...]
    beside: Mapping[str, str] | None = None
    needs: tuple[str, ...] = ()

    def seeds(self) -> list[bytes]:
        """The files of the corpus, in order of their names."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]


_KERAS = (
    '[network]\nmodule = "keras.Sequential"\nlayers = [{ class = "CfC" }, { class = "Dense" }]\n'
)
_CFC = '[network]\nmodule = "ncps.torch.CfC"\ninput_size = 2\nunits = 8\nproj_size = 1\n'
_SPACES = '[network]\nmodule = "SequenceModel"\nprenorm = true\npool = "mean"\n'


def _program(path: Path) -> Any:
    from lnn2loihi import load

    return load(path).summary()


def _module(path: Path) -> Any:
    from lnn2loihi import load

    return load(path).summary()


def _keras(path: Path) -> Any:
    from lnn2loihi.converters.keras_read.importer import KerasImporter

    return KerasImporter().load(path)


def _lavadl(path: Path) -> Any:
    from lnn2loihi.converters.lavadl.importer import LavaDlImporter

    return LavaDlImporter().load_program(path).summary()


def _network(path: Path) -> Any:
    from lnn2loihi import import_network

    return import_network(path).summary()


def _samples(path: Path) -> Any:
    from lnn2loihi.samples import read_sample_file

    return read_sample_file(path)


def _device(path: Path) -> Any:
    from lnn2loihi.devices import load_device

    return load_device(path)


def _profile(path: Path) -> Any:
    from lnn2loihi import load_profile

    return load_profile(path).summary()


def _logs(path: Path) -> Any:
    from lnn2loihi.cost import read_logs

    return read_logs(path)


def program_changed(content: bytes, rng: random.Random) -> bytes:
    """The manifest of a program, or a network, changed, its checksum right again."""
    from safetensors.numpy import load, save

    from lnn2loihi.sealed import checksum, ordered

    try:
        end = 8 + int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:end])["__metadata__"]
        arrays = load(content)
        if rng.random() < 0.3:
            name = rng.choice(sorted(arrays))
            changed = arrays[name].reshape(-1).copy()
            if changed.size:
                changed[rng.randrange(changed.size)] = rng.choice((0, 1, -1, 127, -128))
            arrays[name] = changed.reshape(arrays[name].shape)
        else:
            metadata["manifest"] = json_changed(metadata["manifest"].encode(), rng).decode()
        metadata["sha256"] = checksum(metadata["manifest"], arrays)
        return ordered(save(arrays, metadata))
    except Exception:  # what an earlier mutation left is no program
        return bytes_changed(content, rng)


def module_changed(content: bytes, rng: random.Random) -> bytes:
    """The manifest of a converted module changed, or a program in it; its checksums right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        text = entries.pop("module.json")
        programs = [name for name in sorted(entries) if name.endswith(".l2l")]
        if programs and rng.random() < 0.3:
            name = rng.choice(programs)
            entries[name] = program_changed(entries[name], rng)
        elif rng.random() < 0.2:
            entries["arrays.safetensors"] = safetensors_changed(entries["arrays.safetensors"], rng)
        else:
            text = json_changed(text, rng)
        manifest = json.loads(text)
        manifest["entries"] = {n: hashlib.sha256(held).hexdigest() for n, held in entries.items()}
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, held in {"module.json": json.dumps(manifest), **entries}.items():
                archive.writestr(name, held)
        return target.getvalue()
    except Exception:  # what an earlier mutation left is no module
        return bytes_changed(content, rng)


READERS = {
    reader.name: reader
    for reader in (
        Reader(
            "program", ".l2l", _program,
            (program_changed, program_changed, program_changed, safetensors_changed, bytes_changed),
        ),
        Reader(
            "network", ".l2n", _network,
            (program_changed, program_changed, program_changed, safetensors_changed, bytes_changed),
        ),
        Reader(
            "safetensors", ".safetensors", _network, (safetensors_changed, bytes_changed),
            beside={"file.toml": _CFC},
        ),
        Reader(
            "state_space", ".safetensors", _network, (safetensors_changed, bytes_changed),
            beside={"file.toml": _SPACES},
        ),
        Reader(
            "checkpoint", ".pt", _network, (zip_changed, zip_changed, bytes_changed),
            beside={"file.toml": _CFC}, needs=("torch",),
        ),
        Reader(
            "onnx", ".onnx", _network, (onnx_changed, onnx_changed, onnx_changed, bytes_changed),
            needs=("onnx",),
        ),
        Reader(
            "keras", ".keras", _keras, (zip_changed, zip_changed, bytes_changed), needs=("h5py",)
        ),
        Reader("equinox", ".eqx", _network, (text_changed, text_changed, bytes_changed)),
        Reader("keras_weights", ".h5", _keras, (bytes_changed,), needs=("h5py",)),
        Reader(
            "weights_npz", ".npz", _network, (zip_changed, zip_changed, bytes_changed),
            beside={"file.toml": _KERAS},
        ),
        Reader(
            "lavadl", ".net", _lavadl, (hdf5_changed, bytes_changed),
            needs=("h5py",),
        ),
        Reader(
            "module", ".l2m", _module,
            (module_changed, module_changed, module_changed, zip_changed, bytes_changed),
        ),
        Reader("description", ".toml", _network, (text_changed, text_changed, bytes_changed)),
        Reader("device", ".toml", _device, (text_changed, text_changed, text_changed,
                                            bytes_changed)),
        Reader("profile", ".json", _profile, (json_changed, json_changed, bytes_changed)),
        Reader("profiler_logs", ".json", _logs, (json_changed, json_changed, bytes_changed)),
        Reader("samples_npz", ".npz", _samples, (zip_changed, zip_changed, bytes_changed)),
        Reader("samples_npy", ".npy", _samples, (text_changed, bytes_changed)),
        Reader("samples_csv", ".csv", _samples, (text_changed, bytes_changed)),
    )
}  # fmt: skip


def as_npz(**arrays: Any) -> bytes:
    """An `.npz` file of arrays."""
    import numpy as np

    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()
