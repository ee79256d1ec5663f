"""What was saved answers as before: a digest of all that every shipped program, and a file of each
version that is read, answers to inputs that are the same everywhere.

A new file needs an entry in digests.toml; its test says which one. An entry that is there is never
changed: the file would mean something else than it did (see CONTRIBUTING.md).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.artifact import READ
from lnn2loihi.converted.calls import answer_arrays
from lnn2loihi.files import parse_toml
from lnn2loihi.program import LoihiProgram

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT / "models", HERE / "artifacts")
    for path in folder.rglob("*.l2l")
)
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (HERE / "artifacts").glob("*.l2m"))
RECORDED = parse_toml((HERE / "digests.toml").read_text(), "digests.toml", l2l.InputError)
BATCH, TIME = 3, 20


def encoded(program: LoihiProgram) -> np.ndarray:
    """Encoded samples (batch, time, channels) in the port's range, half of them at its ends; made
    of PCG64's raw words, whose stream is guaranteed, and never a float.
    """
    port = program.input
    low, high = port.low.astype(np.uint64), port.high.astype(np.uint64)  # modulo 2**64
    raw = np.random.PCG64(14).random_raw((2, BATCH, TIME, port.size))
    values = low + raw[0] % (high - low + np.uint64(1))
    ends = raw[1] >> np.uint64(62)
    return np.where(ends == 0, low, np.where(ends == 1, high, values)).astype(np.int64)


def digest(program: LoihiProgram) -> str:
    """SHA-256 of the outputs, all states, the final ones and what was counted."""
    x = encoded(program)
    samples, timespans = (x[..., :-1], x[..., -1]) if program.timed else (x, None)
    found = l2l.simulate(
        program, samples, "blas", lengths=[TIME, TIME - 3, 1], timespans=timespans, encoded=True,
        return_states=True,
    )  # fmt: skip
    assert found.states is not None and found.saturated_words is not None
    parts = {"outputs": found.integers}
    for name, words in (
        ("states", found.states), ("final", found.final_state), ("saturated", found.saturated_words)
    ):  # fmt: skip
        parts |= {f"{name} {p} {w}": array for p, of in words.items() for w, array in of.items()}
    total = hashlib.sha256()
    for name in sorted(parts):
        array = np.asarray(parts[name]).astype("<i4")
        total.update(f"{name} {array.shape}".encode() + array.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("file", FILES)
def test_it_answers_as_before(file: str) -> None:
    found = digest(l2l.load(ROOT / file))
    known = RECORDED.get(file)
    assert known is not None, f'add to digests.toml: "{file}" = "{found}"'
    assert found == known


def module_digest(module: l2l.ConvertedModule) -> str:
    """SHA-256 of what is answered to the example and, in integers, of each chip part; twice, the
    second time with other numbers.
    """
    total = hashlib.sha256()
    for scale in (1.0, 3.0):
        given = [scale * np.asarray(array, np.float32) for array in module.example.values()]
        found = module.run(*given, executor="blas")
        for place, array in answer_arrays(module, found.answer).items():
            total.update(f"{place} {array.shape}".encode() + array.astype("<f4").tobytes())
        for name, part in found.parts.items():
            total.update(f"{name} {part.saturated_inputs}".encode())
            total.update(part.integers.astype("<i4").tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("file", MODULES)
def test_a_module_answers_as_before(file: str) -> None:
    module = l2l.load(ROOT / file)
    assert isinstance(module, l2l.ConvertedModule)
    found, known = module_digest(module), RECORDED.get(file)
    assert known is not None, f'add to digests.toml: "{file}" = "{found}"'
    assert found == known


def test_every_file_of_the_record_is_there() -> None:
    assert set(RECORDED) <= {*FILES, *MODULES}


def test_there_is_a_file_of_each_version_that_is_read() -> None:
    found = set()
    for path in (HERE / "artifacts").glob("*.l2l"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        found.add(json.loads(header["__metadata__"]["manifest"])["schema"])
    assert found == set(READ)
