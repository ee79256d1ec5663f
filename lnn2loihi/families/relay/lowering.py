"""How relays become populations: with the format of what they hear."""

from __future__ import annotations

from typing import ClassVar

from lnn2loihi.families.relay.layer import RelayStage
from lnn2loihi.families.relay.neuron import relay_program
from lnn2loihi.lowering import Lowering, Measured, StageLowering
from lnn2loihi.recipe import Recipe


class RelayLowering(StageLowering[RelayStage]):
    """The integers that are heard are those that are sent."""

    repeats: ClassVar[bool] = True

    def may_clip(self, stage: RelayStage) -> bool:
        """See `StageLowering`; what is clipped has been so where it comes from."""
        return False

    def lower(self, stage: RelayStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        return Lowering({}, None, lambda shifts: relay_program(), scale=measured.message_steps)
