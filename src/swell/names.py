"""Rules for names, tags and short texts, defined once for the SDK, which checks them early, and the engine.

People read names in lists, logs, labels of metrics and at the terminal. So a name has a bounded length, and no
character that a terminal executes or that makes it look like another name. The SDK refuses a wrong name early;
the engine refuses it from peers that do not use the SDK. Names in an older database are not checked again when they are
read: they are escaped where they are shown.

Functions named `…_problem` return the fault in words, "" if there is none; those named `check_…` raise it. Pure.
This module must not know the peer that sends a name, or the use of the named object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from swell.errors import InvalidError
from swell.escaping import one_line
from swell.ids import APP_ID

__all__ = [
    "TEXT_MAX",
    "check_object_name",
    "check_tag",
    "check_tags",
    "check_text",
    "function_label",
    "function_name_problem",
    "identifier_problem",
    "is_text",
    "object_name_problem",
    "shown_name",
    "tag_problem",
    "tags_problem",
    "text_problem",
    "variables_problem",
]

FUNCTION_NAME_MAX: Final = 200  #: characters
TEXT_MAX: Final = 200  #: characters of a description
TAGS_MAX: Final = 100  #: of one App

_OBJECT_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VERSION_TAG: Final = re.compile(r"[A-Za-z0-9._-]{0,50}")
_TAG_PART: Final = re.compile(r"[A-Za-z0-9._-]{1,63}")
_BESIDE_LETTERS: Final = frozenset("-.<>")  #: other characters of qualified names and of "<lambda>"


def shown_name(function_name: str) -> str:
    """Return a function's name for people: the pool of a class `Model` has the name `Model.*`."""
    return function_name.removesuffix(".*")


def function_label(app_name: str, function_name: str) -> str:
    """Return what tells people a function: "app.function"."""
    return f"{app_name}.{shown_name(function_name)}"


def object_name_problem(name: str, kind: str) -> str:
    """Return why an App, a Secret or a Volume cannot have a name.

    Args:
        name: The name.
        kind: The kind of object, as the message shows it, for example "App".
    """
    if _OBJECT_NAME.fullmatch(name) and not APP_ID.fullmatch(name):
        return ""
    return (
        f"Invalid {kind} name: {name!r:.200}. Use 1 to 64 letters, digits, dashes, dots and underscores, "
        "and nothing that looks like an App id (ap-…)"
    )


def function_name_problem(name: str) -> str:
    """Return why a Function, or the service of a class ("Model.*"), cannot have a name."""
    bare = shown_name(name)
    if 0 < len(bare) <= FUNCTION_NAME_MAX and all(_is_letter(c) or c in _BESIDE_LETTERS for c in bare):
        return ""
    return (
        f"Invalid function name: {name!r:.300}. Use 1 to {FUNCTION_NAME_MAX} letters, digits, underscores, dashes and "
        "dots; name= gives a function another name"
    )


def identifier_problem(name: str, kind: str) -> str:
    """Return why an object of a kind, such as "method", cannot have a name: no Python identifier. Keywords pass."""
    if len(name) <= FUNCTION_NAME_MAX and name.isidentifier():
        return ""
    return f"Invalid {kind} name: {name!r:.300}. Use a Python identifier of at most {FUNCTION_NAME_MAX} characters"


def tag_problem(tag: str) -> str:
    """Return why a version cannot have a tag."""
    if _VERSION_TAG.fullmatch(tag):
        return ""
    return f"Invalid tag {tag!r:.200}: a version's tag is at most 50 letters, digits, dashes, dots and underscores"


def tags_problem(tags: Mapping[str, str]) -> str:
    """Return why an App cannot have these tags."""
    if len(tags) > TAGS_MAX:
        return f"an App has at most {TAGS_MAX} tags, not {len(tags):,}: leave some out"
    for part in (part for item in tags.items() for part in item):
        if not _TAG_PART.fullmatch(part):
            return (
                f"Invalid tag {part!r:.200}: keys and values are 1 to 63 letters, digits, dashes, dots and underscores"
            )
    return ""


def text_problem(text: str, kind: str) -> str:
    """Return why a text cannot be a one-line description: it is too long, or has a control character."""
    if len(text) <= TEXT_MAX and one_line(text) == text:
        return ""
    return f"Invalid {kind}: {text!r:.300}. Use one line of at most {TEXT_MAX} characters, without control characters"


def is_text(text: str) -> bool:
    """Tell whether a str is text that can be sent: one of bytes that are not UTF-8, as file names may be, is not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def variables_problem(variables: Mapping[str, str]) -> str:
    """Return why environment variables cannot be set; never shows a value, which may be a secret."""
    for key, value in variables.items():
        if not key or "=" in key or "\0" in key:
            return f"Invalid name of an environment variable: {key!r:.200}. Use 1 or more characters, no '=', no NUL"
        if "\0" in value:
            return f"the environment variable {key!r:.200} has a NUL in its value, which no program can get: remove it"
    return ""


# ---------------------------------------------------------------- raising


def check_object_name(name: str, kind: str) -> None:
    """Refuse a name that an App, Secret, Volume, … may not have.

    Raises:
        InvalidError: the name is empty, too long, has other characters, or looks like an App id.
    """
    _refuse(object_name_problem(name, kind))


def check_tag(tag: object) -> None:
    """Refuse a tag that a version may not have.

    Raises:
        InvalidError: it is not a str, is longer than 50 characters, or has a character that is not allowed.
    """
    _refuse(tag_problem(tag) if isinstance(tag, str) else f"Invalid tag {tag!r:.200}: a version's tag is a str")


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of an App as a plain dict.

    Raises:
        InvalidError: not a mapping of str to str, too many, or a key or value is not 1 to 63 of the allowed characters.
    """
    if not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"tags must be a dict of str to str, not {tags!r}")
    for part in (part for item in tags.items() for part in item):
        if not isinstance(part, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"Invalid tag {part!r}: keys and values are str")
    _refuse(tags_problem(tags))
    return dict(tags)


def check_text(text: str, kind: str) -> None:
    """Refuse a text that cannot be a one-line description.

    Raises:
        InvalidError: it is too long, or has a control character.
    """
    _refuse(text_problem(text, kind))


def _refuse(problem: str) -> None:
    if problem:
        raise InvalidError(problem)


def _is_letter(character: str) -> bool:
    """Tell whether a character is allowed in an identifier: letters of any script, digits, underscores, accents."""
    return f"a{character}".isidentifier()
