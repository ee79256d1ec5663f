"""Random networks as lava-dl writes them, and what to send them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

#: Largest input of a sigma-delta network, in 1/64.
LARGEST = 200


def _group(file: Any, number: int, kind: str, shape: tuple[int, ...]) -> Any:
    group = file.create_group(f"layer/{number}")
    group.create_dataset("type", (1,), "S10", [kind.encode()])
    group["shape"] = np.array(shape)
    return group


def _neuron(group: Any, **words: Any) -> None:
    neuron = group.create_group("neuron")
    for name, value in words.items():
        neuron[name] = value


def cuba(random: np.random.Generator) -> tuple[bytes, tuple[int, ...]]:
    """Dense layers of CUBA neurons: all decays, signs and widths of weights, with biases or not."""
    import h5py

    sizes = [int(random.integers(3, 40)) for _ in range(int(random.integers(2, 6)))]
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        for number, (heard, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
            group = _group(file, number, "dense", (units,))
            top, kind = int(random.choice([6, 30, 60, 120, 254])), int(random.integers(0, 5))
            low = 0 if kind == 1 else -top
            weight = random.integers(low, top + 1, (units, heard))
            step = (2, 2, 8, 1, 2)[kind]
            weight = weight // step * step
            weight[random.random(weight.shape) < 0.3] = 0
            weight[0, 0] = weight[0, 0] if weight.any() else step
            group["weight"] = weight.astype(np.float32)
            if random.random() < 0.5:
                group["bias"] = random.integers(-20, 60, units).astype(np.float32)
            fixed = random.random() < 0.7
            _neuron(
                group,
                type=str(random.choice(["CUBA", "LOIHI"])),
                iDecay=int(random.choice([0, 1, 300, 410, 2048, 4095, 4096]))
                if fixed
                else int(random.integers(0, 4097)),
                vDecay=int(random.choice([0, 1, 128, 410, 4096]))
                if fixed
                else int(random.integers(0, 4097)),
                vThMant=int(random.choice([1, 6, 64, 300, 2000])),
                refDelay=1,
                gradedSpike=False,
            )
    return target.getvalue(), (sizes[0],)


def sigma_delta(random: np.random.Generator) -> tuple[bytes, tuple[int, ...]]:
    """Dense layers of sigma-delta neurons, most with a decoder at the end."""
    import h5py

    sizes = [int(random.integers(3, 30)) for _ in range(int(random.integers(3, 6)))]
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        threshold = int(random.integers(0, 12))
        group = _group(file, 0, "input", (sizes[0],))
        _neuron(group, type="SDNN", vThMant=threshold, activation="relu")
        for number, (heard, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
            group = _group(file, number + 1, "dense", (units,))
            step = 2 if random.random() < 0.7 else 1
            top = int(90 / np.sqrt(heard))
            weight = random.integers(-top, top + 1, (units, heard)) // step * step
            weight[0, 0] = weight[0, 0] if weight.any() else step
            group["weight"] = weight.astype(np.float32)
            last = number == len(sizes) - 2 and random.random() < 0.7
            if random.random() < 0.6 and not last:
                group["bias"] = random.integers(-10, 30, units).astype(np.float32)
            words = {"sigma_output": True} if last else {}
            _neuron(
                group, type="SDNN", vThMant=int(random.integers(0, 12)), activation="relu", **words
            )
    return target.getvalue(), (sizes[0],)


def convolutions(random: np.random.Generator) -> tuple[bytes, tuple[int, ...]]:
    """Two convolutions, flatten, a dense layer and a decoder, of sigma-delta neurons."""
    import h5py

    shape = (int(random.integers(1, 3)), int(random.integers(7, 11)), int(random.integers(7, 12)))
    first, target = shape, io.BytesIO()
    with h5py.File(target, "w") as file:
        _neuron(_group(file, 0, "input", shape), type="SDNN", vThMant=int(random.integers(1, 9)))
        for number in (1, 2):
            kernel = random.integers(2, 4, 2)
            stride, padding = random.integers(1, 3, 2), random.integers(0, 2, 2)
            channels = int(random.integers(2, 5))
            lengths = (np.array(shape[1:]) + 2 * padding - kernel) // stride + 1
            group = _group(file, number, "conv", (channels, *map(int, lengths)))
            group["kernelSize"], group["stride"], group["padding"] = kernel, stride, padding
            group["dilation"], group["groups"] = np.array([1, 1]), 1
            weight = 2 * random.integers(-20, 21, (channels, shape[0], *kernel))
            group["weight"] = weight.astype(np.float32)
            group["bias"] = (2 * random.integers(-5, 16, channels)).astype(np.float32)
            _neuron(group, type="SDNN", vThMant=int(random.integers(1, 9)), activation="relu")
            shape = (channels, *map(int, lengths))
        heard = int(np.prod(shape))
        _group(file, 3, "flatten", (heard, 1, 1))
        group = _group(file, 4, "dense", (6,))
        group["weight"] = (2 * random.integers(-8, 9, (6, heard))).astype(np.float32)
        _neuron(group, type="SDNN", vThMant=3, activation="relu")
        group = _group(file, 5, "dense", (3,))
        group["weight"] = (2 * random.integers(-30, 31, (3, 6))).astype(np.float32)
        _neuron(group, type="SDNN", vThMant=1, activation="relu", sigma_output=True)
    return target.getvalue(), first


def spiking_convolutions(random: np.random.Generator) -> tuple[bytes, tuple[int, ...]]:
    """Convolutions with groups and dilation, flatten and dense layers, of CUBA neurons."""
    import h5py

    channels = int(random.choice([1, 2, 4]))
    shape = (channels, int(random.integers(8, 12)), int(random.integers(8, 13)))
    first, target = shape, io.BytesIO()
    with h5py.File(target, "w") as file:
        _group(file, 0, "input", shape)
        for number in (1, 2):
            kernel, dilation = random.integers(1, 4, 2), random.integers(1, 3, 2)
            stride, padding = random.integers(1, 3, 2), random.integers(1, 3, 2)
            groups = int(random.choice([n for n in (1, 2, 4) if shape[0] % n == 0]))
            channels = groups * int(random.integers(1, 4))
            reach = dilation * (kernel - 1) + 1
            lengths = (np.array(shape[1:]) + 2 * padding - reach) // stride + 1
            group = _group(file, number, "conv", (channels, *map(int, lengths)))
            group["kernelSize"], group["stride"], group["padding"] = kernel, stride, padding
            group["dilation"], group["groups"] = dilation, groups
            top, step = int(random.choice([20, 60, 127, 254])), int(random.choice([1, 2]))
            top = top if step == 2 else min(top, 127)
            weight = random.integers(-top // 2, top + 1, (channels, shape[0] // groups, *kernel))
            group["weight"] = (weight // step * step).astype(np.float32)
            if random.random() < 0.6:
                group["bias"] = random.integers(-20, 40, channels).astype(np.float32)
            _spiking(group, random)
            shape = (channels, *map(int, lengths))
        heard = int(np.prod(shape))
        _group(file, 3, "flatten", (heard, 1, 1))
        for number, (before, units) in enumerate(((heard, 9), (9, 4)), start=4):
            group = _group(file, number, "dense", (units,))
            weight = 2 * random.integers(-20, 31, (units, before))
            group["weight"] = weight.astype(np.float32)
            _spiking(group, random)
    return target.getvalue(), first


def _spiking(group: Any, random: np.random.Generator) -> None:
    _neuron(
        group,
        type=str(random.choice(["CUBA", "LOIHI"])),
        iDecay=int(random.choice([0, 300, 2048, 4095, 4096])),
        vDecay=int(random.choice([1, 128, 410, 4096])),
        vThMant=int(random.choice([6, 64, 300])),
        refDelay=1,
        gradedSpike=False,
    )


KINDS = {
    "cuba": cuba,
    "sigma_delta": sigma_delta,
    "convolutions": convolutions,
    # Last in the alphabet too, by which networks are numbered.
    "spiking_convolutions": spiking_convolutions,
}
SPIKING = ("cuba", "spiking_convolutions")


def network(kind: str, seed: int) -> tuple[bytes, tuple[int, ...], np.random.Generator]:
    """Content of a file, the shape of its input, and a generator for what is sent."""
    random = np.random.default_rng([sorted(KINDS).index(kind), seed])
    content, shape = KINDS[kind](random)
    return content, shape, random


def samples(kind: str, random: np.random.Generator, time: int, channels: int) -> Any:
    """Integers (time, channels): spikes, or a walk in 1/64."""
    if kind in SPIKING:
        return (random.random((time, channels)) < random.uniform(0.05, 0.6)).astype(np.int64)
    walk = np.cumsum(random.integers(-12, 13, (time, channels)), axis=0)
    return walk.clip(-LARGEST, LARGEST)


def written(folder: Path, content: bytes, name: str = "network") -> Path:
    """A file of that content."""
    path = folder / f"{name}.net"
    path.write_bytes(content)
    return path
