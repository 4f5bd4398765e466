"""The public home of names that may still change.

Names only. This module must not know anything else of swell.
"""

from __future__ import annotations

from swell.wire.context import stop_fetching as stop_fetching_inputs

__all__ = ["stop_fetching_inputs"]
