"""The page in a browser: nothing wider than its box, no text on another, and short until unfolded;
and colours that can be read.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, WHY_NOT, Browser, browser
from networks import random_network, random_samples
from profile_rows import (
    NETWORK,
    X,
    chip_profile,
    chip_row,
    example_program,
    example_result,
    measured_row,
)

import lnn2loihi as l2l
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.reporting.page import page
from lnn2loihi.reporting.traces import Traces

LOOK = Path(__file__).with_name("page_layout.js").read_text("utf-8")
OPEN = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
#: Height, in points, that a page may have before it is unfolded.
HIGHEST = 6000
PROGRAM = example_program()
LONG = "Loihi " * 12 + "x" * 90


def several() -> ProfileResult:
    """Two boards with one placement, four copies, and thirteen rows at the rate."""
    second: dict[str, Any] = {
        "device": "loihi2-kapoho-point", "title": "Loihi 2, Kapoho Point (8 chips)",
    }  # fmt: skip
    rows = [chip_row(), chip_row(**second)]
    rows += [chip_row(mode="pipelined", copies=4, io="on-board", **second)]
    rows += [measured_row(f"backend {n}", 2e-5 * 1.02**n, rate=100.0, copies=4) for n in range(10)]
    chips = (chip_profile(60), chip_profile(60, title=second["title"]))
    return example_result(PROGRAM, tuple(rows), chips=chips)


def hostile() -> ProfileResult:
    """Names without a place to break them, and many warnings."""
    result = example_result(
        PROGRAM, (chip_row(title=LONG), measured_row(LONG, title=LONG, under_load=LONG))
    )
    subject = dataclasses.replace(result.subject, program=LONG, recipe="w8a12x1 / 2-ramp12" * 4)
    return dataclasses.replace(result, subject=subject, command=LONG)


def pages() -> Iterator[tuple[str, str]]:
    """Kinds of pages and their documents."""
    traces = Traces(NETWORK.evaluate(X).outputs, l2l.simulate(PROGRAM, X).outputs)
    yield "small", page(example_result(PROGRAM), PROGRAM, traces)
    yield "several", page(several(), PROGRAM, traces)
    yield "hostile", page(hostile(), PROGRAM, None)
    full = example_result(PROGRAM, (chip_row(None, "pipelined"),), rate=None)
    yield "no rate", page(full, PROGRAM, None)
    wide = random_network(1, inputs=40, layers=(60, 50), outputs=3)
    program = l2l.quantize(wide, calibrate=random_samples(2, 2, 10, 40))
    many = chip_profile(700, chips=9)
    many = dataclasses.replace(
        many, cores=tuple(dataclasses.replace(c, chip=i % 9) for i, c in enumerate(many.cores))
    )
    yield "large", page(example_result(PROGRAM, chips=(many,)), program, None)


def converted_page(path: Path) -> None:
    """Of a module that the host takes part in between each two of five parts on the chip."""
    torch = pytest.importorskip("torch")

    class Alternating(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = torch.nn.ModuleList(torch.nn.GRU(4, 4, batch_first=True) for _ in range(5))
            self.norms = torch.nn.ModuleList(torch.nn.Softmax(-1) for _ in range(5))

        def forward(self, x: Any) -> Any:
            for cell, norm in zip(self.cells, self.norms, strict=True):
                x = norm(cell(x)[0])
            return x

    x = torch.from_numpy(random_samples(3, 2, 5, 4)).float()
    module = l2l.convert(Alternating(), x).quantize(calibrate=[(x,)])
    module.report(path, x, options={"quick": True, "frontier": False})


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, document in pages():
        found[name] = folder / f"{name}.html"
        found[name].write_text(document, "utf-8")
    return found


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "module.html"
    converted_page(path)
    return path


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
class TestLayout:
    @pytest.mark.parametrize("width", [390, 1280, 1920])
    @pytest.mark.parametrize("kind", ["small", "several", "hostile", "no rate", "large"])
    def test_nothing_is_cut_or_covered(
        self, tab: Browser, documents: dict[str, Path], kind: str, width: int
    ) -> None:
        tab.show(documents[kind], width)
        found = tab.value(LOOK)
        assert found["wrong"] == [] and found["height"] < HIGHEST
        tab.value(OPEN)
        tab.drawn()
        opened = tab.value(LOOK)
        assert opened["wrong"] == [] and opened["height"] > found["height"]

    @pytest.mark.parametrize("width", [390, 1280, 1920])
    def test_neither_is_anything_of_whole_modules(
        self, tab: Browser, whole: Path, width: int
    ) -> None:
        tab.show(whole, width)
        found = tab.value(LOOK)
        assert found["wrong"] == [] and found["height"] < HIGHEST
        tab.value(OPEN)
        tab.drawn()
        assert tab.value(LOOK)["wrong"] == []

    def test_paper_has_everything_and_no_dark(
        self, tab: Browser, documents: dict[str, Path]
    ) -> None:
        tab.show(documents["small"], 1280, prefers_color_scheme="dark")
        tab.ask("Emulation.setEmulatedMedia", media="print",
                features=[{"name": "prefers-color-scheme", "value": "dark"}])  # fmt: skip
        tab.drawn()
        hidden = tab.value(
            "[...document.querySelectorAll('details > :not(summary)')]"
            ".filter((e) => !e.getBoundingClientRect().height).map((e) => e.textContent)"
        )
        paper = tab.value("getComputedStyle(document.body).backgroundColor")
        tab.ask("Emulation.setEmulatedMedia", media="", features=[])
        assert hidden == [] and paper == "rgb(255, 255, 255)"


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet: light, dark and on paper."""
    style = resources.files("lnn2loihi.reporting").joinpath("style.css").read_text("utf-8")
    blocks = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block))
              for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]  # fmt: skip
    light, dark, paper = blocks
    return {"light": light, "dark": {**light, **dark}, "paper": {**light, **paper}}


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["light", "dark", "paper"])
def test_every_text_has_contrast(name: str) -> None:
    """4.5 to 1, as WCAG 2 AA asks of texts of any size."""
    colours = palettes()[name]
    texts = ("ink", "muted", "loihi", "cpu", "gpu", "mcu", "warn", "calibrated", "estimated",
             "bound")  # fmt: skip
    pairs = [(text, ground) for text in texts for ground in ("paper", "card")]
    pairs.append(("card", "measured"))
    deep = ("active_cores", "neurons", "steps", "io")
    causes = [key[2:] for key in colours if key.startswith("c-")]
    assert set(deep) < set(causes)
    pairs += [("on-deep" if cause in deep else "on-light", f"c-{cause}") for cause in causes]
    for text, ground in pairs:
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
