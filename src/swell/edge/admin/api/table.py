"""All operations of the API, in the order of the reference page. This module must not know how one works."""

from __future__ import annotations

from typing import Final

from swell.edge.admin.api import apps, calls, containers, functions, server
from swell.edge.admin.api.operation import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: Final[tuple[Operation, ...]] = (
    *server.OPERATIONS,
    *apps.OPERATIONS,
    *functions.OPERATIONS,
    *calls.OPERATIONS,
    *containers.OPERATIONS,
)
