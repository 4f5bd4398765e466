"""The test oracle: an independent account of every input, kept from the events and effects of the engine.

Nothing here may know the state of the engine.
"""

from swell.sim.oracle.oracle import Oracle

__all__ = ["Oracle"]
