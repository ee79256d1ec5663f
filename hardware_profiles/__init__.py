"""Device profiles of the chips that lnn2loihi knows: one TOML file each."""
