"""The family of gated recurrent units."""

from __future__ import annotations

from typing import Any

from lnn2loihi.families.gru.layer import GRULayer, GRUStage
from lnn2loihi.families.gru.lowering import GRULowering
from lnn2loihi.family import Family


def _importer() -> Any:
    from lnn2loihi.families.gru.importer import GRUImporter

    return GRUImporter()


FAMILY = Family("gru", (GRULayer,), {GRUStage: GRULowering()}, _importer)
