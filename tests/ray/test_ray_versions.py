"""Servers and agents of two versions of swell, and nodes whose clocks are wrong."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from patience import wait_until
from ray_place import START_S, RayCluster, RayPlace
from ray_work import Work, agents_of, at_start_of_python, frozen, is_gone, other_swell, state_of

OURS, THEIRS = version("swell"), "9.9.9"

#: What Python tells of the time is hours ahead.
WRONG_CLOCK = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + 18_000
time.time_ns = lambda: _time_ns() + 18_000 * 10**9
"""


def refusal(place: RayPlace) -> str:
    """Wait for a node that is refused, of which nothing else is told; return the line."""
    found = wait_until(
        lambda: place.json("status")["refused_nodes"], lambda: state_of(place), seconds=START_S, pause_s=0.2
    )
    return f"node {found[-1]['name']} was refused: {found[-1]['reason']}"


def environment_of(path: str) -> str:
    """Return a setting with which the agents have a directory first in Python's path."""
    return json.dumps({"env_vars": {"PYTHONPATH": path}})


@pytest.mark.usefixtures("held")
def test_agents_of_another_version_are_refused_in_one_line(
    place: RayPlace, cluster: RayCluster, tmp_path: Path
) -> None:
    theirs = other_swell(tmp_path, THEIRS, LINK_PROTOCOL=9_999)
    place.starts(cluster, SWELL_RAY_RUNTIME_ENV=environment_of(theirs))
    host = cluster.address.partition(":")[0]
    line = refusal(place)
    assert f" was refused: it has swell {THEIRS}, the server {OURS}, of which the protocols differ" in line
    assert line.endswith(f"install the same version on both (at {host})")
    for command in (["status"], ["node", "list"]):
        said = place.told(*command)
        assert f"it has swell {THEIRS}, the server {OURS}" in said
        assert "an agent has failed" not in said
    place.told("deploy", "jobs.py")
    place.spawn("square", 7)
    assert f"it has swell {THEIRS}, the server {OURS}" in place.told("why", "jobs.square")


@pytest.mark.usefixtures("held")
def test_a_newer_server_ends_older_agents_refuses_others_and_lets_in_those_of_its_version(
    place: RayPlace, cluster: RayCluster, work: Work, tmp_path: Path
) -> None:
    place.begins(cluster)
    ((namespace, older),) = cluster("actors")
    cluster("leave", namespace, "ray-of-long-ago")
    call = work.begin()
    (agent,) = agents_of(place)
    with frozen(agent):  # it does not notice that its server is gone
        server, broker = place.server(), place.broker()
        server.suspend()  # so that it starts no other broker
        broker.kill()
        server.kill()
        newer = other_swell(tmp_path, THEIRS)
        place.environment["PYTHONPATH"] = newer
        place.told("start")
        wait_until(
            lambda: not {older, "ray-of-long-ago"} & {name for _, name in cluster("actors")},
            lambda: (cluster("actors"), state_of(place)),
            seconds=START_S,
            pause_s=0.1,
        )
    wait_until(lambda: is_gone(agent.pid), "the agent of the older version goes on", seconds=START_S)
    assert f"it has swell {OURS}, the server {THEIRS}; install the same version on both" in refusal(place)
    place.environment["SWELL_RAY_RUNTIME_ENV"] = environment_of(newer)  # as if it were installed on the machines
    place.told("restart")
    place.nodes(1)
    work.ends(call)


@pytest.mark.usefixtures("held")
def test_clocks_of_nodes_that_are_hours_ahead_change_nothing(
    place: RayPlace, cluster: RayCluster, work: Work, tmp_path: Path
) -> None:
    wrong = at_start_of_python(tmp_path / "wrong", WRONG_CLOCK)
    place.begins(cluster, SWELL_RAY_RUNTIME_ENV=environment_of(wrong))
    names = place.names()
    (agent,) = agents_of(place)
    assert wrong in agent.environ()["PYTHONPATH"]
    work.succeeds()
    work.ends(work.begin())
    assert place.names() == names
    assert not place.json("status")["nodes_trouble"]
