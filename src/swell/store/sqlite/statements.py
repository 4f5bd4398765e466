"""SQL statements by name, and migrations in order, from the files beside this one.

In a file, a line `-- name: insert_calls` begins a statement; comments say what it is for. This module must not know
what a statement does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["migrations", "statements"]

_HERE = Path(__file__).parent
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements() -> dict[str, str]:
    """Return every statement by its name."""
    found: dict[str, str] = {}
    for path in sorted((_HERE / "sql").glob("*.sql")):
        _, *parts = _NAME.split(path.read_text())
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"{path.name}: there are two statements {name!r}")
            found[name] = sql.strip()
    return found


def migrations() -> Iterator[tuple[int, str]]:
    """Yield (version, SQL) of every migration, from 1 on: a database of version n has applied the first n."""
    for version, path in enumerate(sorted((_HERE / "migrations").glob("*.sql")), start=1):
        if int(path.name[:4]) != version:
            raise ValueError(f"{path.name}: the migration before it is missing")
        yield version, path.read_text()
