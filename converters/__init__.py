"""Importers and exporters, one file a format.

They are found through the entry point groups `lnn2loihi.importers` and `lnn2loihi.exporters`;
the library itself imports nothing from here by name.
"""
