"""The place of device profiles, one TOML file each; this version ships none yet."""
