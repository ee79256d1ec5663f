"""The verb build: the whole road from one file, each step once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.building.plan import BuildPlan, read_plan
from lnn2loihi.building.record import Manifest
from lnn2loihi.building.steps import OnStep, Step, Steps
from lnn2loihi.errors import InputError, Lnn2LoihiError
from lnn2loihi.files import inputs_kept
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.unfinished import folder_locked

#: What became of a step.
DONE, KEPT, FAILED, WAITING, WOULD = "done", "kept", "failed", "not done", "would run"


@dataclass(frozen=True)
class BuiltStep(Shown):
    """What became of a step.

    Attributes:
        name: its name.
        state: "done"; "kept" (it was done before, of the same); "failed" (an error, or a check that
            has failed); "not done" (what it needs has failed, or was left out); "would run".
        why: the reason.
        text: what there is to say of the result, or the error.
        files: what it has written.
        command: the command line that does it alone, in the folder of the build file.
        exit_code: 0, 1 (what was given is wrong), 2 (a check failed), 3 (a package is missing).
    """

    name: str
    state: str
    why: str
    text: str = ""
    files: tuple[Path, ...] = ()
    command: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class BuildResult(Shown):
    """What `build` has done.

    Attributes:
        folder: where everything lies, with `manifest.json`: what was built, of what, by which
            command.
        steps: what became of each step, in order.
        notes: what else there is to know.
    """

    folder: Path
    steps: tuple[BuiltStep, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where nothing has failed, else that of the first step that has."""
        return next((step.exit_code for step in self.steps if step.exit_code), 0)

    @property
    def files(self) -> tuple[Path, ...]:
        """All that was built."""
        return tuple(file for step in self.steps for file in step.files)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "folder": str(self.folder),
            "steps": [
                {**vars(step), "files": [str(file) for file in step.files]} for step in self.steps
            ],
            "notes": list(self.notes),
            "exit_code": self.exit_code,
        }

    def _shown(self) -> list[Said]:
        """What was done, why, and where it lies."""
        rows = [(step.name, step.state, step.why) for step in self.steps]
        lines: list[Said] = [Table(("step", "state", "why"), rows), *self.notes]
        if self.steps and all(step.state == KEPT and not step.exit_code for step in self.steps):
            lines = [f"nothing to do: all {len(self.steps)} steps are done", *self.notes]
        else:
            lines += [f"{step.name}: {step.text}" for step in self.steps if step.text]
        if self.files:
            names = ", ".join(file.name for file in self.files)
            lines.append(f"in {self.folder}: {names}, manifest.json")
        return lines

    def _headline(self) -> str:
        """Where, how many steps, and what became of them."""
        counts = Counter(step.state for step in self.steps)
        said = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"{str(self.folder)[-80:]!r}, {len(self.steps)} steps: {said}"


@checks_kinds()
def build(
    path: str | os.PathLike[str],
    *,
    only: str | Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: OnStep | None = None,
) -> BuildResult:
    """Does what a build file asks for, step by step: import, quantize, verify, compare, place,
    profile, report, export; see docs/build.md.

        result = lnn2loihi.build("lnn2loihi.toml")
        print(result)

    A step is not done again while the files that it read, its options, the version of lnn2loihi
    and the files that it wrote are those of the last time. A step that fails stops those that need
    it, and no other.

    Args:
        path: the build file; paths in it are relative to its folder.
        only: names of steps: these, and what they need that has to be done. All by default.
        force: whether the steps that are asked for are done again in any case.
        dry_run: whether to say only what would be done, and why.
        progress: called with what is going on, how much of it is done, and how much there is: for
            each step its name before it begins, of all steps, and whatever it says itself.

    Returns:
        What became of each step: errors of steps are in it, and `exit_code` says whether there are
        any.

    Raises:
        InputError: the build file, lists everything that is wrong in it; there is no step of that
            name; the folder of what is built holds other files, or another build is at work there.
    """
    plan = read_plan(path)
    steps = Steps(plan).all()
    wanted = _wanted(steps, (only,) if isinstance(only, str) else tuple(only))
    with ExitStack() as stack:
        stack.enter_context(inputs_kept())
        if not dry_run and not (plan.folder.exists() and not plan.folder.is_dir()):
            _take_folder(plan.folder, stack)
        manifest = Manifest(plan.root, plan.folder)
        if not dry_run:
            manifest.forget_others(steps)
        return _built(plan, steps, wanted, manifest, force, dry_run, progress)


