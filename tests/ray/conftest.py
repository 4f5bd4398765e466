"""One Ray cluster for all tests, and servers that use it. Skipped where Ray is not installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "e2e")]

from ray_place import RayCluster, RayPlace


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """A head without cores, and two machines of two cores."""
    found = importlib.util.find_spec("ray")
    if found is None or found.origin is None:  # this folder has the same name
        pytest.skip("Ray is not installed")
    found = RayCluster()
    yield found
    found.close()


@pytest.fixture
def make_place(tmp_path: Path) -> Iterator[Any]:
    places: list[RayPlace] = []

    def make(name: str) -> RayPlace:
        (tmp_path / name).mkdir()
        places.append(RayPlace(tmp_path / name, tmp_path / name / "data"))
        return places[-1]

    yield make
    for place in places:
        place.end()


@pytest.fixture
def place(make_place: Any) -> RayPlace:
    return make_place("one")
