"""Feeds readers with damaged files and watches what they do.

A reader passes if it answers or raises one of the library's own exceptions, within the time limit,
with no more memory than ten times the file, and without doing anything but reading: processes,
sockets and files written are noticed through Python's audit events. Files that are refused for a
reason not seen before are kept as a start for further damage, so the hunt goes deeper where the
reader does.

    python tests/fuzzing/hunt.py --inputs 1000000 --processes 2

What is found is written beside the report and makes the exit code 2.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import importlib
import json
import multiprocessing
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy  # noqa: F401  sets a variable of the environment when it is first imported

from fuzzing.mutations import spliced
from fuzzing.readers import READERS, Reader
from lnn2loihi.errors import Lnn2LoihiError

#: Seconds of a processor after which a reader hangs, whatever else the machine does.
TIME_LIMIT = 20.0
#: Seconds after which the process is ended: a reader that waits for something, or never returns.
PATIENCE = 600.0
#: A reader may take so many times the size of its file.
MEMORY_FACTOR = 10
#: What the interpreter takes whatever the file: a module imported, an arena of the allocator.
MEMORY_FLOOR = 24 << 20
#: Most files that are kept as starts.
POOL = 2000
#: Audit events that no reader has a reason for.
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen",
    "pty.spawn", "socket.connect", "socket.bind", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
    "shutil.rmtree", "os.chmod", "os.putenv", "os.kill",
)  # fmt: skip


@dataclass
class Finding:
    """A file that hurt."""

    reader: str
    what: str
    file: str


@dataclass
class Report:
    """What one hunt saw."""

    reader: str
    tried: int = 0
    accepted: int = 0
    refused: int = 0
    reasons: int = 0
    slowest: float = 0.0
    most_memory: int = 0
    findings: list[Finding] = field(default_factory=list)


class Watch:
    """Notices what a reader does beside reading; an audit hook cannot be taken off again."""

    def __init__(self) -> None:
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set(
            "wax+"
        )  # fmt: skip
        if event in FORBIDDEN or writes:
            self.seen.append(f"{event} {arguments!r:.200}")


_WATCH: list[Watch] = []


def _watch() -> Watch:
    if not _WATCH:
        _WATCH.append(Watch())
    return _WATCH[0]


def _peak_memory(reset: bool = False) -> int:
    """Largest resident memory since the last reset, in bytes; 0 where Linux does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) << 10
    except (OSError, IndexError):
        return 0


