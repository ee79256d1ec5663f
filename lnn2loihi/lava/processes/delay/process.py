"""A delay line as a Lava process."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess

from lnn2loihi.lava.plan import LavaPlan


class Delay(AbstractProcess):
    """Sends in step t what it received in step t - delay, and zeros before there was anything.

    It stands before a Sparse process. Lava's own DelaySparse holds the sums back instead, and
    rebuilds its matrices in every step.

    Args:
        name: name of the process.
        plan: layout of the run.
        delay: steps, at least 1.
        size: length of the messages, all sequences side by side.
    """

    def __init__(self, *, name: str, plan: LavaPlan, delay: int, size: int, **options: Any) -> None:
        super().__init__(name=name, plan=plan, delay=delay, size=size, **options)
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))
