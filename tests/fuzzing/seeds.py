"""Makes the corpus anew: `python tests/fuzzing/seeds.py`. The files are small and committed."""

from __future__ import annotations

import io
import json
import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import lavadl_nets
import s4d_modules
from converted_modules import encoder_decoder, sandwich
from graphs import graph

from fuzzing.readers import CORPUS, READERS, as_npz
from lnn2loihi import (
    import_network,
    import_program,
    place,
    profile,
    quantize,
    save,
    simulate,
    workload,
)
from lnn2loihi.targets import target_of


def main() -> None:
    """Writes every seed."""
    import onnx
    import torch
    from ncps.torch import LTC, CfC
    from ncps.wirings import AutoNCP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    for name in READERS:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for kind in lavadl_nets.KINDS:
        written = lavadl_nets.network(kind, 10)[0]
        (CORPUS / "lavadl" / f"{kind}.net").write_bytes(written)
    shared = import_program(CORPUS / "lavadl" / "spiking_convolutions.net")
    save(shared, CORPUS / "program" / "kernels.l2l")
    x = np.random.default_rng(0).normal(size=(2, 6, 2))
    kernels = s4d_modules.DiagonalKernel(4, 4), s4d_modules.LowRankKernel(4, 5, 32)
    for name, kernel in zip(("diagonal", "low_rank"), kernels, strict=True):
        block = s4d_modules.FrameworkS4(4, kernel)
        spaces = s4d_modules.SequenceModel(2, 2, 4, [block]).float()
        held = {key: value.contiguous() for key, value in spaces.state_dict().items()}
        save_file(held, CORPUS / "state_space" / f"{name}.safetensors")
    encoder_decoder().save(CORPUS / "module" / "encoder_decoder.l2m")
    sandwich().save(CORPUS / "module" / "sandwich.l2m")
    modules: dict[str, Any] = {
        "wired": CfC(2, AutoNCP(8, 2), proj_size=1),
        "dense": CfC(2, 4, backbone_units=3, activation="silu"),
        "pure": CfC(2, 3, mode="pure", backbone_layers=0, mixed_memory=True),
    }
    save(import_network(LTC(2, AutoNCP(5, 1), mixed_memory=True)), CORPUS / "network" / "ltc.l2n")
    save(graph(3, ("gru", "lstm", "cfc backbone"), True), CORPUS / "network" / "graph.l2n")
    for name, module in modules.items():
        network = import_network(module.eval())
        save(network, CORPUS / "network" / f"{name}.l2n")
        program = quantize(network, calibrate=x)
        save(program, CORPUS / "program" / f"{name}.l2l")
        if name == "pure":
            save(target_of("split").prepare(program), CORPUS / "program" / "ports.l2l")
        if name == "wired":
            estimated = profile(program, x, against=(), rate=100.0, network=network)
            estimated.save(CORPUS / "profile" / "estimated.profile.json")
            counters = simulate(program, x).counters
            work = workload(place(program, counters=counters), counters)
            measured = {"avg_time_per_step": "2 us", "total_power": 0.3, "total_energy": 6e-6}
            record = {"name": "a run", "workload": work.to_dict(), "measured": measured,
                      "num_steps": 10}  # fmt: skip
            (CORPUS / "profiler_logs" / "one.json").write_bytes(plain([record]))
        export_onnx(name, module)
    export_onnx("ltc", LTC(2, AutoNCP(5, 1), ode_unfolds=2).eval())
    with zipfile.ZipFile(CORPUS.parents[1] / "equinox_saved.zip") as saved:
        for name, file in (("cell", "cell"), ("norm", "norm"), ("plain", "otherplain")):
            (CORPUS / "equinox" / f"{name}.eqx").write_bytes(saved.read(f"{file}.pkl"))
    state = {k: v.contiguous() for k, v in modules["wired"].state_dict().items()}
    save_file(state, CORPUS / "safetensors" / "wired.safetensors")
    torch.save(state, CORPUS / "checkpoint" / "wired.pt")
    for name, pickled in hostile_pickles().items():
        (CORPUS / "checkpoint" / f"{name}.pt").write_bytes(in_archive(pickled))
    (CORPUS / "description" / "full.toml").write_text(
        '[network]\nmodule = "ncps.torch.CfC"\ncheckpoint = "absent.safetensors"\n'
        'input_size = 2\nunits = 8\noutput_size = 2\nproj_size = 1\nmode = "default"\n'
        'activation = "silu"\nbackbone_units = 4\nbackbone_layers = 1\nmixed_memory = false\n'
        'timespan = "irregular"\nprefix = "rnn."\nname = "net"\n'
    )
    (CORPUS / "description" / "stages.toml").write_text(
        '[network]\ncheckpoint = "absent.safetensors"\ntimespan = 1.0\nignore = ["critic."]\n'
        '[[network.stage]]\nmodule = "normalise"\nmean = "mean"\nvariance = "var"\n'
        'epsilon = 1e-8\n[[network.stage]]\nmodule = "torch.nn.Linear"\nprefix = "encoder."\n'
        'activation = "leaky_relu(0.1)"\n[[network.stage]]\nmodule = "torch.nn.GRU"\n'
        'prefix = "rnn."\nhidden_size = 4\n[[network.stage]]\nmodule = "torch.nn.BatchNorm1d"\n'
        'prefix = "norm."\neps = 1e-5\n[[network.stage]]\nmodule = "activation"\n'
        'activation = "relu"\nname = "act"\n[[network.stage]]\nmodule = "scale"\n'
        'factor = [1.0, 2]\noffset = "shift"\n'
    )
    (CORPUS / "samples_npz" / "both.npz").write_bytes(as_npz(x=x, timespans=x[..., 0] ** 2))
    profiles = Path(__file__).parents[2] / "hardware_profiles"
    for name in ("loihi2-oheo-gulch", "loihi2-kapoho-point", "cpu-generic-thread"):
        text = (profiles / f"{name}.toml").read_text()
        (CORPUS / "device" / f"{name}.toml").write_text(text)
    target = io.BytesIO()
    np.save(target, x)
    (CORPUS / "samples_npy" / "x.npy").write_bytes(target.getvalue())
    (CORPUS / "samples_csv" / "x.csv").write_text("a,b\n1,2.5\n-3e4,nan\n0,1\n")
    onnx.checker.check_model(onnx.load(CORPUS / "onnx" / "wired.onnx"))


