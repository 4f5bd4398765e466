"""Which of the offered inputs are taken, and what is said about the rest."""

from __future__ import annotations

import pytest

from swell.config import Settings
from swell.policy.admission import Admitted, admit

SETTINGS = Settings(pending_sync_max=10, total_sync_max=15, pending_async_max=100)


@pytest.mark.parametrize(
    ("offered", "pending", "running", "expected"),
    [
        (3, 0, 0, Admitted(3)),
        (10, 0, 0, Admitted(10)),
        (11, 0, 0, Admitted(10, "pending_sync_max", 10)),
        (5, 8, 0, Admitted(2, "pending_sync_max", 10)),
        (5, 2, 12, Admitted(1, "total_sync_max", 15)),
        (1, 0, 15, Admitted(0, "total_sync_max", 15)),
        # Inputs that come back from a lost container may exceed a limit; nothing new is taken until they are gone.
        (1, 12, 0, Admitted(0, "pending_sync_max", 10)),
        (0, 0, 0, Admitted(0)),
    ],
)
def test_waiting_callers(offered: int, pending: int, running: int, expected: Admitted) -> None:
    assert admit(SETTINGS, is_async=False, offered=offered, pending=pending, running=running) == expected


def test_spawned_inputs_are_limited_only_while_they_wait() -> None:
    assert admit(SETTINGS, is_async=True, offered=100, pending=0, running=5_000) == Admitted(100)
    assert admit(SETTINGS, is_async=True, offered=3, pending=98, running=0) == Admitted(2, "pending_async_max", 100)
