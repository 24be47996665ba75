"""Named scenarios as TOML files, and the measured tables that they use."""
