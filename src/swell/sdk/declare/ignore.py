"""Ignore patterns, as in `.dockerignore` files: which paths an option `ignore=` excludes.

Compares text only. This module must not read files, or know why they are excluded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from swell.errors import InvalidError

__all__ = ["Ignore"]

_WILD = re.compile(r"\*\*/|\*\*|\*|\?")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Ignore:
    """Tells which paths of a directory are excluded.

    A pattern matches a whole path, relative to the directory, or a directory above it: `data` and `data/*.bin` match at
    its top, `**/*.bin` matches anywhere. `*` and `?` match characters other than `/`, `**` any number of directories. A
    pattern that begins with `!` includes again what an earlier one excluded.
    """

    def __init__(self, patterns: object = ()) -> None:
        """Compile the patterns.

        Raises:
            InvalidError: they are not a list of str.
        """
        if not isinstance(patterns, (list, tuple)) or not all(
            isinstance(pattern, str) for pattern in cast("Sequence[object]", patterns)
        ):
            raise InvalidError(f"ignore takes a list of patterns, as in ignore=['**/*.bin'], not {patterns!r}")
        self._rules = [_rule(pattern) for pattern in cast("Sequence[str]", patterns)]

    def __call__(self, path: str) -> bool:
        """Tell whether a path is excluded."""
        ignored = False
        for expression, is_ignored in self._rules:
            if expression.fullmatch(path):
                ignored = is_ignored
        return ignored

    def closes(self, directory: str) -> bool:
        """Tell whether everything in a directory is excluded."""
        return self(directory) and all(is_ignored for _, is_ignored in self._rules)


def _rule(pattern: str) -> tuple[re.Pattern[str], bool]:
    plain = pattern.removeprefix("!").strip("/")
    parts: list[str] = []
    at = 0
    for wild in _WILD.finditer(plain):
        parts += [re.escape(plain[at : wild.start()]), _MEANING[wild[0]]]
        at = wild.end()
    parts.append(re.escape(plain[at:]))
    return re.compile(f"{''.join(parts)}(?:/.*)?", re.DOTALL), not pattern.startswith("!")
