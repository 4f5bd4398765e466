"""A server whose nodes a Ray cluster gives: what it holds there, what it survives, and what it leaves."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from ray_place import RayCluster, RayPlace, wait_for_ray


@pytest.fixture(autouse=True)
def nothing_is_held(cluster: RayCluster) -> Any:
    """Each test begins and ends with a cluster of which nobody holds anything."""
    yield
    wait_for_ray(lambda: cluster("actors") == [], lambda: cluster("actors"))
    wait_for_ray(lambda: sum(cluster("free").values()) == 4.0, lambda: cluster("free"))


def works(place: RayPlace, count: int = 5) -> None:
    assert place.told("run", "-q", "-w", "result", "many.py", "--count", str(count)) == ""
    assert (place.folder / "result").read_text() == str(sum(x * x for x in range(count)))


@pytest.fixture
def place(place: RayPlace) -> RayPlace:
    (place.folder / "many.py").write_text(
        "import swell\n"
        "app = swell.App('many')\n"
        "@app.function()\n"
        "def square(x: int) -> int:\n    return x * x\n"
        "@app.local_entrypoint()\n"
        "def main(count: int) -> str:\n    return str(sum(square.map(range(count))))\n"
    )
    return place


def test_agents_hold_their_slices_and_the_data_directory_remembers_whose_they_are(
    place: RayPlace, cluster: RayCluster
) -> None:
    memory = cluster("memory")
    place.begins(cluster, SWELL_RAY_AGENTS_MIN="2")
    names = place.nodes(2)
    assert sum(cluster("free").values()) == 2.0
    assert memory - cluster("memory") == 400 << 20
    assert [name for _, name in cluster("actors")] == sorted(names)
    works(place)
    place.told("restart")
    others = place.nodes(2)
    assert not set(names) & set(others)
    assert "ray-" in others[0]
    works(place)


def test_the_broker_dies_and_its_agents_go_on(place: RayPlace, cluster: RayCluster) -> None:
    place.begins(cluster)
    names, broker = place.names(), place.broker()
    broker.kill()
    assert place.names() == names
    works(place)
    wait_for_ray(lambda: place.broker().pid != broker.pid)
    wait_for_ray(lambda: not place.trouble())
    assert place.names() == names


def test_an_agent_that_ends_is_followed_by_another(place: RayPlace, cluster: RayCluster) -> None:
    place.begins(cluster)
    (name,) = place.names()
    ((_, actor),) = cluster("actors")
    assert actor == name
    agent_of(place).kill()
    wait_for_ray(lambda: place.names() and place.names() != [name])
    works(place)


def agent_of(place: RayPlace) -> psutil.Process:
    """The one agent that has a link to the place's server."""
    ports = {each.laddr.port for each in place.server().net_connections("tcp") if each.status == "LISTEN"}
    for process in psutil.process_iter():
        try:
            if "swell.agent.main" in process.cmdline() and any(
                each.raddr and each.raddr.port in ports for each in process.net_connections("tcp")
            ):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError("there is no agent")


def test_an_actor_is_killed_and_its_agent_ends(place: RayPlace, cluster: RayCluster) -> None:
    place.begins(cluster)
    (name,) = place.names()
    agent = agent_of(place)
    psutil.Process(agent.ppid()).kill()
    wait_for_ray(lambda: not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE)
    wait_for_ray(lambda: place.names() and place.names() != [name])


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


def test_two_servers_share_a_cluster_without_seeing_each_other(
    place: RayPlace, make_place: Any, cluster: RayCluster
) -> None:
    other = make_place("two")
    place.begins(cluster)
    other.begins(cluster)
    assert not set(place.names()) & set(other.names())
    spaces = {space for space, _ in cluster("actors")}
    assert len(spaces) == 2
    names = other.names()
    place.told("stop")
    wait_for_ray(lambda: [name for _, name in cluster("actors")] == names)
    assert other.names() == names


def test_an_agent_takes_all_that_is_free_on_a_machine_unless_told_otherwise(
    place: RayPlace, cluster: RayCluster
) -> None:
    place.begins(cluster, SWELL_RAY_SLICES="", SWELL_RAY_AGENTS_MIN="2")
    place.nodes(2)
    assert place.cores() == [2.0, 2.0]
    assert sum(cluster("free").values()) == 0.0


def test_what_no_machine_has_is_told(place: RayPlace, cluster: RayCluster) -> None:
    del place.environment["SWELL_BACKEND"]
    place.environment |= {"SWELL_RAY_SLICES": "cpu=64"}
    place.told("start", "--backend", "ray", "--address", cluster.address)
    said = wait_for_ray(lambda: said if "waiting" in (said := place.trouble()) else "")
    assert said.startswith(
        "waiting for 1 node of cpu=64 (asked Ray over 5 s ago; Ray says: infeasible, none of 3 machines is as"
    )
    assert "waiting for 1 node" in place.told("status")


def test_a_machine_that_is_taken_back_drains(place: RayPlace, cluster: RayCluster) -> None:
    node = cluster("add", 2)
    place.begins(cluster, SWELL_RAY_SLICES="", SWELL_RAY_AGENTS_MIN="3")
    place.nodes(3)
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
    works(place, 50)
    cluster("kill", node)
    place.told("stop")
