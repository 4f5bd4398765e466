"""One Ray cluster for all tests, and servers that use it. Skipped where Ray is not installed."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "e2e")]

from ray_place import RayCluster, RayPlace


@pytest.fixture(scope="session")
def ray_folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where Rays keep their files: a short path, as Unix sockets are among them. Kept for reading if a test fails."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    if not request.session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(ray_folder: Path) -> Iterator[RayCluster]:
    """A head without cores, and two machines of two cores."""
    found = importlib.util.find_spec("ray")
    if found is None or found.origin is None:  # this folder has the same name
        pytest.skip("Ray is not installed")
    cluster = RayCluster(ray_folder)
    try:
        cluster.begin(2, 2)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def make_place(tmp_path: Path, ray_folder: Path) -> Iterator[Any]:
    places: list[RayPlace] = []

    def make(name: str) -> RayPlace:
        (tmp_path / name).mkdir()
        places.append(RayPlace(tmp_path / name, tmp_path / name / "data"))
        places[-1].environment["RAY_TMPDIR"] = str(ray_folder)
        return places[-1]

    yield make
    for place in places:
        place.end()


@pytest.fixture
def place(make_place: Any) -> RayPlace:
    return make_place("one")
