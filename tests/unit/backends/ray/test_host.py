from __future__ import annotations

import inspect

from swell.backends.ray.host import AgentHost, agent_environment
from swell.slices import Slice

WORKER = {"HOME": "/h", "RAY_JOB_ID": "01", "RAY_RAYLET_PID": "7", "OMP_NUM_THREADS": "2", "RAY_ADDRESS": "h:1"}


def test_an_agent_gets_nothing_that_ray_has_set_for_its_workers() -> None:
    assert agent_environment(WORKER, Slice(2.0, 0, 1)) == {"HOME": "/h", "RAY_ADDRESS": "h:1"}


def test_threads_that_somebody_else_has_set_stay() -> None:
    assert agent_environment(WORKER, Slice(4.0, 0, 1))["OMP_NUM_THREADS"] == "2"


def test_a_slice_without_gpus_sees_none_and_one_with_gpus_those_of_ray() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "3"}
    assert agent_environment(environ, Slice(1.0))["CUDA_VISIBLE_DEVICES"] == ""
    assert agent_environment(environ, Slice(1.0, 0, 1))["CUDA_VISIBLE_DEVICES"] == "3"


def test_what_ray_sends_of_an_actor_is_there_in_all_versions() -> None:
    """Machines with another version look all of this up in their own module: to change it is to fail there."""
    own = {name for name, value in vars(AgentHost).items() if inspect.isfunction(value)}
    assert own == {"__init__", "pid", "ended"}
    assert list(inspect.signature(AgentHost).parameters) == ["order", "cpu", "memory_bytes", "gpus"]
    assert (AgentHost.__module__, AgentHost.__qualname__) == ("swell.backends.ray.host", "AgentHost")
