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
from ray_work import Work


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


def place_in(folder: Path, ray_folder: Path) -> RayPlace:
    """Return a user's place in a new folder."""
    folder.mkdir()
    place = RayPlace(folder, folder / "data")
    place.environment["RAY_TMPDIR"] = str(ray_folder)
    return place


@pytest.fixture
def make_place(tmp_path: Path, ray_folder: Path) -> Iterator[Any]:
    places: list[RayPlace] = []

    def make(name: str) -> RayPlace:
        places.append(place_in(tmp_path / name, ray_folder))
        return places[-1]

    yield make
    for place in places:
        place.end()


@pytest.fixture
def place(make_place: Any) -> RayPlace:
    return make_place("one")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, ray_folder: Path, cluster: RayCluster) -> Iterator[RayPlace]:
    """A place with a server that has one node: each test of a module leaves it so to the next."""
    place = place_in(tmp_path_factory.mktemp("served") / "place", ray_folder)
    try:
        place.begins(cluster)
        yield place
    finally:
        place.end()
    cluster.is_left()


@pytest.fixture
def held(cluster: RayCluster) -> Iterator[None]:
    """At the end nobody holds anything of the cluster."""
    yield
    cluster.is_left()


@pytest.fixture
def work(place: RayPlace) -> Work:
    return Work(place)
