"""The `swell` command line: one file per noun. Nothing else in swell imports it, or must know it."""
