"""Measures what one core does at best, with the microkernels of peak.c."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
from pathlib import Path

from lnn2loihi.simulation.native.library import compiler, usable_levels

CHAINS = 12
ROUNDS = 2_000_000
#: Multiply-adds of one instruction, or pair of instructions, of each microkernel.
OPERATIONS = {
    ("int16", "avx512vnni"): 32,
    ("int16", "avx2"): 16,
    ("fp32", "avx512vnni"): 16,
    ("fp32", "avx2"): 8,
    ("int32", "avx512vnni"): 16,
    ("int32", "avx2"): 8,
}


def load_microkernels() -> ctypes.CDLL | None:
    """Compiles and loads peak.c; None without a compiler or on a CPU that has none of this."""
    command = compiler()
    if command is None or usable_levels()[0].name == "plain":
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "peak.so"
        source = Path(__file__).with_name("peak.c")
        flags = ["-std=gnu11", "-O2", "-fPIC", "-shared"]
        subprocess.run([*command, *flags, "-o", str(target), str(source)], check=True)
        return ctypes.CDLL(str(target))


def peaks(microkernels: ctypes.CDLL | None, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Billions of multiply-adds a second (CPU time), by kind and instruction-set level.

    Kinds: int16 (pairs into int32), fp32 (fused multiply-add), int32 (multiplies only).
    """
    found: dict[str, dict[str, float]] = {}
    levels = {level.name for level in usable_levels()}
    for (kind, level), operations in OPERATIONS.items():
        if microkernels is None or level not in levels:
            continue
        kernel = getattr(microkernels, f"{kind}_{level}")
        kernel.argtypes, kernel.restype = [ctypes.c_int64], None
        kernel(rounds // 10)
        start = time.process_time()
        kernel(rounds)
        seconds = time.process_time() - start
        found.setdefault(kind, {})[level] = rounds * CHAINS * operations / seconds / 1e9
    return found
