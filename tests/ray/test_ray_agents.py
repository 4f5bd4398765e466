"""Agents that Ray has started for one server, which goes on: they, their actors and its broker die."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from ray_place import RayCluster, RayPlace, wait_for_ray
from ray_work import Work, agents_of, is_gone


@pytest.fixture(scope="module")
def work(served: RayPlace) -> Work:
    return Work(served)


@pytest.fixture
def name(served: RayPlace) -> str:
    """Of the one node that there is."""
    (name,) = wait_for_ray(lambda: names if len(names := served.names()) == 1 else [])
    return name


def test_the_broker_dies_and_its_agents_go_on(served: RayPlace, work: Work, name: str) -> None:
    broker = served.broker()
    broker.kill()
    assert served.names() == [name]
    work.succeeds()
    wait_for_ray(lambda: served.broker().pid != broker.pid)
    wait_for_ray(lambda: not served.trouble(), served.trouble)
    assert served.names() == [name]


def test_an_agent_that_ends_is_followed_by_another(
    served: RayPlace, work: Work, name: str, cluster: RayCluster
) -> None:
    assert name in [actor for _, actor in cluster("actors")]
    (agent,) = agents_of(served)
    agent.kill()
    wait_for_ray(lambda: served.names() and served.names() != [name], served.names)
    work.succeeds()


def test_an_actor_is_killed_and_its_agent_ends(served: RayPlace, name: str) -> None:
    (agent,) = agents_of(served)
    psutil.Process(agent.ppid()).kill()
    wait_for_ray(lambda: is_gone(agent.pid), "the agent is still there")
    wait_for_ray(lambda: served.names() and served.names() != [name], served.names)


def test_two_servers_share_a_cluster_without_seeing_each_other(
    served: RayPlace, make_place: Any, name: str, cluster: RayCluster
) -> None:
    other = make_place("two")
    other.begins(cluster)
    (others,) = other.names()
    assert others != name
    assert served.names() == [name]
    assert len({space for space, _ in cluster("actors")}) == 2
    other.told("stop")
    wait_for_ray(lambda: [actor for _, actor in cluster("actors")] == [name], lambda: cluster("actors"))
    assert served.names() == [name]
