"""The road that the verbs are: which follow each other, and commands of each to try.

The files that the examples name are those of the road: `net.pt` with its description `net.toml`
beside it, samples `x.npy`, the program `net.l2l`, the profile `net.profile.json`.
"""

from __future__ import annotations

#: For each part of the road its verbs, in order, and for each verb commands that show it.
ROAD: dict[str, dict[str, tuple[str, ...]]] = {
    "From a trained network to integers": {
        "inspect": (
            "lnn2loihi inspect net.pt",
            "lnn2loihi inspect net.pt --write",
            "lnn2loihi inspect net.l2l --listing",
        ),
        "quantize": (
            "lnn2loihi quantize net.pt -c x.npy -o net.l2l",
            "lnn2loihi quantize net.pt -c x.npy -r w4a8x12 -o small.l2l",
            "lnn2loihi quantize net.pt -c x.npy --dropout 0.2 -o unsure.l2l",
        ),
        "import": (
            "lnn2loihi import net.pt -o net.l2n",
            "lnn2loihi import net.net -o net.l2l",
        ),
        "join": ("lnn2loihi join front.l2l core.l2l -o whole.l2l",),
    },
    "Are they right?": {
        "verify": (
            "lnn2loihi verify net.l2l -i x.npy",
            "lnn2loihi verify net.l2l -i x.npy --all",
        ),
        "simulate": (
            "lnn2loihi simulate net.l2l -i x.npy -o answers.npz",
            "lnn2loihi simulate net.l2l -i x.npy --states -o states.npz",
        ),
        "run": ("lnn2loihi run net.l2m -o answers.npz",),
        "compare": ("lnn2loihi compare net.pt net.l2l -i x.npy",),
        "monte-carlo": (
            "lnn2loihi monte-carlo unsure.l2l -i x.npy -o answers.npz",
            "lnn2loihi monte-carlo unsure.l2l -i x.npy --validation known.npz",
        ),
    },
    "What do they cost?": {
        "place": (
            "lnn2loihi place net.l2l",
            "lnn2loihi place net.l2l --target fused,split,stock -i x.npy",
        ),
        "profile": (
            "lnn2loihi profile net.l2l -i x.npy --rate 100Hz --quick -o net.profile.json",
            "lnn2loihi profile net.l2l -i x.npy --against none --report net.html",
        ),
        "report": ("lnn2loihi report net.profile.json -p net.l2l -o net.html",),
        "footprint": (
            "lnn2loihi footprint net.l2l",
            "lnn2loihi footprint net.l2l -p cortex-m0plus --goal speed",
            "lnn2loihi footprint net.l2l -d mcu-stm32u385",
        ),
        "devices": (
            "lnn2loihi devices",
            "lnn2loihi devices loihi2-oheo-gulch",
            "lnn2loihi devices loihi2-oheo-gulch -o mine.toml",
        ),
    },
    "Where do they run?": {
        "prepare": ("lnn2loihi prepare net.l2l --target stock -o stock.l2l",),
        "export": (
            "lnn2loihi export net.l2l -o net.onnx",
            "lnn2loihi export net.l2l -o net.c",
            "lnn2loihi export net.l2l --format loihi2 --target stock -i x.npy -o board",
        ),
    },
    "All of it, and help": {
        "demo": ("lnn2loihi demo -o out/demo",),
        "build": (
            "lnn2loihi build --template",
            "lnn2loihi build lnn2loihi.toml --dry-run",
        ),
        "doctor": ("lnn2loihi doctor",),
        "explain": ("lnn2loihi explain", "lnn2loihi explain recipe", "lnn2loihi explain w4a8"),
    },
}
PANELS = {verb: panel for panel, verbs in ROAD.items() for verb in verbs}
EXAMPLES = {verb: lines for verbs in ROAD.values() for verb, lines in verbs.items()}
ORDER = tuple(PANELS)
