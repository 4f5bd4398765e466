"""Places of users, with and without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without a server."""
    found = Place(tmp_path, tmp_path / "data")
    yield found
    found.end()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place whose server runs, with jobs.py deployed: for tests that leave it so."""
    folder = tmp_path_factory.mktemp("place")
    found = Place(folder, folder / "data")
    try:
        found.told("start")
        found.told("deploy", "jobs.py")
        yield found
    finally:
        found.end()
