"""A server whose nodes a Ray cluster gives: what it holds there, what it survives, and what it leaves."""

from __future__ import annotations

import re

import psutil
import pytest
from ray_place import RayCluster, RayPlace, wait_for_ray
from ray_work import Work

pytestmark = pytest.mark.usefixtures("held")


def test_agents_hold_their_slices_and_the_data_directory_remembers_whose_they_are(
    place: RayPlace, cluster: RayCluster
) -> None:
    memory = cluster("memory")
    place.begins(cluster, SWELL_RAY_AGENTS_MIN="2")
    names, work = place.nodes(2), Work(place)
    assert sum(cluster("free").values()) == 2.0
    assert memory - cluster("memory") == 400 << 20
    assert [name for _, name in cluster("actors")] == sorted(names)
    work.succeeds()
    place.told("restart")
    others = place.nodes(2)
    assert not set(names) & set(others)
    assert "ray-" in others[0]
    work.succeeds()


def test_the_server_is_killed_and_nothing_of_it_stays(place: RayPlace, cluster: RayCluster) -> None:
    place.begins(cluster)
    place.server().kill()
    wait_for_ray(lambda: cluster("actors") == [], lambda: cluster("actors"))


def test_server_and_broker_are_killed_and_the_next_server_ends_what_is_left(
    place: RayPlace, cluster: RayCluster
) -> None:
    place.begins(cluster, SWELL_RAY_SLICES="cpu=2,memory=100MiB", SWELL_RAY_AGENTS_MIN="3")
    place.nodes(2)
    wait_for_ray(lambda: len(cluster("actors")) == 3)  # one waits for its resources
    former = {name for _, name in cluster("actors")}
    server, broker = place.server(), place.broker()
    server.suspend()  # so that it starts no other broker
    broker.kill()
    server.kill()
    place.environment["SWELL_RAY_AGENTS_MIN"] = "1"
    place.told("start")
    wait_for_ray(lambda: not former & {name for _, name in cluster("actors")}, lambda: (former, cluster("actors")))
    place.nodes(1)


def test_what_no_machine_has_is_told(place: RayPlace, cluster: RayCluster) -> None:
    del place.environment["SWELL_BACKEND"]
    place.environment |= {"SWELL_RAY_SLICES": "cpu=64"}
    place.told("start", "--backend", "ray", "--address", cluster.address)
    said = wait_for_ray(lambda: said if "waiting" in (said := place.trouble()) else "")
    assert re.fullmatch(
        r"waiting for 1 node of cpu=64 \(asked Ray over \d+ (s|min) ago; Ray says: (infeasible|pending), none of 3 "
        r"machines is as large; the largest has cpu=2,memory=1GiB\)",
        said,
    )
    assert "waiting for 1 node" in place.told("status")


def test_agents_take_all_that_is_free_on_a_machine_and_drain_when_it_is_taken_back(
    place: RayPlace, cluster: RayCluster
) -> None:
    node = cluster("add", 2)
    place.begins(cluster, SWELL_RAY_SLICES="", SWELL_RAY_AGENTS_MIN="3")
    place.nodes(3)
    assert place.cores() == [2.0, 2.0, 2.0]
    assert sum(cluster("free").values()) == 0.0
    assert cluster("drain", node, 600)
    states = wait_for_ray(lambda: found if "drained" in (found := place.states()) else [])
    assert states == ["drained", "ready", "ready"]
    cluster("kill", node)
    wait_for_ray(lambda: place.states() == ["ready", "ready"])


def test_a_machine_dies_and_its_work_runs_elsewhere(place: RayPlace, cluster: RayCluster) -> None:
    node = cluster("add", 2)
    place.begins(cluster, SWELL_RAY_SLICES="", SWELL_RAY_AGENTS_MIN="3")
    place.nodes(3)
    psutil.Process(cluster("raylet", node)).kill()
    place.nodes(2)
    Work(place).succeeds(50)
    cluster("kill", node)