def _signature(error: BaseException) -> str:
    """What an error says, without the numbers and names of this one file."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/\S*", "_", str(error))
    return f"{type(error).__name__}: {re.sub(r'[0-9.e+-]+', '0', text)[:160]}"


class Hunt:
    """One reader, fed until so many files were tried."""

    def __init__(self, reader: Reader, seed: int, folder: Path, kept: Path | None) -> None:
        self._reader = reader
        for package in reader.needs:
            # What a package does when it is first imported is no file's doing: h5py asks `uname`.
            importlib.import_module(package)
        self._random = random.Random(seed)
        self._kept = kept
        self._file = folder / f"file{reader.suffix}"
        for name, text in (reader.beside or {}).items():
            (folder / name).write_text(text)
        self._seeds = reader.seeds()
        self._pool = list(self._seeds)
        self._reasons: set[str] = set()
        self.report = Report(reader.name)

    def run(self, inputs: int, seconds: float = float("inf")) -> Report:
        """Tries the corpus, then damaged files, until a limit is reached."""
        end = time.monotonic() + seconds
        for content in self._seeds:
            self.try_one(content)
        while self.report.tried < inputs and time.monotonic() < end:
            content = self._random.choice(self._pool)
            for _ in range(self._random.choice((1, 1, 1, 2, 4))):
                content = self._random.choice(self._reader.mutations)(content, self._random)
            if self._random.random() < 0.02:
                content = spliced(content, self._pool, self._random)
            self.try_one(content[: 1 << 20])
        return self.report

    def try_one(self, content: bytes) -> None:
        """Reads one file and judges."""
        self._file.write_bytes(content)
        report, watch = self.report, _watch()
        before = _peak_memory(reset=True)
        start = time.process_time()
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        watch.seen.clear()
        watch.active = True
        problem = reason = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._reader.read(self._file)
            report.accepted += 1
        except Lnn2LoihiError as error:
            report.refused += 1
            reason = _signature(error)
        except Exception as error:
            # A MemoryError is no exception to it: a claim was believed.
            problem = f"raised {type(error).__name__}: {error!s:.200}\n{traceback.format_exc()}"
        finally:
            watch.active = False
            faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - start
        memory = max(0, _peak_memory() - before)
        report.tried += 1
        report.slowest = max(report.slowest, took)
        report.most_memory = max(report.most_memory, memory)
        report.reasons = len(self._reasons)
        if took > TIME_LIMIT:
            problem = problem or f"took {took:.1f} s"
        if memory > max(MEMORY_FLOOR, MEMORY_FACTOR * len(content)) and self._again(content):
            problem = problem or f"took {memory:,} bytes for a file of {len(content):,}"
        if watch.seen:
            problem = problem or f"did {watch.seen[0]}"
        if problem:
            self._keep(content, problem)
        elif reason and reason not in self._reasons:
            self._reasons.add(reason)
            if len(self._pool) < POOL:
                self._pool.append(content)

    def _again(self, content: bytes) -> bool:
        """Whether a second reading takes the memory too, and not only the first import."""
        gc.collect()
        before = _peak_memory(reset=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._reader.read(self._file)
        except Exception:  # judged already
            pass
        return _peak_memory() - before > max(MEMORY_FLOOR, MEMORY_FACTOR * len(content))

    def _keep(self, content: bytes, problem: str) -> None:
        name = ""
        if self._kept is not None:
            self._kept.mkdir(parents=True, exist_ok=True)
            number = len(self.report.findings)
            path = self._kept / f"{self._reader.name}-{number}{self._reader.suffix}"
            path.write_bytes(content)
            path.with_suffix(".txt").write_text(problem)
            name = path.name
        self.report.findings.append(Finding(self._reader.name, problem, name))


def usable(reader: Reader) -> str:
    """Empty, or why a reader cannot be tried here."""
    missing = [package for package in reader.needs if find_spec(package) is None]
    return f"needs {', '.join(missing)}: pip install {' '.join(missing)}" if missing else ""


def _worker(task: tuple[str, int, float, int, str]) -> dict[str, Any]:
    name, inputs, seconds, seed, kept = task
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as folder:
        hunt = Hunt(READERS[name], seed, Path(folder), Path(kept) / f"{name}-{seed}")
        return asdict(hunt.run(inputs, seconds))


def _hunted(
    tasks: list[tuple[str, int, float, int, str]], processes: int, totals: dict[str, Report]
) -> None:
    """Runs all parts, and adds what each saw to the report of its reader as soon as it is done."""
    context = multiprocessing.get_context("spawn")
    ignoring = (signal.signal, (signal.SIGINT, signal.SIG_IGN))  # Ctrl-C is for this process
    with context.Pool(processes, *ignoring, maxtasksperchild=1) as pool:
        waiting = [(task, pool.apply_async(_worker, (task,))) for task in tasks]
        for done, (task, result) in enumerate(waiting):
            total = totals[task[0]]
            try:
                found = result.get(timeout=3600)
            except Exception as error:  # the interpreter died, or hung
                total.findings.append(Finding(task[0], f"the process ended: {error!r}", ""))
                continue
            for key in ("tried", "accepted", "refused"):
                setattr(total, key, getattr(total, key) + found[key])
            for key in ("reasons", "slowest", "most_memory"):
                setattr(total, key, max(getattr(total, key), found[key]))
            total.findings += [Finding(**finding) for finding in found["findings"]]
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{done + 1}/{len(tasks)} parts")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore
    parser.add_argument("--inputs", type=int, default=20_000, help="files, over all formats")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit of each part")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default=",".join(READERS))
    parser.add_argument("--out", type=Path, default=Path("out/fuzzing"))
    options = parser.parse_args()
    names = [name for name in options.formats.split(",") if not usable(READERS[name])]
    # Each format in several parts, so that a crash of the interpreter costs one of them.
    parts = max(1, options.inputs // (len(names) * 5_000))
    each = -(-options.inputs // (len(names) * parts))
    tasks = [
        (name, each, options.seconds, options.seed + part, str(options.out))
        for part in range(parts) for name in names
    ]  # fmt: skip
    totals: dict[str, Report] = {name: Report(name) for name in names}
    start = time.monotonic()
    try:
        _hunted(tasks, options.processes, totals)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what follows is of the parts that were finished\n")
    options.out.mkdir(parents=True, exist_ok=True)
    report = {name: asdict(total) for name, total in totals.items()}
    (options.out / "report.json").write_text(json.dumps(report, indent=2))
    sys.stdout.write("format        tried     accepted   refused    reasons  slowest   memory\n")
    for total in totals.values():
        sys.stdout.write(
            f"{total.reader:<12} {total.tried:>9,} {total.accepted:>10,} {total.refused:>10,} "
            f"{total.reasons:>8} {total.slowest:>7.2f} s {total.most_memory >> 20:>5} MB\n"
        )
    findings = [finding for total in totals.values() for finding in total.findings]
    tried = sum(total.tried for total in totals.values())
    minutes = (time.monotonic() - start) / 60
    sys.stdout.write(f"{tried:,} files in {minutes:.1f} minutes, {len(findings)} that hurt\n")
    for finding in findings[:20]:
        sys.stdout.write(
            f"  {finding.reader}: {finding.what.splitlines()[0]:.200} {finding.file}\n"
        )
    return 2 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
