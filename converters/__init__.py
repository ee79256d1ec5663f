"""Importers and exporters, and executors that run what was exported.

They are found through the entry point groups `lnn2loihi.importers`, `lnn2loihi.exporters` and
`lnn2loihi.executors`; the library itself imports nothing from here by name.
"""
