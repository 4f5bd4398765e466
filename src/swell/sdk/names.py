"""Which names and tags are allowed for apps and other named objects.

Pure checks. This module must not know what the objects are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from swell.errors import InvalidError

__all__ = ["check_object_name", "check_tag", "check_tags"]

_OBJECT_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_APP_ID: Final = re.compile(r"ap-[A-Za-z0-9]{22}")
_VERSION_TAG: Final = re.compile(r"[A-Za-z0-9._-]{0,50}")
_TAG_PART: Final = re.compile(r"[A-Za-z0-9._-]{1,63}")


def check_object_name(name: str, kind: str) -> None:
    """Refuse a name that an App, Secret, Volume, … may not have.

    Args:
        name: The name as the user wrote it.
        kind: What is to be named, as it appears in the message, for example "App".

    Raises:
        InvalidError: the name is empty, too long, has other characters, or looks like an App id.
    """
    if not _OBJECT_NAME.fullmatch(name) or _APP_ID.fullmatch(name):
        raise InvalidError(
            f"Invalid {kind} name: {name!r}. Use 1 to 64 letters, digits, dashes, dots and underscores, "
            "and nothing that looks like an App id (ap-…)"
        )


def check_tag(tag: object) -> None:
    """Refuse a tag that a version may not have.

    Raises:
        InvalidError: no str, longer than 50, or with other characters.
    """
    if not isinstance(tag, str) or not _VERSION_TAG.fullmatch(tag):
        raise InvalidError(
            f"Invalid tag {tag!r}: a version's tag is at most 50 letters, digits, dashes, dots and underscores"
        )


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of an App as a plain dict.

    Raises:
        InvalidError: not a mapping of str to str, or a key or value is not 1 to 63 of the allowed characters.
    """
    if not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"tags must be a dict of str to str, not {tags!r}")
    for part in (part for item in tags.items() for part in item):
        if not isinstance(part, str) or not _TAG_PART.fullmatch(part):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(
                f"Invalid tag {part!r}: keys and values are 1 to 63 letters, digits, dashes, dots and underscores"
            )
    return dict(tags)
