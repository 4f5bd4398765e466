"""`swell run --backend ray`: on a Ray of its own, and what it says if there is none."""

from __future__ import annotations

import psutil
import pytest
from ray_place import RayPlace, wait_for_ray

JOB = ("run", "--backend", "ray", "--address")


@pytest.fixture
def place(place: RayPlace) -> RayPlace:
    place.environment |= {"SWELL_RAY_SLICES": ""}
    return place


@pytest.mark.usefixtures("cluster")
def test_a_run_has_a_ray_of_its_own_which_ends_with_it(place: RayPlace) -> None:
    def rays() -> set[int]:
        return {each.pid for each in psutil.process_iter(["name"]) if each.info["name"] in ("gcs_server", "raylet")}

    before = rays()
    assert "squaring 7" in place.told(*JOB, "local", "jobs.py::square", "--x", "7")
    assert rays() <= before


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "no Ray answers at 127.0.0.1:1"),
        ("ray://head:10001", "is no address of a cluster: give HOST:PORT of its head"),
    ],
)
def test_a_cluster_that_cannot_be_reached_ends_the_run_and_says_why(place: RayPlace, address: str, why: str) -> None:
    done = place.swell(*JOB, address, "jobs.py::square", "--x", "7")
    assert done.returncode == 1
    assert "Ray cannot be used" in done.stderr
    assert why in done.stderr


def test_a_daemon_says_why_it_has_no_nodes(place: RayPlace) -> None:
    place.environment.pop("SWELL_BACKEND")
    place.told("start", "--backend", "ray", "--address", "127.0.0.1:1")
    wait_for_ray(
        lambda: "Ray cannot be used: no Ray answers at 127.0.0.1:1" in place.trouble(), lambda: place.told("status")
    )
    assert "Ray cannot be used" in place.told("status")
