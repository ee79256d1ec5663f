"""The targets of the simulator, and what a run of the benchmark reached of them."""

from __future__ import annotations

from typing import Any

from lnn2loihi.simulation.native import library


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry for each target that the run can tell about: target, reached, met."""
    return [*_ratios(results["nets"]), *_shares(results["dense_layers"]), *_shapes(results)]


def _entry(text: str, value: float, wanted: float, form: str = "{:,.3g}") -> dict[str, Any]:
    return {"target": text, "reached": form.format(value), "met": bool(value >= wanted)}


def _ratios(nets: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    own = f"c {library.usable_levels()[0].name}"
    wanted = (
        ("ncp32", "lava, best batch", 100),
        ("ncp32", "lava, 1 sequence", 20_000),
        ("ncp128", "lava, 1 sequence", 3_000),
    )
    for net, rival, least in wanted:
        ratios = nets.get(net, {}).get("ratios", {}).get(own, {}).get(rival, {})
        large = [ratio for batch, ratio in ratios.items() if batch >= 64]
        if large:
            text = f"{net}: at least {least:,} times {rival}, batch 64 and above (smallest)"
            found.append(_entry(text, min(large), least))
    single = nets.get("ncp32", {}).get("ratios", {}).get(own, {}).get("lava, 1 sequence", {})
    if 1 in single:
        text = "ncp32: at least 3,000 times lava, 1 sequence, batch 1"
        found.append(_entry(text, single[1], 3_000))
    cells = {
        (net, batch): ratio
        for net, result in nets.items()
        for batch, ratio in result["ratios"][own].get("onnxruntime float", {}).items()
    }
    if cells:
        worst = min(cells, key=lambda cell: cells[cell])
        text = f"at least 2 times onnxruntime float in every cell (worst: {worst[0]}, {worst[1]})"
        found.append(_entry(text, cells[worst], 2))
    return found


def _shares(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for level in [lv.name for lv in library.usable_levels() if lv.vector]:
        dense = {e["units"]: e[level] for e in layers if not e["almost_empty"]}
        large = [e["peak_share"] for units, e in dense.items() if units >= 128]
        if large:
            text = f"{level}: at least 50 % of the int16 peak, dense, 128 neurons and above"
            found.append(_entry(text, min(large), 0.5, "{:.0%}"))
        if 1024 in dense:
            text = f"{level}: at least 70 % of the int16 peak, dense, 1024 neurons"
            found.append(_entry(text, dense[1024]["peak_share"], 0.7, "{:.0%}"))
        if level == "avx2":
            rate = max(e["gmac"] for e in dense.values())
            found.append(_entry("avx2: at least 40 GMAC/s in its best dense layer", rate, 40))
        empty = next(e[level]["ns"] / e["units"] for e in layers if e["almost_empty"])
        text = f"{level}: about 1 ns a neuron beside its synapses"
        found.append({"target": text, "reached": f"{empty:.3g}", "met": empty <= 1.1})
    return found


def _shapes(results: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for net, ratio in results["threads"].items():
        found.append(_entry(f"{net}: two threads at least 1.8 times one (see load)", ratio, 1.8))
    for net, ratio in results["counting"].items():
        text = f"{net}: counters cost at most 5 %"
        found.append({"target": text, "reached": f"{ratio:.3g}", "met": ratio <= 1.05})
    for net, ratio in results["saturations"].items():
        text = f"{net}: counting saturated words costs at most 5 %"
        found.append({"target": text, "reached": f"{ratio:.3g}", "met": ratio <= 1.05})
    for net, ratios in results["narrow"].items():
        worst = max(ratios["batch"], key=lambda batch: ratios["batch"][batch])
        for text, ratio, most in (
            (f"batches of 8 to 63 over batch 64 (worst: {worst})", ratios["batch"][worst], 1.3),
            ("calls of 16 steps over long ones", ratios["steps"][16], 1.5),
        ):
            text = f"{net}: {text}, at most {most}"
            found.append({"target": text, "reached": f"{ratio:.3g}", "met": ratio <= most})
    for what, values in results["flatness"].items():
        flat = [ns for n, ns in values.items() if "steps," in what or n >= 64]
        spread = max(flat) / min(flat)
        text = f"cost flat in {what.split(',')[0]} (largest / smallest, at most 1.15)"
        found.append({"target": text, "reached": f"{spread:.3g}", "met": spread <= 1.15})
    return found
