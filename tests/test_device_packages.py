"""Packages that bring kinds of devices, figures, rules and profiles; tables that are refused."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from placing import dense_program
from placing import device as device_of_test
from test_devices import figure_text

import lnn2loihi as l2l
from lnn2loihi import registry
from lnn2loihi.devices import (
    CPU,
    DEVICES,
    GPU,
    LOIHI,
    MICROCONTROLLER,
    Definition,
    DeviceKind,
    DevicePackage,
    device_tables,
)
from lnn2loihi.errors import DeviceError, InputError, PlacementError, PluginError
from lnn2loihi.placement.draft import Draft
from lnn2loihi.placement.rules import RULES, Rule, Violation, rules_of
from lnn2loihi.placement.verb import place

KINDS = (LOIHI, CPU, GPU, MICROCONTROLLER)
FLASH = Definition("flash", "B", "limit", "memory for code and weights", whole=True)
ACTIVE = Definition("toggle_power", "W", "cost", "power while it computes", required=False)
FPGA = DeviceKind("fpga", "FPGA", (FLASH, ACTIVE), shown="flash")
CLOCK = Definition("clock", "1", "limit", "ticks")
FAN_IN = Definition(
    "fan_in_per_neuron", "1", "limit", "synapses of a neuron", required=False, whole=True
)


def fan_in_per_neuron(draft: Draft) -> Iterator[Violation]:
    """Neurons have few enough synapses, where the limit is known."""
    limit = draft.device.get("fan_in_per_neuron")
    most = int(np.diff(draft.line.starts).max())
    if limit is not None and most > limit.value:
        yield Violation("fan_in_per_neuron", "a neuron", most, limit.value, limit.source)


def fails(draft: Draft) -> Iterator[Violation]:
    raise KeyError("axons")


def finds_numbers(draft: Draft) -> Iterator[Any]:
    yield 3


ICE40 = 'title = "iCE40-UP"\nkind = "fpga"\n' + figure_text(
    "flash", value=4, low=4, high=4, unit="MiB"
)
BIGGER = (
    'title = "Sixteen by eight"\nextends = "loihi2-oheo-gulch"\n'
    + figure_text("cores_per_chip", value=500, low=500, high=500)
    + figure_text("mesh_columns", value=16, low=16, high=16)
    + figure_text("mesh_rows", value=8, low=8, high=8)
    + figure_text("fan_in_per_neuron", value=60, low=60, high=60, source="the maker")
)


def folder_of(path: Path, **profiles: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in profiles.items():
        (path / f"{name.replace('_', '-')}.toml").write_text(text)
    return path


@pytest.fixture
def add() -> Iterator[Callable[..., None]]:
    """Registers packages until the test is over."""
    added: list[str] = []

    def call(name: str, package: DevicePackage, whose: str = "stranger") -> None:
        DEVICES.add(name, package, whose)
        added.append(name)

    yield call
    for name in added:
        DEVICES.remove(name)


@pytest.fixture
def fpga(add: Callable[..., None], tmp_path: Path) -> None:
    profiles = folder_of(tmp_path / "profiles", ice40_up=ICE40, bigger=BIGGER)
    add("fpga", DevicePackage((FPGA,), {"loihi": (FAN_IN,)},
                             {"loihi": (Rule(fan_in_per_neuron, ("units", "inputs")),)},
                             profiles))  # fmt: skip


class TestPackage:
    def test_a_kind_with_figures_of_its_own(self, fpga: None, tmp_path: Path) -> None:
        assert {"ice40-up", "loihi1"} <= {*l2l.device_names()}
        device = l2l.load_device("ice40-up")
        assert (device.kind, device.count("flash")) == ("fpga", 4 << 20)
        assert "4 MiB" in device.summary() and "iCE40-UP (fpga)" in device.summary()
        saved = l2l.save_device(device, tmp_path / "mine.toml")
        assert l2l.load_device(saved).figures == device.figures
        with pytest.raises(DeviceError, match="is the profile that the device was read from"):
            l2l.save_device(device, tmp_path / "profiles" / "ice40-up.toml")
        with pytest.raises(DeviceError, match="is a fpga; programs run on a Loihi"):
            place(dense_program(4), device)
        with pytest.raises(DeviceError, match="give at least one Loihi.*: bigger, loihi1, loihi2-"):
            l2l.profile(dense_program(4), [[[0.0] * 4]], "ice40-up")

    def test_its_tables_are_checked_like_ours(self, fpga: None, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text('title = "x"\nkind = "fpga"\n' + figure_text("threads"))
        with pytest.raises(DeviceError) as caught:
            l2l.load_device(path)
        assert caught.value.problems == (
            "figures.flash (memory for code and weights) is missing",
            "figures.threads belongs to cpu, this is a fpga",
        )
        path.write_text('title = "x"\nkind = "tpu"\n' + figure_text("flas", unit="B"))
        with pytest.raises(
            DeviceError, match="(?s)is 'flash' meant.*there are loihi, cpu, gpu, mcu, fpga"
        ):
            l2l.load_device(path)

    def test_a_bigger_loihi_that_extends_ours(self, fpga: None) -> None:
        device = l2l.load_device("bigger")
        assert device.count("cores_per_chip") == 500
        program = dense_program(6)
        placement = place(program, "bigger")
        assert {core.index for core in placement.cores} <= set(range(500))
        small = l2l.load_device("loihi2-oheo-gulch")
        tiny = device_of_test(small, cores_per_chip=1, neurons_per_core=5)
        with pytest.raises(PlacementError, match="the device .*bigger"):
            place(program, tiny)

    def test_a_rule_of_its_own_is_violated_and_says_what_fits(self, fpga: None) -> None:
        with pytest.raises(PlacementError, match="fan in per neuron: .* the limit is 60") as caught:
            place(dense_program(40), "bigger")
        (violation,) = caught.value.violations
        few = violation.fits["units"]["layer_0"]
        place(dense_program(few), "bigger")
        assert violation.rule == "fan_in_per_neuron" and "the maker" in violation.whose
        assert f"fewer units: layer_0 {few}" in violation.remedy
        place(dense_program(40), "loihi2-oheo-gulch")

    def test_a_limit_without_a_rule_is_said_to_be_unchecked(
        self, add: Callable[..., None], tmp_path: Path
    ) -> None:
        profiles = folder_of(tmp_path / "profiles", bigger=BIGGER)
        add("figures", DevicePackage(figures={"loihi": (FAN_IN,)}, profiles=profiles))
        texts = place(dense_program(40), "bigger").unchecked
        assert any("the profile gives 60, and there is no rule for it" in text for text in texts)

    def test_a_kind_that_programs_are_placed_on(
        self, add: Callable[..., None], tmp_path: Path
    ) -> None:
        kind = DeviceKind(
            "mesh", "mesh of cores", (*LOIHI.figures, FAN_IN),
            ("chips", Rule(fan_in_per_neuron)), "chips", LOIHI.parts,
        )  # fmt: skip
        text = (Path(l2l.__file__).parent / "hardware_profiles/loihi2-oheo-gulch.toml").read_text()
        few = "[figures.neurons_per_core]\nvalue = {0}\nlow = {0}\n"
        assert few.format(4096) in text
        text = text.replace('kind = "loihi"', 'kind = "mesh"')
        text = text.replace(few.format(4096), few.format(1))
        profiles = folder_of(tmp_path / "profiles", meshy=text)
        add("mesh", DevicePackage((kind,), profiles=str(profiles)))
        assert [rule.name for rule in rules_of("mesh")] == ["chips", "fan_in_per_neuron"]
        program = dense_program(6)
        assert place(program, "meshy").device.kind == "mesh"
        assert len(place(program, "meshy", objective="packed").cores) == program.neurons
        result = l2l.profile(program, [[[0.5] * 4] * 3], "meshy", against=())
        chips = [row for row in result.rows if row.kind == "loihi"]
        assert {row.device for row in chips} == {"meshy"} and chips[0].total_energy
        with pytest.raises(DeviceError, match="programs run on a Loihi or mesh of cores"):
            place(program, "cpu-epyc-9654")
        with pytest.raises(InputError, match="chips: 2; meshy has 1 to 1"):
            place(program, "meshy", chips=2)

    def test_the_command_line_lists_it_with_its_package(self, fpga: None, run: Run) -> None:
        code, out, _ = run("devices")
        lines = [line.split() for line in out.splitlines()]
        assert code == 0 and lines[0][-1] == "package"
        (listed,) = [line for line in lines if line and line[0] == "ice40-up"]
        assert "flash" in listed and listed[listed.index("assumed") + 1] == "stranger"
        code, out, _ = run("devices", "--json")
        packages = {entry["name"]: entry["package"] for entry in json.loads(out)["devices"]}
        assert packages["ice40-up"].startswith("stranger") and packages["loihi1"] == "lnn2loihi"
        code, out, _ = run("devices", "ice40-up")
        assert code == 0 and "iCE40-UP (fpga)" in out

    def test_profiles_in_an_archive(self, add: Callable[..., None], tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("profiles/ice40.toml", ICE40)
            archive.writestr("profiles/twin.toml", 'title = "Twin"\nextends = "ice40.toml"')
            archive.writestr("profiles/latin.toml", b'title = "\xff"')
        folder = zipfile.Path(tmp_path / "a.zip", "profiles/")
        add("fpga", DevicePackage((FPGA,), profiles=folder))
        assert l2l.load_device("ice40").count("flash") == l2l.load_device("twin").count("flash")
        with pytest.raises(DeviceError, match="latin.toml: cannot be read"):
            l2l.load_device("latin")

    def test_an_installed_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder_of(tmp_path / "profiles", ice40=ICE40)
        (tmp_path / "fpga_of_test.py").write_text(
            "from pathlib import Path\n"
            "from lnn2loihi import load_device\n"
            "from lnn2loihi.devices import Definition, DeviceKind, DevicePackage, device_tables\n"
            "assert load_device('loihi1')\n"
            "assert 'fpga' not in device_tables().kinds\n"
            "FPGA = DeviceKind('fpga', 'FPGA', (Definition('flash', 'B', 'limit', 'memory'),))\n"
            "BROUGHT = DevicePackage((FPGA,), profiles=Path(__file__).parent / 'profiles')\n"
        )
        info = tmp_path / "fpga_of_test-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fpga-of-test\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(
            "[lnn2loihi.devices]\nfpga = fpga_of_test:BROUGHT\ndead = no_such_module:X\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        registry._entry_points.cache_clear()
        try:
            with caplog.at_level(logging.WARNING, "lnn2loihi"):
                assert l2l.load_device("ice40").kind == "fpga"
                place(dense_program(4))
            assert "device package 'dead' is left out" in caplog.text
            assert "fpga-of-test 1.2" in caplog.text
            assert device_tables().profiles["ice40"].package == "fpga-of-test 1.2"
            states = {report.name: report.state for report in DEVICES.reports()}
            assert states == {"fpga": "ok", "dead": "broken"}
        finally:
            registry._entry_points.cache_clear()

    def test_the_example_of_the_documents(
        self, add: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        document = Path(__file__).parent.parent / "docs" / "devices.md"
        if not document.is_file():
            pytest.skip("the documents are not there")
        (tmp_path / "our_lab").mkdir()
        (tmp_path / "our_lab" / "__init__.py").touch()
        few = figure_text("fan_in_per_neuron", value=20, low=20, high=20, source="the maker")
        extends = f'title = "Ours"\nextends = "loihi2-oheo-gulch"\n{few}'
        folder_of(tmp_path / "our_lab" / "profiles", ours=extends, ice40=ICE40)
        monkeypatch.syspath_prepend(tmp_path)
        (example,) = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
        names: dict[str, Any] = {}
        exec(example, names)  # noqa: S102 (our own document)
        add("our_lab", names["BROUGHT"])
        fits = "What fits: fewer units: layer_0 2 .has 4.; or fewer inputs: 2"
        with pytest.raises(PlacementError, match=f"24, the limit is 20 .the maker.. {fits}"):
            place(dense_program(4), "ours")
        assert l2l.load_device("ice40").kind == "fpga"


class TestLeftOut:
    def said(self, caplog: pytest.LogCaptureFixture, name: str) -> str:
        """What is wrong with a package, in the warning as by doctor."""
        with caplog.at_level(logging.WARNING, "lnn2loihi"):
            assert l2l.load_device("loihi1").kind == "loihi" and device_tables().placeable("loihi")
            place(dense_program(4))
        (report,) = [one for one in DEVICES.reports() if one.name == name]
        assert report.state == "refused" and report.reason in caplog.text
        assert caplog.text.count(f"device package {name!r} of {report.package}") == 1
        return report.reason

    @pytest.mark.parametrize(
        ("package", "reason"),
        [
            (DevicePackage((DeviceKind("cpu", "CPU", (FLASH,)),)),
             "left out, since kind 'cpu' is lnn2loihi's own; give another name"),
            (DevicePackage((replace(FPGA, figures=(FLASH, CLOCK)),)),
             "left out, since figure 'clock' is lnn2loihi's own"),
            (DevicePackage(figures={"tpu": (FAN_IN,)}),
             "left out: kind 'tpu': is unknown; there are loihi, cpu, gpu"),
            (DevicePackage(rules={"cpu": (Rule(fan_in_per_neuron),)}),
             "left out: kind 'cpu': it has rules, so programs are placed on it, which takes chips"),
            (DevicePackage(rules={"loihi": ("no_such_rule",)}),
             "left out: there is no rule 'no_such_rule' of ours; there are axons_in_per_core, "),
        ],
        ids=["kind", "figure", "unknown kind", "rules of a CPU", "unknown rule"],
    )  # fmt: skip
    def test_tables_that_do_not_fit(
        self,
        package: DevicePackage,
        reason: str,
        add: Callable[..., None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        add("wrong", package)
        assert reason in self.said(caplog, "wrong")
        assert device_tables().kinds == {kind.name: kind for kind in KINDS}

    def test_a_rule_named_as_one_of_ours(
        self, add: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        def chips(draft: Draft) -> Iterator[Violation]:
            return iter(())

        add("wrong", DevicePackage(rules={"loihi": (Rule(chips),)}))
        reason = self.said(caplog, "wrong")
        assert "rule 'chips' of kind 'loihi' is lnn2loihi's own" in reason
        assert rules_of("loihi") == RULES

    def test_two_strangers_with_one_name(
        self, add: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        other = replace(FPGA, figures=(replace(FLASH, unit="1"),))
        add("one", DevicePackage((FPGA,)), "one")
        add("two", DevicePackage((other,)), "two")
        assert "kind 'fpga' is another thing in two (in" in self.said(caplog, "one")
        assert "figure 'flash' is another thing in one (in" in self.said(caplog, "two")
        assert "fpga" not in device_tables().kinds

    def test_what_two_say_alike_is_no_clash(self, add: Callable[..., None]) -> None:
        for name in ("one", "two"):
            add(name, DevicePackage((FPGA,), {"loihi": (FAN_IN,)}), name)
        add("three", DevicePackage(KINDS, rules={"fpga": ()}))
        assert [report.state for report in DEVICES.reports()] == ["ok"] * 3
        assert FAN_IN in device_tables().kinds["loihi"].figures

    def test_what_hangs_on_a_package_that_is_left_out(
        self, add: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        size = replace(FAN_IN, name="size")
        add("adds", DevicePackage(figures={"fpga": (size,)}), "adds")
        add("brings", DevicePackage((FPGA,), rules={"fpga": ("chips",)}), "brings")
        assert "which takes chips, cores_per_chip" in self.said(caplog, "brings")
        assert "kind 'fpga': is unknown" in self.said(caplog, "adds")
        assert "size" not in device_tables().definitions

    def test_names_of_profiles(
        self, add: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = folder_of(tmp_path / "one", loihi1=ICE40, mine=ICE40, both=ICE40)
        (one / ".toml").touch()
        two = folder_of(tmp_path / "two", both=ICE40)
        add("one", DevicePackage((FPGA,), profiles=one), "one")
        add("two", DevicePackage((FPGA,), profiles=two), "two")
        reason = self.said(caplog, "one")
        assert "profile 'loihi1' is left out, since the name is lnn2loihi's own; rename" in reason
        assert "'both' is left out, since the name is of two (in this process) too" in reason
        assert l2l.load_device("loihi1").kind == "loihi" and l2l.load_device("mine").kind == "fpga"
        assert "both" not in l2l.device_names()

    def test_a_broken_profile_is_named_and_the_others_are_there(
        self, fpga: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, run: Run
    ) -> None:
        folder_of(tmp_path / "profiles", broken="kind = 3", ice40=ICE40)
        DEVICES.add("again", DevicePackage(profiles=folder_of(tmp_path / "more", bad="a =")))
        try:
            with caplog.at_level(logging.WARNING, "lnn2loihi"):
                for _ in range(2):
                    code, out, _ = run("devices")
                    assert code == 0 and "ice40-up" in out and "bad" not in out
            assert caplog.text.count("bad.toml: is not valid TOML") == 1
            assert "a profile of __main__ (in this process) is left out" in caplog.text
            with pytest.raises(DeviceError, match="bad.toml: is not valid TOML"):
                l2l.load_device("bad")
        finally:
            DEVICES.remove("again")

    def test_a_rule_that_fails_is_named(self, add: Callable[..., None]) -> None:
        add("failing", DevicePackage(rules={"loihi": (Rule(fails),)}))
        with pytest.raises(PluginError, match=f"rule 'fails' of {__name__}: fails with KeyError"):
            place(dense_program(4))
        add("failing", DevicePackage(rules={"loihi": (Rule(finds_numbers),)}))
        with pytest.raises(PluginError, match="finds an int, which is no Violation; mend it"):
            place(dense_program(4))


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: Definition("flash", "KB", "limit", "memory"),
         "figure 'flash': its unit 'KB' is unknown; there are 1, s, J, W, B, Hz"),
        (lambda: Definition("Flash size", "B", "limit", "memory"), "its name is not made of"),
        (lambda: Definition("flash", "B", "limit", " "), "its meaning is no line of text"),
        (lambda: Definition("flash", "B", "limit", "x", largest=0.0), "its largest number is 0"),
        (lambda: Definition("flash", "B", "speed", "x"), "role"),  # pyright: ignore
        (lambda: replace(FPGA, name="my fpga"), "kind 'my fpga': its name is not made of"),
        (lambda: replace(FPGA, figures=(FLASH, ACTIVE, FLASH)), "it has two figures 'flash'"),
        (lambda: replace(FPGA, shown="toggle_power"), "shown is 'toggle_power', expected a"),
        (lambda: replace(FPGA, parts=(("a", "flash"),)), "parts names 'a', which is no figure"),
        (lambda: replace(FPGA, rules=("chips",)), "which takes chips, cores_per_chip, mesh"),
        (lambda: replace(LOIHI, rules=(Rule(lambda draft: iter(())),)), "has no name; give a lnn2"),
        (lambda: replace(LOIHI, rules=(3,)), "the rule 3 has no name"),
        (lambda: replace(LOIHI, rules=("chips", RULES[-1])), "it has two rules 'chips'"),
        (lambda: replace(LOIHI, rules=(type("R", (), {"name": "r"})(),)), "'r' is no lnn2"),
        (lambda: Rule(fails, ("more",)), "ways"),  # pyright: ignore
        (lambda: DevicePackage((3,)), "kinds"),  # pyright: ignore
        (lambda: DevicePackage(figures={"loihi": (FLASH,)}),
         "figure 'flash' is added to kind 'loihi' as a required one.*say required=False"),
        (lambda: DevicePackage(rules={"loihi": (3,)}), "the rule 3 has no name"),
        (lambda: DevicePackage(profiles="/no/such"), "profiles is '/no/such', which is no folder"),
        (lambda: DevicePackage(profiles=3), "profiles is '3', which is no folder"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused_by_name(make: Callable[[], object], wrong: str) -> None:
    with pytest.raises((DeviceError, InputError), match=wrong):
        make()


NAMES = st.sampled_from(["loihi", "cpu", "fpga", "tpu"])
FIGURES = st.lists(
    st.builds(
        Definition,
        name=st.sampled_from(["flash", "chips", "clock", "fan_in_per_neuron"]),
        unit=st.sampled_from(["1", "B"]), role=st.just("limit"), meaning=st.just("something"),
        required=st.booleans(),
    ),
    max_size=2, unique_by=lambda definition: definition.name,
).map(tuple)  # fmt: skip
ADDED = st.sampled_from([(), (Rule(fan_in_per_neuron),), ("chips",), ("no_such_rule",)])


def tables_of(kinds: dict[str, Any], figures: dict[str, Any], rules: dict[str, Any]) -> Any:
    """A package of drawn tables; None where it is refused when it is made."""
    try:
        made = tuple(DeviceKind(name, "drawn", tables) for name, tables in kinds.items())
        return DevicePackage(made, figures, rules)
    except DeviceError:
        return None


PACKAGES = st.builds(
    tables_of,
    *(st.dictionaries(NAMES, tables, max_size=2) for tables in (FIGURES, FIGURES, ADDED)),
)


@given(st.lists(PACKAGES.filter(bool), max_size=3))
def test_whatever_packages_bring_ours_stays(packages: list[DevicePackage]) -> None:
    for number, package in enumerate(packages):
        DEVICES.add(f"p{number}", package, f"p{number}")
    try:
        tables, problems = device_tables(), device_tables().problems
        for kind in KINDS:
            found = tables.kinds[kind.name]
            assert found.figures[: len(kind.figures)] == kind.figures
            assert found.rules[: len(kind.rules)] == kind.rules and found.required == kind.required
        assert l2l.load_device("cpu-epyc-9654").kind == "cpu"
        assert {*l2l.device_names()} == {*tables.profiles}
        working = [p for n, p in enumerate(packages) if f"p{n}" not in problems]
        brought = {kind.name for package in working for kind in package.kinds}
        assert tables.kinds.keys() == brought | {kind.name for kind in KINDS}
        reports = {report.name: report.state for report in DEVICES.reports()}
        assert all((reports[f"p{n}"] == "ok") == (p in working) for n, p in enumerate(packages))
    finally:
        for number in range(len(packages)):
            DEVICES.remove(f"p{number}")


@pytest.mark.parametrize("name", ["figures", "rules", "parts", "kinds"])
def test_lists_become_tuples(name: str) -> None:
    if name == "kinds":
        assert DevicePackage([FPGA], {"loihi": [FAN_IN]}).kinds == (FPGA,)  # pyright: ignore
    else:
        changed: dict[str, Any] = {name: list(getattr(LOIHI, name))}
        assert replace(LOIHI, **changed) == LOIHI


def test_every_rule_of_a_table_of_ours_is_there() -> None:
    assert rules_of("loihi") == RULES
    assert rules_of("cpu") == rules_of("tpu") == ()
