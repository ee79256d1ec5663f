"""The family of relays."""

from __future__ import annotations

from lnn2loihi.families.relay.layer import RelayLayer, RelayStage
from lnn2loihi.families.relay.lowering import RelayLowering
from lnn2loihi.family import Family

FAMILY = Family("relay", (RelayLayer,), {RelayStage: RelayLowering()})
