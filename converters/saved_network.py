"""Reads float networks that lnn2loihi has saved (`.l2n`)."""

from __future__ import annotations

from pathlib import Path

from lnn2loihi.network import LiquidNetwork
from lnn2loihi.network_file import load
from lnn2loihi.storage import is_network_file


class SavedNetworkImporter:
    """Files of `lnn2loihi.save`, which are read as they were written and take no options."""

    def recognises(self, source: object) -> bool:
        """Whether a path is one of such a file, by its suffix or by how it begins."""
        return isinstance(source, Path) and is_network_file(source)

    def load(self, source: object) -> LiquidNetwork:
        """The network.

        Raises:
            ArtifactError: the file is damaged, altered, or of an unknown version.
        """
        assert isinstance(source, Path)
        return load(source)
