"""The verb build: what a file asks for, what is done again and why, and what a failure stops."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import variants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.building.plan import SECTIONS, read_plan
from lnn2loihi.building.record import Manifest
from lnn2loihi.building.template import TEMPLATE
from lnn2loihi.errors import InputError
from lnn2loihi.files import parse_toml

ROAD = """
[network]
source = "net.l2n"
[samples]
calibrate = "x.npy"
[quantize]
recipe = "w8a12"
[verify]
executors = ["reference", "blas"]
[compare]
[place]
[[export]]
file = "net.c"
"""
STEPS = ["import", "quantize", "verify", "compare", "place", "export net.c"]
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder with a network, samples and a build file."""

    def made(text: str = ROAD) -> Path:
        network = variants.network(variants.Variant(seed=1))
        folder = tmp_path / "project"
        folder.mkdir()
        l2l.save(network, folder / "net.l2n")
        np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(2, 8, network.input_size)))
        (folder / "road.toml").write_text(text)
        return folder / "road.toml"

    return made


def states(result: l2l.BuildResult) -> dict[str, str]:
    return {step.name: step.state for step in result.steps}


class TestTheRoad:
    def test_once_and_again(self, project: Project) -> None:
        file = project()
        planned = l2l.build(file, dry_run=True)
        assert states(planned) == dict.fromkeys(STEPS, "would run")
        assert not (file.parent / "build").exists()
        first = l2l.build(file)
        assert states(first) == dict.fromkeys(STEPS, "done") and first.exit_code == 0
        assert "BIT EXACT" in first.summary() and str(first).split() == first.summary().split()
        assert all(one.is_file() for one in first.files)
        assert len(repr(first)) < 200 and "6 steps: 6 done" in repr(first)
        again = l2l.build(file)
        assert states(again) == dict.fromkeys(STEPS, "kept") and again.files == first.files
        assert again.summary().startswith("nothing to do: all 6 steps are done")
        forced = l2l.build(file, only="quantize", force=True)
        assert states(forced) == {"import": "kept", "quantize": "done"}

    def test_what_changes(self, project: Project) -> None:
        file = project()
        l2l.build(file)
        file.write_text(ROAD.replace("w8a12", "w8a10"))
        planned = l2l.build(file, dry_run=True)
        why = {step.name: step.why for step in planned.steps}
        assert why["quantize"] == "recipe: 'w8a12' became 'w8a10'"
        assert why["verify"] == "quantize would run before it, and may answer otherwise"
        assert set(states(l2l.build(file)).values()) == {"kept", "done"}
        (file.parent / "build" / "net.h").unlink()
        found = l2l.build(file)
        assert [s.why for s in found.steps if s.state == "done"] == [
            "build/net.h is missing or altered"
        ]
        x = np.load(file.parent / "x.npy")
        np.save(file.parent / "x.npy", x + 1.0)
        why = {step.name: step.why for step in l2l.build(file, dry_run=True).steps}
        assert why["quantize"] == "x.npy has changed" and why["import"] == "nothing has changed"

    def test_the_commands_do_the_same(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from typer.testing import CliRunner

        from lnn2loihi.cli import app

        file = project()
        built = l2l.build(file, only=["quantize", "export"])
        before = {one: one.read_bytes() for one in built.files}
        monkeypatch.chdir(file.parent)
        for step in built.steps:
            assert step.command.startswith("lnn2loihi ")
            done = CliRunner().invoke(app, [*shlex.split(step.command)[1:], "--json"])
            assert done.exit_code == 0, done.output
        assert {one: one.read_bytes() for one in built.files} == before

    def test_an_interrupt_loses_one_step(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = project()
        with monkeypatch.context() as patch:

            def stop(*_: Any, **__: Any) -> None:
                raise KeyboardInterrupt

            patch.setattr("lnn2loihi.building.steps.compare", stop)
            with pytest.raises(KeyboardInterrupt):
                l2l.build(file)
        found = states(l2l.build(file))
        assert [found[name] for name in STEPS] == ["kept"] * 3 + ["done"] * 3

    def test_costs_and_a_page(self, project: Project) -> None:
        profile = '[profile]\nagainst = "none"\nrate = "2kHz"\n[report]\nfile = "page.html"\n'
        file = project(ROAD.replace("[compare]\n[place]\n", profile))
        found = l2l.build(file)
        assert states(found)["report"] == "done"
        result = l2l.load_profile(found.folder / "program.profile.json")
        assert result.rate == 2000.0 and "lnn2loihi profile" in result.command
        assert "<html" in (found.folder / "page.html").read_text()[:200]


class TestFailures:
    def test_a_step_stops_those_that_need_it(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise l2l.BackendMissingError("x", "is not here")

        file = project()
        monkeypatch.setattr("lnn2loihi.building.steps.quantize", fail)
        found = l2l.build(file)
        assert [s.state for s in found.steps] == ["done", "failed"] + ["not done"] * 4
        assert found.exit_code == 3 and "quantize has to be done first" in found.summary()

    def test_a_failed_check_is_tried_again(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from lnn2loihi.building import steps

        file = project()
        right = steps.verify

        class Wrong:
            def __init__(self, *given: Any, **options: Any) -> None:
                self.found = right(*given, **options)
                self.bit_exact = False

            def __getattr__(self, name: str) -> Any:
                return getattr(self.found, name)

        with monkeypatch.context() as patch:
            patch.setattr(steps, "verify", Wrong)
            found = l2l.build(file)
        assert found.exit_code == 2 and states(found)["verify"] == "failed"
        assert states(found)["place"] == "done"
        again = l2l.build(file)
        assert again.exit_code == 0
        assert [s.why for s in again.steps if s.state == "done"] == ["its check failed"]

    def test_a_second_build_at_the_same_time_is_refused(self, project: Project) -> None:
        file, told = project(), []

        def within(name: str, done: int, total: int) -> None:
            told.append(name)
            with pytest.raises(InputError, match="another build is at work here"):
                l2l.build(file)

        assert l2l.build(file, only="import", progress=within).exit_code == 0
        assert told == ["import"]

    def test_folders_of_others(self, project: Project) -> None:
        file = project()
        (file.parent / "build").mkdir()
        (file.parent / "build" / "mine.txt").write_text("x")
        with pytest.raises(InputError, match="has not written, and no manifest"):
            l2l.build(file)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', "\x00", "[" * 9999])
    def test_damaged_manifests(self, project: Project, text: str) -> None:
        file = project()
        l2l.build(file, only="import")
        (file.parent / "build" / "manifest.json").write_text(text)
        found = l2l.build(file, only="import")
        assert states(found) == {"import": "done"} and "cannot be read" in found.summary()

    def test_no_such_step(self, project: Project) -> None:
        with pytest.raises(InputError, match="'cook' is no step of this file; there are import,"):
            l2l.build(project(), only="cook")


class TestFiles:
    def test_all_that_is_wrong_at_once(self, project: Project) -> None:
        file = project(
            '[network]\nsource = "no.pt"\ntimspan = 2\n\n[samples]\ncalibrate = 3\n[nonsense]\n'
            '[report]\n[[export]]\nfile = "a.c"\n[[export]]\nfile = "../a.c"\ncolour = 1\n'
            '[quantize]\nrecipe = "w99"\n[[export]]\nfile = "a.c"\n'
            '[build]\ntargets = ["fused", "nowhere"]\n'
        )
        with pytest.raises(InputError) as found:
            read_plan(file)
        said = str(found.value)
        for text in (
            "line 2, [network] source is 'no.pt': there is no such file",
            "line 3, [network] timspan is unknown",
            "line 6, [samples] calibrate is of type int; give the path of a file",
            "line 7, [nonsense] is unknown; there are build, network",
            "line 8, [report] is of a profile",
            "line 12, [export] file is '../a.c'",
            "line 13, [export] colour is unknown; [export] takes file",
            "line 15, [quantize] recipe is wrong",
            "'a.c' is written twice",
            "line 19, [build] targets is wrong: ",
        ):
            assert text in said

    @given(
        st.sampled_from(sorted(SECTIONS)),
        st.sampled_from(sorted({key for keys in SECTIONS.values() for key in keys} | {"x"})),
        st.sampled_from(["1", "-1", '"x"', '""', "[]", "[1]", "{}", "true", "nan", '["", "a"]']),
    )
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    def test_any_key_and_value(
        self, tmp_path_factory: pytest.TempPathFactory, section: str, key: str, value: str
    ) -> None:
        file = tmp_path_factory.getbasetemp() / "any.toml"
        head = f"[[{section}]]" if section == "export" else f"[{section}]"
        file.write_text(f"{head}\n{key} = {value}\n")
        with pytest.raises(InputError, match=r"\[network\] source"):
            read_plan(file)

    def test_the_template_names_every_key(self, tmp_path: Path) -> None:
        lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines()[3:]]
        whole = "\n".join(line for line in lines if line[:1] == "[" or "=" in line)
        plain = parse_toml(whole.replace('"none": measure nothing', ""), "template", InputError)
        for section, keys in SECTIONS.items():
            tables = plain[section] if section == "export" else [plain[section]]
            written = {key for table in tables for key in table}
            assert set(keys) - written <= {"interactive"}, section

    def test_at_the_command_line(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from typer.testing import CliRunner

        from lnn2loihi.cli import app

        file = project()
        monkeypatch.chdir(file.parent)
        done = CliRunner().invoke(app, ["build", "road.toml", "--only", "import", "--json"])
        assert json.loads(done.stdout)["steps"][0]["state"] == "done" and done.exit_code == 0
        done = CliRunner().invoke(app, ["build", "new.toml", "--template"])
        assert (file.parent / "new.toml").read_text() == TEMPLATE, done.output
        again = CliRunner().invoke(app, ["build", "new.toml", "--template"])
        assert isinstance(again.exception, InputError) and "is there already" in str(
            again.exception
        )
        missing = CliRunner().invoke(app, ["build", "none.toml"])
        assert "--template writes one" in str(missing.exception)
        assert Manifest(file.parent, file.parent / "build").records.keys() == {"import"}