def _take_folder(folder: Path, stack: ExitStack) -> None:
    """Makes the folder, and keeps other builds out of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(folder_locked(folder, "build"))
    except OSError as error:
        raise InputError(str(folder), f"cannot be made: {error.strerror}") from error


def _wanted(steps: Sequence[Step], only: tuple[str, ...]) -> dict[str, bool]:
    """For each step that may be done whether it was asked for; others are what these need. A first
    word stands for all steps that begin with it.
    """
    if not only:
        return {step.name: True for step in steps}
    asked = {step.name for step in steps if {step.name, step.name.partition(" ")[0]} & {*only}}
    strange = [
        name
        for name in only
        if not any(name in (step.name, step.name.partition(" ")[0]) for step in steps)
    ]
    if strange:
        names = ", ".join(step.name for step in steps)
        raise InputError("only", f"{strange[0]!r:.60} is no step of this file; there are {names}")
    wanted = dict.fromkeys(asked, True)
    for step in reversed(steps):
        if step.name in wanted:
            for need in step.needs:
                wanted.setdefault(need, False)
    return wanted


def _built(
    plan: BuildPlan,
    steps: Sequence[Step],
    wanted: dict[str, bool],
    manifest: Manifest,
    force: bool,
    dry_run: bool,
    progress: OnStep | None,
) -> BuildResult:
    found: dict[str, BuiltStep] = {}
    for number, step in enumerate(steps):
        if step.name not in wanted:
            continue
        before = [found[need] for need in step.needs]
        failed = next((one.name for one in before if one.state in (FAILED, WAITING)), "")
        why = "it was asked for with force" if force and wanted[step.name] else manifest.why(step)
        if dry_run and not why:
            moved = next((one.name for one in before if one.state == WOULD), "")
            why = f"{moved} would run before it, and may answer otherwise" if moved else ""
        if failed:
            text = f"{failed} has to be done first"
            found[step.name] = BuiltStep(step.name, WAITING, text, command=step.command)
        elif not why:
            known = manifest.records[step.name]
            files = tuple(plan.root / place for place in known.outputs)
            found[step.name] = BuiltStep(
                step.name, KEPT, "nothing has changed", known.text, files, step.command
            )
        elif dry_run:
            found[step.name] = BuiltStep(step.name, WOULD, why, command=step.command)
        else:
            if progress is not None:
                progress(step.name, number, len(steps))
            found[step.name] = _run(step, why, manifest, progress)
    notes = (manifest.note,) if manifest.note else ()
    return BuildResult(plan.folder, tuple(found.values()), notes)


def _run(step: Step, why: str, manifest: Manifest, progress: OnStep | None) -> BuiltStep:
    try:
        with inputs_kept() as read:
            done = step.run(progress)
    except Lnn2LoihiError as error:
        return BuiltStep(
            step.name, FAILED, why, str(error), command=step.command, exit_code=error.exit_code
        )
    except OSError as error:
        text = f"{error.filename or step.name}: {error.strerror or error}"
        return BuiltStep(step.name, FAILED, why, text, command=step.command, exit_code=1)
    manifest.note_done(step, read.values(), done.files, done.text, done.exit_code)
    state = FAILED if done.exit_code else DONE
    return BuiltStep(step.name, state, why, done.text, done.files, step.command, done.exit_code)
