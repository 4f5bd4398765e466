"""Apps and their versions as documents. This module must not know how either comes about."""

from __future__ import annotations

from swell.documents.document import Document, Moment, moment
from swell.documents.functions import FunctionSummary, function_summary, own_urls
from swell.wire.queries import AppDescription, AppRow, VersionRow

__all__ = ["AppDetail", "AppList", "AppSummary", "Version", "app_detail", "app_summary", "version"]


class AppSummary(Document, frozen=True, kw_only=True):
    """One app."""

    app_id: str
    name: str
    state: str  #: "deployed", "ephemeral", "ephemeral (detached)", "stopping…" or "stopped"
    version: int  #: the live one; 0 if the app was never deployed
    containers: int
    pending: int  #: inputs that wait
    running: int  #: inputs that containers have
    created_at: Moment | None
    stopped_at: Moment | None


class AppList(Document, frozen=True, kw_only=True):
    """Apps, the latest first."""

    apps: list[AppSummary]


class Version(Document, frozen=True, kw_only=True):
    """One version of an app."""

    version: int
    is_live: bool
    deployed_at: Moment | None
    deployed_by: str
    client: str  #: the program that deployed it
    commit: str  #: with * if there were changes that were not committed
    tag: str


class AppDetail(Document, frozen=True, kw_only=True):
    """One app with its functions."""

    app: AppSummary
    live: Version | None
    tags: dict[str, str]
    functions: list[FunctionSummary]
    urls: dict[str, str]  #: where web functions answer, by name: "site", "Model.site"


def app_summary(row: AppRow) -> AppSummary:
    """Return one app."""
    return AppSummary(
        app_id=row.app_id,
        name=row.name,
        state=row.state,
        version=row.version,
        containers=row.containers,
        pending=row.pending,
        running=row.running,
        created_at=moment(row.created_at),
        stopped_at=moment(row.stopped_at),
    )


def version(row: VersionRow) -> Version:
    """Return one version of an app."""
    return Version(
        version=row.version,
        is_live=row.is_live,
        deployed_at=moment(row.deployed_at),
        deployed_by=row.provenance.deployed_by,
        client=row.provenance.client,
        commit=row.provenance.commit,
        tag=row.tag,
    )


def app_detail(found: AppDescription) -> AppDetail:
    """Return one app with its functions."""
    return AppDetail(
        app=app_summary(found.app),
        live=None if found.live is None else version(found.live),
        tags=found.tags,
        functions=[function_summary(row, own_urls(row, found.urls)) for row in found.functions],
        urls=found.urls,
    )
