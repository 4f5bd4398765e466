"""Reads of durable apps: versions, bundles, functions and stopped containers.

This module must not know calls, or threads.
"""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import msgpack

from swell.model import Deployment
from swell.records import AppRecord, ContainerRecord, FunctionRecord
from swell.store.sqlite.database import Database

__all__ = [
    "read_apps",
    "read_bundle",
    "read_container",
    "read_containers",
    "read_deployment",
    "read_deployments",
    "read_functions",
    "read_live_apps",
    "read_needed_deployments",
]

T = TypeVar("T")

#: A field that an older row lacks gets its default; a field that is no longer known is ignored.
APP: Final = msgpack.Decoder(AppRecord)
DEPLOYMENT: Final = msgpack.Decoder(Deployment)
FUNCTION: Final = msgpack.Decoder(FunctionRecord)
CONTAINER: Final = msgpack.Decoder(ContainerRecord)


def read_live_apps(database: Database) -> list[AppRecord]:
    """Read the apps that are not stopped, in the order in which they were first recorded."""
    return [APP.decode(record) for (record,) in database.rows("live_apps")]


def read_needed_deployments(database: Database) -> list[Deployment]:
    """Read the live versions, and the versions of recorded functions."""
    return [DEPLOYMENT.decode(record) for (record,) in database.rows("needed_deployments")]


def read_functions(database: Database) -> list[FunctionRecord]:
    """Read all functions, in the order in which they were first recorded."""
    return [FUNCTION.decode(record) for (record,) in database.rows("functions")]


def read_apps(database: Database) -> list[AppRecord]:
    """Read all apps, the latest first."""
    return [APP.decode(record) for (record,) in database.rows("apps")]


def read_deployments(database: Database, app_id: str) -> list[Deployment]:
    """Read the versions of an app, the latest first."""
    return [DEPLOYMENT.decode(record) for (record,) in database.rows("deployments", app_id=app_id)]


def read_deployment(database: Database, app_id: str, version: int) -> Deployment | None:
    """Read one version of an app."""
    return _decoded(DEPLOYMENT, database.row("deployment", app_id=app_id, version=version))


def read_bundle(database: Database, digest: str) -> bytes | None:
    """Read source files."""
    row = database.row("bundle", digest=digest)
    return row[0] if row is not None else None


def read_containers(database: Database, app_id: str, latest: int) -> list[ContainerRecord]:
    """Read stopped containers of one app, or of all apps for "", the latest first."""
    if app_id:
        rows = database.rows("containers_of_app", app_id=app_id, latest=latest)
    else:
        rows = database.rows("containers", latest=latest)
    return [CONTAINER.decode(record) for (record,) in rows]


def read_container(database: Database, container_id: str) -> ContainerRecord | None:
    """Read one stopped container."""
    return _decoded(CONTAINER, database.row("container", container_id=container_id))


def _decoded(decoder: msgpack.Decoder[T], row: tuple[bytes] | None) -> T | None:
    return decoder.decode(row[0]) if row is not None else None
