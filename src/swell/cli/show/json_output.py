"""JSON for programs: documents, and what only the command line has. This module must not know a noun."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from swell.cli.show import terminal
from swell.documents.document import Document, plain

__all__ = ["fields_of", "print_json", "print_json_line"]


def fields_of(document: Document) -> dict[str, Any]:
    """Return a document as dicts and lists, with its times in the zone of this machine."""
    return plain(document, datetime.astimezone)


def print_json(value: Any) -> None:
    """Print a value as JSON; times in ISO 8601."""
    terminal.literal(json.dumps(value, indent=2, default=datetime.isoformat))


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON; times in ISO 8601."""
    terminal.literal(json.dumps(value, default=datetime.isoformat))
