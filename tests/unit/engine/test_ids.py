"""Ids that the engine derives: a database of an older version names functions and scheduled calls by them."""

from __future__ import annotations

from swell.engine.ids import derive_container_id, derive_function_id, derive_scheduled_call_id


def test_derived_ids_stay_as_they_are_stored() -> None:
    assert derive_function_id("ap-1", "f") == "fu-FSTMJQIKDQSZKGMMHULR3T"
    assert derive_scheduled_call_id("fu-1", 60.0) == "fc-a4fkt3sxgsvp7ld4gimizs"
    assert derive_container_id("seed", 1) == "ta-RXLMCNL4S6QLPIAW7YW5TYSMOM"
