"""Containers as documents. This module must not know how they are started or stopped."""

from __future__ import annotations

from swell.documents.document import Document, Moment, moment
from swell.names import shown_name
from swell.wire.queries import ContainerRow

__all__ = ["ContainerList", "ContainerSummary", "container_summary"]


class ContainerSummary(Document, frozen=True, kw_only=True):
    """One container."""

    container_id: str
    app_id: str
    app_name: str
    function_name: str
    version: int
    state: str  #: as the page on lifecycles has it
    requested_at: Moment | None
    ready_at: Moment | None
    ended_at: Moment | None
    running: int  #: inputs it has
    served: int  #: inputs it was given in its life
    reason: str  #: why it ended
    node: str  #: where it runs; empty if it has ended


class ContainerList(Document, frozen=True, kw_only=True):
    """Containers, the latest first."""

    containers: list[ContainerSummary]


def container_summary(row: ContainerRow) -> ContainerSummary:
    """Return one container."""
    return ContainerSummary(
        container_id=row.container_id,
        app_id=row.app_id,
        app_name=row.app_name,
        function_name=shown_name(row.function_name),
        version=row.version,
        state=row.state,
        requested_at=moment(row.requested_at),
        ready_at=moment(row.ready_at),
        ended_at=moment(row.ended_at),
        running=row.running,
        served=row.served,
        reason=row.reason,
        node=row.node,
    )
