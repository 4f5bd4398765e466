"""Fields of the dashboard's stream under their former names, for pages that an older server has sent.

A page stays open in a browser while the server is replaced. With the next release after that which brought the names of
the HTTP API, this file and its uses go. This module must not know how a document is made.
"""

from __future__ import annotations

from typing import Any

__all__ = ["call", "container", "function"]


def function(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `FunctionLive` with its former fields."""
    urls: list[str] = document["web_urls"]
    layers: dict[str, Any] = document["autoscaler"]
    return document | {
        "id": document["function_id"],
        "app": document["app_name"],
        "url": urls[0] if urls else "",
        "static": layers["static"],
        "override": layers["override"],
    }


def container(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `ContainerSummary` with its former fields."""
    return document | {
        "id": document["container_id"],
        "app": document["app_name"],
        "function": document["function_name"],
        "executing": document["running"],
    }


def call(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `Call` with its former fields, and with its former states: an open one was pending, then running."""
    has_begun = document["running"] or document["done"]
    return document | {
        "state": "ended" if document["state"] == "ended" else "running" if has_begun else "pending",
        "id": document["call_id"],
        "app": document["app_name"],
        "function": document["function_name"],
        "total": document["num_inputs"],
    }
