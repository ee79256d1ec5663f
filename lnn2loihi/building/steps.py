"""The steps of a build: what each reads, does and writes, and the verb that does it alone.

Each calls the function that the verb calls.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lnn2loihi import artifact, network_file
from lnn2loihi.building.plan import BuildPlan, texts
from lnn2loihi.comparison import compare
from lnn2loihi.conversion import import_network
from lnn2loihi.defaults import ALL, DEFAULT_TARGET, PROFILE_SUFFIX
from lnn2loihi.exporting import export_files
from lnn2loihi.files import write_atomically
from lnn2loihi.json_values import json_value
from lnn2loihi.options import rate_of
from lnn2loihi.placement.copying import place_copies
from lnn2loihi.placement.verb import place
from lnn2loihi.profiling import load_profile, profile
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.reporting import report
from lnn2loihi.samples import read_array, read_sequences
from lnn2loihi.targets import target_of
from lnn2loihi.verification.verb import verify

NETWORK, PROGRAM, PROFILE = "network.l2n", "program.l2l", f"program{PROFILE_SUFFIX}"
FAILED_CHECK = 2
#: Called with what is going on, how much of it is done, and how much there is.
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Done:
    """What a step has done.

    Attributes:
        files: what it has written.
        text: what there is to say, the shortest.
        exit_code: 0, or 2 where a check has failed.
    """

    files: tuple[Path, ...]
    text: str
    exit_code: int = 0


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        name: its name, such as "quantize" or "verify stock".
        run: does it.
        inputs: files that it reads; what these name in turn is noted while it runs.
        needs: steps that it follows.
        options: what was asked for, as plain values.
        command: the command line that does it alone, in the folder of the build file.
        of_machine: whether what it answers depends on this machine and its packages.
    """

    name: str
    run: Callable[[OnStep | None], Done]
    inputs: tuple[Path, ...]
    needs: tuple[str, ...]
    options: Mapping[str, Any]
    command: str
    of_machine: bool = field(default=False)


