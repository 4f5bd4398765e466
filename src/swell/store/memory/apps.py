"""Durable apps in memory: their versions, bundles, functions and stopped containers.

This module must not know calls.
"""

from __future__ import annotations

from swell.model import Deployment
from swell.records import AppRecord, BundleRecord, ContainerRecord, FunctionGone, FunctionRecord
from swell.store.record_kinds import AnyAppRecord

__all__ = ["MemoryApps"]


class MemoryApps:
    """The records of apps. Dictionaries keep the order in which entries were first recorded."""

    def __init__(self) -> None:
        self.apps: dict[str, AppRecord] = {}
        self.bundles: dict[str, bytes] = {}  #: by digest
        self.functions: dict[str, FunctionRecord] = {}
        self.containers: dict[str, ContainerRecord] = {}
        self._deployments: dict[str, dict[int, Deployment]] = {}  # by app and version

    def take(self, record: AnyAppRecord) -> None:
        """Take a record."""
        match record:
            case AppRecord():
                self.apps[record.app_id] = record
            case Deployment():
                self._deployments.setdefault(record.app_id, {}).setdefault(record.version, record)
            case BundleRecord():
                self.bundles.setdefault(record.digest, record.data)
            case FunctionRecord():
                self.functions[record.function_id] = record
            case FunctionGone():
                self.functions.pop(record.function_id, None)
            case ContainerRecord():
                self.containers.pop(record.container_id, None)
                self.containers[record.container_id] = record

    def going_on(self) -> tuple[list[AppRecord], list[Deployment]]:
        """Return the apps that are not stopped, and the versions that a starting server needs."""
        apps = [app for app in self.apps.values() if app.stopped_at is None]
        versions = {(app.app_id, app.version) for app in apps}
        versions |= {(function.app_id, function.version) for function in self.functions.values()}
        found = [self.deployment(app_id, version) for app_id, version in sorted(versions)]
        return apps, [deployment for deployment in found if deployment is not None]

    def deployment(self, app_id: str, version: int) -> Deployment | None:
        """Return one version of an app."""
        return self._deployments.get(app_id, {}).get(version)

    def deployments(self, app_id: str) -> list[Deployment]:
        """Return the versions of an app, the latest first."""
        return [deployment for _, deployment in sorted(self._deployments.get(app_id, {}).items(), reverse=True)]

    def latest_apps(self) -> list[AppRecord]:
        """Return all apps, the latest first."""
        return sorted(self.apps.values(), key=lambda app: app.created_at)[::-1]

    def latest_containers(self, app_id: str, latest: int) -> list[ContainerRecord]:
        """Return stopped containers of one app, or of all apps for "", the latest first."""
        ended = [container for container in self.containers.values() if app_id in ("", container.app_id)]
        return sorted(ended, key=lambda container: container.ended_at)[::-1][:latest]

    def forget(self, ended_before: float, containers_max: int) -> None:
        """Forget containers and apps that ended before a time, and all but the latest `containers_max` containers."""
        surplus = len(self.containers) - containers_max
        for number, container in enumerate(list(self.containers.values())):
            if number < surplus or container.ended_at < ended_before:
                del self.containers[container.container_id]
        busy = {function.app_id for function in self.functions.values()}
        for app in list(self.apps.values()):
            if app.stopped_at is not None and app.stopped_at < ended_before and app.app_id not in busy:
                self._forget_app(app.app_id)

    def _forget_app(self, app_id: str) -> None:
        del self.apps[app_id]
        carried = {one.environment.bundle for one in self._deployments.pop(app_id, {}).values()}
        for versions in self._deployments.values():
            carried -= {one.environment.bundle for one in versions.values()}
        for digest in carried:
            self.bundles.pop(digest, None)
