"""The C engine under AddressSanitizer and UndefinedBehaviorSanitizer.

Scenarios run in an interpreter of their own, with the sanitizer's library loaded first; NumPy's
arrays then end in forbidden memory, and so do the parts of the engine's own scratch.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import (
    BLOCK,
    KERNELS,
    assert_same,
    level_parameters,
    on_level,
    random_start,
    zoo_program,
)
from patience import PATIENCE
from programs import random_inputs
from test_convolution import two_layers
from wide_programs import POWERS, looping_program, reaching_program

from lnn2loihi import Convolution, LoihiProgram, open_stream
from lnn2loihi.errors import InputError
from lnn2loihi.simulation import choice, simulate
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.kernel_code import Level

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O0")
#: Deliberate errors in the C text, by what they do: text, replacement, what is reported. Each is
#: made if MISTAKE holds its number, so that all of them are compiled once.
MISTAKES = {
    "none": ("", "", ""),
    "writes beyond the outputs": (
        "for (int64_t k = 0; k < n; k++)\n                    to[k]",
        "for (int64_t k = 0; k < n + mistake(1); k++)\n                    to[k]",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "reads one pair of weights too many": (
        "for (int k = 0; k < pairs; k++)",
        "for (int k = 0; k < pairs + mistake(2); k++)",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "writes beyond a part of the scratch": (
        "(size_t)run->pairs * 2 * LANES * sizeof *block->messages",
        "(size_t)run->pairs * 2 * LANES * sizeof *block->messages + 4 * mistake(3)",
        "AddressSanitizer: use-after-poison",
    ),
    "writes beyond the answer of a stream": (
        "for (int32_t n = 0; n < neurons; n++)\n        stream->decoded[n] =",
        "for (int32_t n = 0; n < neurons + mistake(4); n++)\n        stream->decoded[n] =",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "overflows": (
        "non_zero[i] += row[i] != 0;",
        "non_zero[i] += (row[i] != 0) + INT32_MAX * (2 * mistake(5));",
        "runtime error: signed integer overflow",
    ),
}
MISTAKE = """\
static int mistake(int which)
{
    return atoi(getenv("MISTAKE")) == which;
}
"""
TESTS = Path(__file__).parent


@functools.cache
def sanitizer() -> str:
    """The library that is loaded first, or "" if the compiler has none."""
    command = library.compiler()
    if command is None:
        return ""
    asked = [*command, "-print-file-name=libasan.so"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return found if os.path.isabs(found) and os.path.exists(found) else ""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sanitizer(), reason="the C compiler has no libasan.so"),
]


def run(call: str) -> subprocess.CompletedProcess[str]:
    """Runs a scenario of this file."""
    return subprocess.run(
        [sys.executable, "-c", f"import test_sanitizers as t; t.{call}"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "PYTHONMALLOC": "malloc",
            "LD_PRELOAD": sanitizer(),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def scenario(level_name: str) -> None:
    """Programs, batches, lengths and kernels; results are compared as well."""
    level = library.level_named(level_name)
    rng = np.random.default_rng(1)
    for seed, (sizes, density) in enumerate(
        [((1,), 1.0), ((16,), 1.0), ((3, 17, 2), 0.9), ((5, 34, 1), 0.03), ((7, 9), 0.0)]
    ):
        program = zoo_program(seed, sizes, inputs=1 + seed, density=density)
        native = NativeEngine(program, level, FLAGS)
        # All edges of blocks with the two programs that have most ways through the kernels.
        for batch in (1, 2, 7, 8, 63, 64, 65, 129) if seed in (2, 3) else (1, 8, 65):
            record = bool(batch % 2)
            x = random_inputs(seed, program, batch, 3)
            lengths = None if batch == 2 else rng.integers(0, 4, batch)
            options = {
                "lengths": lengths,
                "return_states": record,
                "initial_state": random_start(program, seed, batch),
            }
            expected = simulate(program, x, "blas", **options)
            for lanes in KERNELS:
                found = on_level(program, x, None, lanes, native, threads=2, **options)
                assert_same(found, expected)
        floats = rng.normal(0, 1e3, (9, 2, program.input.size)) * 10.0 ** rng.integers(-300, 300)
        for lanes in KERNELS:
            found = on_level(program, floats, None, lanes, native)
            assert_same(found, simulate(program, floats, "blas"))
        if seed in (2, 3):
            streams(program, native)
    kernels(level)
    wide(level)
    os.write(1, b"clean\n")


def streams(program: LoihiProgram, native: NativeEngine) -> None:
    """A stream of real values and one of integers, each with what `simulate` answers: states taken
    and laid down, what is not finite, and several side by side.
    """
    x = np.random.default_rng(3).normal(0, 3.0, (6, 2, program.input.size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "native_engine", lambda _: native)
        side_by_side = open_stream(program, "c", batch=len(x))
        together = np.stack([side_by_side.step(x[:, t]) for t in (0, 1)], 1)
        assert np.array_equal(together, simulate(program, x, "blas").outputs)
        for samples, encoded in ((x, False), (random_inputs(3, program, 6, 2), True)):
            expected = simulate(program, samples, "blas", encoded=encoded, return_states=True)
            stream = open_stream(program, "c", encoded=encoded)
            for sequence, answers in zip(samples, expected.outputs, strict=True):
                stream.reset()
                for t, (sample, answer) in enumerate(zip(sequence, answers, strict=True)):
                    assert np.array_equal(stream.step(sample), answer)
                    if t == 0:  # of here, and the next step goes on from it
                        stream.load_state(stream.state)
            assert stream.steps == 2 and stream.saturated.shape == (program.input.size,)
            if not encoded:
                with pytest.raises(InputError):
                    stream.step(np.full(program.input.size, np.nan))


def kernels(level: Level) -> None:
    """Neurons that share kernels: borders, gaps, groups, windows that hear nothing."""
    rng = np.random.default_rng(2)
    for parts, (kernel, source, stride, padding, dilation, groups) in enumerate(
        (
            ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
            ((12, 2, 3, 2), (4, 5, 7), (1, 2), (1, 3), (2, 1), 2),
            ((5, 3, 2, 3), (3, 4, 5), (3, 1), (2, 4), (1, 1), 1),
        ),
        start=1,
    ):
        weights = rng.integers(-50, 51, kernel)
        made = Convolution(
            "input", "first", ("arriving",), weights, source, stride, padding, dilation, groups
        )
        program = two_layers(made, parts)
        native = NativeEngine(program, level, FLAGS)
        for batch in (1, 9, 65):
            x = random_inputs(parts, program, batch, 3)
            expected = simulate(program, x, "blas", return_states=True)
            for lanes in KERNELS:
                found = on_level(program, x, None, lanes, native, return_states=True)
                assert_same(found, expected)


def wide(level: Level) -> None:
    """Messages and inputs of more than 16 bits: one channel, all widths, and loops."""
    for program in (
        reaching_program((16,), 17),
        reaching_program(POWERS),
        looping_program(20),
    ):
        native = NativeEngine(program, level, FLAGS)
        for batch in (1, 65):
            x = random_inputs(batch, program, batch, 18)
            lengths = np.random.default_rng(batch).integers(0, 19, batch)
            options = {
                "encoded": True, "return_states": True, "lengths": lengths,
                "initial_state": random_start(program, 1, batch),
            }  # fmt: skip
            expected = simulate(program, x, "blas", **options)
            for lanes in KERNELS:
                found = on_level(program, x, None, lanes, native, threads=2, **options)
                assert_same(found, expected)


def mistaken() -> None:
    """A small run of an engine with deliberate errors."""
    original = library.engine_text

    def broken(level: Level, lanes: int) -> str:
        source = original(level, lanes)
        for text, replacement, _ in MISTAKES.values():
            assert text in source, "the text is not there any more: choose another one"
            source = source.replace(text, replacement) if text else source
        return f"static int mistake(int which);\n{source}\n{MISTAKE}"

    program = zoo_program(2, (3, 17, 2), inputs=3, density=0.9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "engine_text", broken)
        native = NativeEngine(program, library.level_named("plain"), FLAGS)
        on_level(program, np.zeros((65, 2, 3)), None, BLOCK, native, return_states=True)
        streams(program, native)
    os.write(1, b"clean\n")


@pytest.mark.parametrize("level", level_parameters())
def test_the_engine_is_clean(level: str) -> None:
    done = run(f"scenario({level!r})")
    assert (done.returncode, done.stdout) == (0, "clean\n"), done.stderr[-6000:]
    assert done.stderr == ""


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=list(MISTAKES))
def test_a_deliberate_error_is_found(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reported = list(MISTAKES.values())[number][2]
    monkeypatch.setenv("MISTAKE", str(number))
    done = run("mistaken()")
    assert reported in done.stderr, done.stderr[-6000:]
    found = (done.returncode != 0, done.stdout, bool(done.stderr))
    assert found == ((True, "", True) if number else (False, "clean\n", False)), done.stderr[-6000:]