class Steps:
    """Makes the steps of a plan.

    Args:
        plan: what is asked for.
    """

    def __init__(self, plan: BuildPlan) -> None:
        self._plan, self._sections = plan, plan.sections
        self._test = plan.root / plan.test_samples()

    def all(self) -> list[Step]:
        """All of them, in the order of the road."""
        made = [self._import(), self._quantize()]
        several = len(self._plan.targets) > 1
        for section, make in (("verify", self._verify), ("compare", self._compare)):
            if section in self._sections:
                for target in self._plan.targets:
                    made.append(make(f"{section} {target}" if several else section, target))
        if "place" in self._sections:
            devices = texts(self._sections["place"]["devices"])
            for target in self._plan.targets:
                for device in devices:
                    words = ["place", *[target] * several, *[device] * (len(devices) > 1)]
                    made.append(self._place(" ".join(words), target, device))
        if "profile" in self._sections:
            made.append(self._profile())
        if "report" in self._sections:
            made.append(self._report())
        return made + [self._export(one) for one in self._plan.exports]

    def _file(self, name: str) -> Path:
        return self._plan.folder / name

    def _command(self, verb: str, *words: Any) -> str:
        """A command line; paths are relative to the folder of the build file, None is left out."""
        said = [
            os.path.relpath(word, self._plan.root) if isinstance(word, Path) else str(word)
            for word in words
            if word is not None
        ]
        return shlex.join(["lnn2loihi", verb, *said])

    def _import(self) -> Step:
        asked = self._sections["network"]
        source = self._plan.root / asked["source"]
        description = asked["description"] and self._plan.root / asked["description"]
        options = dict(asked["options"])
        if description:
            options["description"] = description
        if asked["timespan"] is not None:
            options["timespan"] = asked["timespan"]

        def run(progress: OnStep | None) -> Done:
            network = import_network(source, **options)
            text = network.summary().splitlines()[0]
            return Done((network_file.save(network, self._file(NETWORK)),), text)

        command = self._command(
            "import", source, *_option("--description", description),
            *_option("--timespan", asked["timespan"]),
            *_option("--option", *(f"{key}={value}" for key, value in asked["options"].items())),
            "-o", self._file(NETWORK),
        )  # fmt: skip
        inputs = (source, *([description] if description else []))
        return Step("import", run, inputs, (), asked, command)

    def _quantize(self) -> Step:
        recipe = self._sections["quantize"]["recipe"]
        samples = self._plan.root / self._sections["samples"]["calibrate"]

        def run(progress: OnStep | None) -> Done:
            network = network_file.load(self._file(NETWORK))
            given = read_sequences(samples, network.irregular)
            program = quantize(
                network, calibrate=given["x"], recipe=recipe, lengths=given["lengths"],
                calibrate_timespans=given["timespans"],
            )  # fmt: skip
            text = program.summary().splitlines()[0]
            return Done((artifact.save(program, self._file(PROGRAM)),), text)

        command = self._command(
            "quantize", self._file(NETWORK), "-c", samples, "-r", recipe, "-o", self._file(PROGRAM)
        )
        inputs = (self._file(NETWORK), samples)
        return Step("quantize", run, inputs, ("import",), {"recipe": recipe}, command)

    def _given(self) -> tuple[Any, dict[str, Any]]:
        """The program, and the samples that it is tried on."""
        program = artifact.load(self._file(PROGRAM))
        return program, read_sequences(self._test, program.timed)

    def _verify(self, name: str, target: str) -> Step:
        executors = texts(self._sections["verify"]["executors"])
        named: Any = ALL if executors == (ALL,) else executors

        def run(progress: OnStep | None) -> Done:
            program, given = self._given()
            found = verify(program, executors=named, **given, target=target, progress=progress)
            code = 0 if found.bit_exact else FAILED_CHECK
            text = found.summary().splitlines()[0]
            return Done(self._said(name, found.to_dict(), found.summary()), text, code)

        command = self._command(
            "verify", self._file(PROGRAM), "-i", self._test,
            *(["--all"] if named == ALL else ["--executors", ",".join(executors)]),
            *_target(target),
        )  # fmt: skip
        inputs = (self._file(PROGRAM), self._test)
        options = {"executors": executors, "target": target}
        return Step(name, run, inputs, ("quantize",), options, command, of_machine=True)

    def _compare(self, name: str, target: str) -> Step:
        def run(progress: OnStep | None) -> Done:
            program, given = self._given()
            network = network_file.load(self._file(NETWORK))
            found = compare(network, program, **given, target=target)
            rows = found.to_dict()
            last = rows["stages"][-1]
            text = f"{last['stage']}: signal to noise {_decibels(last['signal_to_noise_db'])}, "
            text += f"of its worst unit {_decibels(last['worst_db'])}"
            return Done(self._said(name, rows, found.summary()), text)

        command = self._command(
            "compare", self._file(NETWORK), self._file(PROGRAM), "-i", self._test, *_target(target)
        )
        inputs = (self._file(NETWORK), self._file(PROGRAM), self._test)
        return Step(name, run, inputs, ("quantize",), {"target": target}, command)

    def _place(self, name: str, target: str, device: str) -> Step:
        asked = dict(self._sections["place"])
        copies, own = asked.pop("copies"), _device(self._plan, device)
        del asked["devices"]

        def run(progress: OnStep | None) -> Done:
            program = artifact.load(self._file(PROGRAM))
            options = {**asked, "target": target}
            found: Any = (
                place(program, own, **options)
                if copies == 1
                else place_copies(program, own, copies=copies, **options)
            )
            text = found.summary().splitlines()[0]
            return Done(self._said(name, found.to_dict(), found.summary()), text)

        command = self._command(
            "place", self._file(PROGRAM), "-d", own, "--objective", asked["objective"],
            *_option("--chips", asked["chips"]),
            *(["--copies", copies] if copies != 1 else []), *_target(target),
        )  # fmt: skip
        inputs = (self._file(PROGRAM), *([own] if isinstance(own, Path) else []))
        options = {**asked, "copies": copies, "device": device, "target": target}
        return Step(name, run, inputs, ("quantize",), options, command)

    def _profile(self) -> Step:
        asked = dict(self._sections["profile"])
        devices = [_device(self._plan, device) for device in texts(asked.pop("devices"))]
        against = [one for one in texts(asked.pop("against")) if one != "none"]
        rate, budget = asked.pop("rate"), asked["budget_seconds"]
        hertz = rate_of(rate, "rate") if isinstance(rate, str) else rate
        first, *others = self._plan.targets
        targets = self._sections["samples"]["targets"]
        expected = self._plan.root / targets if targets else None
        flags = [f"--{key.replace('_', '-')}" for key in ("closed_loop", "quick") if asked[key]]
        command = self._command(
            "profile", self._file(PROGRAM), "-i", self._test, "--network", self._file(NETWORK),
            *_option("--device", *devices), "--target", ",".join(self._plan.targets),
            "--against", ",".join(against) or "none", *_option("--rate", rate),
            "--placement", asked["placement"], "--io", asked["io"], "--copies", asked["copies"],
            *flags, *_option("--budget", budget), *_option("--targets", expected),
            "-o", self._file(PROFILE),
        )  # fmt: skip

        def run(progress: OnStep | None) -> Done:
            program, given = self._given()
            found = profile(
                program, **given, **asked, devices=devices, against=against, rate=hertz,
                target=first, beside=others, network=network_file.load(self._file(NETWORK)),
                targets=None if expected is None else read_array(expected, "targets"),
                command=command, progress=progress,
            )  # fmt: skip
            text = found.summary()
            files = found.save(self._file(PROFILE)), self._written("profile.txt", text)
            said = found.answer.title
            return Done(files, said, 0 if found.chips else FAILED_CHECK)

        inputs = [self._file(PROGRAM), self._file(NETWORK), self._test]
        inputs += [one for one in (*devices, expected) if isinstance(one, Path)]
        options = {**self._sections["profile"], "targets": self._plan.targets}
        return Step("profile", run, tuple(inputs), ("quantize",), options, command, of_machine=True)

    def _report(self) -> Step:
        asked = self._sections["report"]
        page = self._file(asked["file"])

        def run(progress: OnStep | None) -> Done:
            program, given = self._given()
            written = report(
                load_profile(self._file(PROFILE)), program, page, **given,
                network=network_file.load(self._file(NETWORK)), interactive=asked["interactive"],
            )  # fmt: skip
            return Done((written,), f"one page: {written.name}")

        command = self._command(
            "report", self._file(PROFILE), "-p", self._file(PROGRAM), "--network",
            self._file(NETWORK), "-i", self._test, *["--interactive"] * asked["interactive"],
            "-o", page,
        )  # fmt: skip
        inputs = (self._file(PROFILE), self._file(PROGRAM), self._file(NETWORK), self._test)
        return Step("report", run, inputs, ("profile",), asked, command)

    def _export(self, asked: Mapping[str, Any]) -> Step:
        of_program = asked["of"] == "program"
        source, output = self._file(PROGRAM if of_program else NETWORK), self._file(asked["file"])
        target = asked["target"] or (self._plan.targets[0] if of_program else DEFAULT_TARGET)

        def run(progress: OnStep | None) -> Done:
            loaded: Any = artifact.load(source) if of_program else network_file.load(source)
            aim = target_of(target)
            if of_program:
                # It is prepared here: what belongs to the target is left.
                loaded, aim = aim.prepare(loaded), replace(aim, passes=())
            options = dict(asked["options"])
            if asked["samples"]:
                options |= read_sequences(self._test, loaded.timed, False)
            _, files = export_files(loaded, output, asked["format"], aim, options)
            size = sum(one.stat().st_size for one in files)
            return Done(tuple(files), f"{', '.join(one.name for one in files)}: {size:,} bytes")

        command = self._command(
            "export", source, *_option("--format", asked["format"]),
            *_option("--option", *(f"{key}={value}" for key, value in asked["options"].items())),
            *(["-i", self._test] if asked["samples"] else []), *_target(target), "-o", output,
        )  # fmt: skip
        needs = ("quantize" if of_program else "import",)
        options = {**asked, "target": target}
        name = f"export {asked['file']}"
        inputs = (source, self._test) if asked["samples"] else (source,)
        return Step(name, run, inputs, needs, options, command, of_machine=True)

    def _said(self, name: str, result: Any, text: str) -> tuple[Path, ...]:
        """A result as text and as JSON, in files that are called as the step."""
        stem = name.replace(" ", ".").replace("/", "_")
        document = json.dumps(json_value(result), indent=2, allow_nan=False)
        return self._written(f"{stem}.txt", text), self._written(f"{stem}.json", document)

    def _written(self, name: str, text: str) -> Path:
        return write_atomically(self._file(name), f"{text}\n".encode())


def _device(plan: BuildPlan, device: str) -> str | Path:
    """A name of a device, or the path of its file."""
    return plan.root / device if device.endswith(".toml") else device


def _decibels(value: float | None) -> str:
    return "that has no number" if value is None else f"{value:.1f} dB"


def _option(name: str, *values: Any) -> Iterable[Any]:
    return [word for value in values if value is not None for word in (name, value)]


def _target(target: str) -> Sequence[str]:
    return [] if target == DEFAULT_TARGET else ["--target", target]
