"""The same work on swell and on its peers, side by side in one run. Driven by `scripts/bench`; part of no package."""
