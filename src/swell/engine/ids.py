"""Ids that the engine derives, since it draws no random numbers: of functions, containers and scheduled runs.

They are stored, and found again by the next server, so that their form must stay. This module must not know what is
done with an id.
"""

from __future__ import annotations

import base64
import hashlib

from swell.ids import CALL, CALL_LEASE, CONTAINER, CONTAINER_LENGTH, FUNCTION

__all__ = [
    "derive_container_id",
    "derive_function_id",
    "derive_lease_id",
    "derive_lease_token",
    "derive_scheduled_call_id",
]


def derive_container_id(seed: str, number: int) -> str:
    """Return the id of the container of that number, unique under the seed of its engine."""
    return (CONTAINER + _digest(f"{seed}/{number}"))[:CONTAINER_LENGTH]


def derive_function_id(app_id: str, key: str) -> str:
    """Return the id of a function: the same for the same app and key, so that opening twice is harmless."""
    return FUNCTION + _digest(f"{app_id}/{key}")[:22]


def derive_scheduled_call_id(pool_id: str, due: float) -> str:
    """Return the id of a scheduled run. It follows from the time, so that no run ever takes place twice."""
    return CALL + _digest(f"{pool_id}/{due!r}").lower()[:22]


def derive_lease_id(seed: str, number: int) -> str:
    """Return the id of the call lease of that number."""
    return CALL_LEASE + _digest(f"{seed}/lease/{number}")[:22]


def derive_lease_token(seed: str, number: int) -> str:
    """Return what proves to a container who holds a call lease. As hard to guess as the seed is."""
    return _digest(f"{seed}/token/{number}")[:32]


def _digest(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()
