"""The public home of names that may still change.

Names only. This module must not know anything else of swell.
"""

from __future__ import annotations

from swell.wire.context import input_concurrency as get_local_input_concurrency
from swell.wire.context import set_input_concurrency as set_local_input_concurrency
from swell.wire.context import stop_fetching as stop_fetching_inputs

__all__ = ["get_local_input_concurrency", "set_local_input_concurrency", "stop_fetching_inputs"]
