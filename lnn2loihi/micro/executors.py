"""Programs in C as executors: compiled for this machine, or for parts that an emulator stands for.

A step of the C program is called as its user calls it; all recorded words of every update come
back. Writers of C derive from these classes and say how a program is written.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import numpy as np

from lnn2loihi.errors import BackendMissingError, CompiledRunError, ProgramError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.micro.building import BARE, WASM_FLAGS, build, size_of_body
from lnn2loihi.micro.driver import NET, Driver, Goal, Source, Transport
from lnn2loihi.micro.parts import PARTS
from lnn2loihi.micro.processes import run_child
from lnn2loihi.micro.tools import (
    cross_compiler,
    emulator,
    host_compiler,
    version_line,
    wasm_compiler,
    wasm_runner,
)
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import Executor, FullState
from lnn2loihi.simulation.result import IntegerRun, OnStep

#: Synaptic operations and neuron instructions that an emulator does in some seconds: what is
#: compared where nobody has said how much.
_SHARE = 200_000_000


class CompiledProgram(Executor):
    """A program in C, compiled, and run in a process of its own, from file to file.

    Attributes:
        name: of the executor.
        transport: how it reads and writes.
        goal: what the code is written for: size on parts, speed elsewhere, so that both are tried.
        slow: whether it runs in an emulator.
    """

    name: ClassVar[str]
    transport: ClassVar[Transport]
    goal: ClassVar[Goal] = "speed"
    slow: ClassVar[bool] = True

    @abstractmethod
    def write(self, program: LoihiProgram, prefix: str, goal: Goal) -> Source:
        """The program in C; every name begins with the prefix."""

    @abstractmethod
    def compiler(self) -> tuple[str, ...]:
        """The command that compiles, with the flags that name the machine.

        Raises:
            BackendMissingError: it is not here.
        """

    @abstractmethod
    def flags(self) -> tuple[str, ...]:
        """Further flags of the compiler."""

    @abstractmethod
    def call(self, built: Path) -> tuple[str, ...]:
        """The command that runs what was built.

        Raises:
            BackendMissingError: what runs it is not here.
        """

    def unfit(self, program: LoihiProgram) -> str:
        """What C cannot say, or not in so many words."""
        try:
            self.write(program, NET, self.goal)
        except ProgramError as error:
            return "; ".join(error.problems) + "; the executors c and blas run it"
        return ""

    @property
    def subject(self) -> str:
        """What errors are about."""
        return f"executor {self.name}"

    def reason_against(self, program: LoihiProgram) -> str:
        """A compiler or an emulator that is not here, and what to install."""
        if unfit := self.unfit(program):
            return unfit
        found: list[str] = []
        for ask in (self.compiler, lambda: self.call(Path("program"))):
            try:
                ask()
            except BackendMissingError as error:
                found.append(str(error))
        return "; ".join(found)

    def share(self, program: LoihiProgram, batch: int, updates: int) -> tuple[int, int]:
        """In an emulator as many updates as take some seconds."""
        if not self.slow:
            return batch, updates
        work = sum(c.synapses for c in program.connections) + sum(
            p.size * p.program.instruction_count for p in program.populations
        )
        most = max(_SHARE // max(work, 1), 1)
        part = min(updates, most)
        return min(batch, max(most // part, 1)), part

    def build(self, program: LoihiProgram) -> Path:
        """The compiled program with its main program.

        Raises:
            BackendMissingError: the compiler is not here, or fails.
        """
        texts = Driver(program).texts(self.write(program, NET, self.goal), self.transport)
        kind = "".join(c if c.isalnum() else "-" for c in self.name)
        return build(
            self.subject, kind, texts, self.compiler(), self.flags(),
            executable=self.transport != "wasm",  # emulators ask for that too
        )  # fmt: skip

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """Runs all sequences, one after another; see `Executor`.

        Raises:
            BackendMissingError: a compiler or an emulator is not here, or the compiler fails.
            CompiledRunError: the program fails or hangs.
        """
        driver, (batch, updates) = Driver(program), inputs.shape[:2]
        command = self.call(self.build(program))
        record = max(4 * driver.record_words * batch, 1)

        def watch(written: int) -> None:
            if on_step is not None:
                on_step(min(written // record, updates), updates)

        try:
            with tempfile.TemporaryDirectory(prefix="lnn2loihi-") as made:
                folder = Path(made)
                given, taken = folder / "given.bin", folder / "taken.bin"
                given.write_bytes(driver.sent(inputs, initial_state))
                run_child(self.subject, command, folder, given, taken, watch)
                content = np.fromfile(taken, "<i4").astype(np.int32, copy=False)
        except OSError as error:
            raise CompiledRunError(
                self.subject, f"its files cannot be written ({error}); set TMPDIR to another folder"
            ) from error
        if on_step is not None:
            on_step(updates, updates)
        return IntegerRun(self.said, driver.received(self.subject, content, (batch, updates)))

    @property
    def said(self) -> str:
        """The name with versions of the tools."""
        compiler = self.compiler()
        tool = compiler[: compiler.index("cc")] if "cc" in compiler else compiler[:1]
        return f"{self.name} ({version_line(tool)})"


class HostC(CompiledProgram):
    """In C for this machine, by its own compiler."""

    name = "c99"
    transport = "host"
    slow = False

    def compiler(self) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return host_compiler()

    def flags(self) -> tuple[str, ...]:
        """Strict C99 with optimisation."""
        return ("-std=c99", "-O2")

    def call(self, built: Path) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return (str(built),)


class EmulatedC(CompiledProgram):
    """In C for a part, whose code a user-mode emulator runs.

    The code is that of the part, compiled without a C library; it is started as a program of
    Linux, and reads and writes through three system calls (see `lnn2loihi.micro.parts`).
    """

    part: ClassVar[str]
    transport = "emulated"
    goal = "size"

    def compiler(self) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return cross_compiler(PARTS[self.part])

    def flags(self) -> tuple[str, ...]:
        """What micro-controllers are compiled for: size."""
        return ("-std=c99", "-Os", *BARE)

    def call(self, built: Path) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return (*emulator(PARTS[self.part].emulator), str(built))

    @property
    def said(self) -> str:
        """See `CompiledProgram`."""
        qemu = version_line(emulator(PARTS[self.part].emulator))
        return f"{super().said.removesuffix(')')}, {self.part}, {qemu.partition(' (')[0]})"


class CortexMC(EmulatedC):
    """In C for a Cortex-M4: Thumb-2 code."""

    name, part = "c99:cortex-m@qemu", "cortex-m4"


class RiscVC(EmulatedC):
    """In C for RISC-V with 32 bits, multiplication and short instructions."""

    name, part = "c99:rv32@qemu", "rv32imc"


class WasmC(CompiledProgram):
    """In C for WebAssembly, which node or wasmtime runs."""

    name = "c99:wasm"
    transport = "wasm"

    def compiler(self) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return wasm_compiler()

    def flags(self) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        return ("-std=c99", "-O2", *WASM_FLAGS)

    def call(self, built: Path) -> tuple[str, ...]:
        """See `CompiledProgram`."""
        program, script = wasm_runner()
        place = str(files("lnn2loihi.micro") / "script" / script)
        size = size_of_body(built) if built.is_file() else 0
        return (program, place, str(built), str(size))

    def module(self, program: LoihiProgram) -> bytes:
        """A program as a module whose functions a page calls (see `source/module.c`), compiled for
        size.

        Raises:
            BackendMissingError: the compiler is not here, or fails; says what to install.
        """
        texts = Driver(program).module_texts(self.write(program, NET, "size"))
        built = build(
            f"program {program.name!r} as WebAssembly", "wasm-module", texts, self.compiler(),
            ("-std=c99", "-Os", *WASM_FLAGS), executable=False,
        )  # fmt: skip
        return built.read_bytes()[: size_of_body(built)]

    @property
    def said(self) -> str:
        """See `CompiledProgram`."""
        program, script = wasm_runner()
        node = script.endswith(".mjs")
        runner = f"node {version_line((program,))}" if node else "wasmtime"
        return f"{super().said.removesuffix(')')}, {runner})"
