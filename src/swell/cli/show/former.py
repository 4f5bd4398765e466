"""Fields of `--json` under the names, and in the forms, that they had before they took those of the HTTP API.

With the next release after that which brought the names of the HTTP API, this file and its uses go. Where a field has
kept its name but not its form ("v3" for 3, null for an empty text), the former form stands until then. This module must
not know how a document is made.
"""

from __future__ import annotations

from typing import Any

__all__ = ["app_in_list", "app_shown", "call", "container", "container_gone", "server_status", "version"]


def server_status(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `ServerStatus` with its former fields."""
    return document | {"inputs": _inputs(document)}


def app_in_list(document: dict[str, Any]) -> dict[str, Any]:
    """Return an `AppSummary` with its former fields."""
    return document | {"waiting": document["pending"], "version": _version(document["version"])}


def app_shown(document: dict[str, Any]) -> dict[str, Any]:
    """Return an `AppDetail` with its former fields."""
    app: dict[str, Any] = document["app"]
    live: dict[str, Any] = document["live"] or {}
    return document | {
        "app_id": app["app_id"],
        "name": app["name"],
        "state": app["state"],
        "version": app["version"] or None,
        "created_at": app["created_at"],
        "stopped_at": app["stopped_at"],
        "deployed_at": live.get("deployed_at"),
        "deployed_by": live.get("deployed_by"),
        "commit": live.get("commit"),
        "tag": live.get("tag"),
        "containers": app["containers"],
        "functions": [_function(function) for function in document["functions"]],
    }


def _function(document: dict[str, Any]) -> dict[str, Any]:
    return document | {
        "containers": {
            "starting": document["starting"],
            "busy": document["busy"],
            "idle": document["idle"],
            "wanted": document["plan"],
        },
        "held_back": document["held_back"] or None,
        "inputs": _inputs(document),
        "schedule": document["schedule"] or None,
    }


def version(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `Version` with its former fields."""
    return document | {
        "version": _version(document["version"]),
        "live": document["is_live"],
        "time_deployed": document["deployed_at"],
    }


def container(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `ContainerSummary` of a list without ended ones, with its former fields."""
    return document | {
        "app_name": document["app_name"] or None,
        "function": document["function_name"],
        "start_time": document["ready_at"],
    }


def container_gone(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `ContainerSummary` of a list with ended ones, with its former fields."""
    return container(document) | {"end_time": document["ended_at"], "reason": document["reason"] or None}


def call(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `CallDetail` with its former fields."""
    return document | {
        "app_name": document["app_name"] or None,
        "function": document["function_name"],
        "inputs": _inputs(document),
        "parent": document["parent"] or None,
    }


def _inputs(document: dict[str, Any]) -> dict[str, Any]:
    return {"waiting": document["pending"], "running": document["running"], "done": document["done"]}


def _version(number: int) -> str | None:
    return f"v{number}" if number else None
