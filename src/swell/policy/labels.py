"""The label of a web function: the part of its URL that identifies it.

This module must not know how a URL contains a label, or which labels are taken.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["LABEL_MAX", "label_of", "label_problem"]

LABEL_MAX: Final = 63  #: characters of one part of a host name
_DIGEST: Final = 6  #: characters that distinguish truncated labels

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_INVALID: Final = re.compile(r"[^a-z0-9]+")


def label_of(app_name: str, function_name: str, method: str, *, own: str | None, suffix: str = "") -> str:
    """Return the label of a web function.

    Example: app "My Shop", class "Search", method "query" give "my-shop-search-query"; a function's own label stays as
    it is. A label that is too long keeps 56 characters, and gets 6 of its digest.

    Args:
        app_name: Name of its App.
        function_name: Its name, or that of its class.
        method: Its name in the class, or "".
        own: The label it asks for.
        suffix: Appended, with a dash before it, for apps that end with their client.
    """
    whole = own or "-".join(
        part for name in (app_name, function_name, method) if (part := _INVALID.sub("-", name.lower()).strip("-"))
    )
    whole = f"{whole}-{suffix}" if suffix else whole
    if len(whole) <= LABEL_MAX:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{whole[: LABEL_MAX - _DIGEST - 1].rstrip('-')}-{digest}"


def label_problem(label: str) -> str:
    """Return why a user's label is invalid; "" if it is valid."""
    if len(label) <= LABEL_MAX and _LABEL.fullmatch(label):
        return ""
    return f"label {label!r:.200} must be 1 to {LABEL_MAX} lower-case letters, digits and dashes, no dash at its ends"
