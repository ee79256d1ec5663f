"""Device profiles, one TOML file each, and the cases that the cost model is validated with.

`lnn2loihi.load_device` reads them by name; `lnn2loihi devices` lists them.
"""
