"""Which importer a recurrent module of PyTorch belongs to."""

from __future__ import annotations

import os

from lnn2loihi.converters.recurrent.family import RnnImporter
from lnn2loihi.converters.recurrent.torch_rnn import TorchRnnImporter
from lnn2loihi.families.ltc.importer import is_liquid
from lnn2loihi.families.minimal.importer import MinimalRnnImporter

#: The families of recurrent layers beside those of ncps.
FAMILIES: tuple[RnnImporter, ...] = (TorchRnnImporter(), MinimalRnnImporter())


def family_of(source: object) -> RnnImporter | None:
    """The family of a live module, or of a checkpoint or description by its path."""
    if isinstance(source, (str, os.PathLike)):
        return next((family for family in FAMILIES if family.recognises(source)), None)
    return next((family for family in FAMILIES if family.is_module(source)), None)


def is_recurrent(module: object) -> bool:
    """Whether a live module is a recurrent layer that can be imported, of ncps or of another
    family; imports nothing.
    """
    return is_liquid(module) or family_of(module) is not None