def export_onnx(name: str, module: Any) -> None:
    """One step of two inputs, as PyTorch writes it."""
    import torch

    hidden = torch.zeros(1, module.state_size)
    state: Any = (hidden, hidden) if module.use_mixed else hidden
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.randn(1, 1, 2), state), str(CORPUS / "onnx" / f"{name}.onnx"),
            dynamo=False, opset_version=17,
        )  # fmt: skip


def hostile_pickles() -> dict[str, bytes]:
    """Pickles that would run something if they were unpickled."""

    class Runs:
        def __init__(self, function: Any, *arguments: Any) -> None:
            self._call = function, arguments

        def __reduce__(self) -> Any:
            return self._call

    import os

    return {
        "runs_system": pickle.dumps({"rnn_cell.ff1.weight": Runs(os.system, "true")}, 2),
        "runs_eval": pickle.dumps({"rnn_cell.ff1.weight": Runs(eval, "1+1")}, 2),
        "opens_file": pickle.dumps({"a": Runs(open, "written", "w")}, 2),
    }


def in_archive(pickled: bytes) -> bytes:
    """An archive as torch.save writes it, around a pickle."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return target.getvalue()


def plain(value: Any) -> bytes:
    """A JSON seed."""
    return json.dumps(value).encode()


if __name__ == "__main__":
    main()
