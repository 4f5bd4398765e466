from __future__ import annotations

from swell.backends.ray.machines import Machines
from swell.backends.ray.messages import RayNode


def machine(name: str, drains: float | None = None) -> RayNode:
    return RayNode(
        node=name,
        host="h",
        cpu=1,
        cpu_free=1,
        memory_bytes=0,
        memory_free_bytes=0,
        gpus=0,
        gpus_free=0,
        draining_until=drains,
    )


def test_a_machine_that_drains_is_news_once_and_again_with_another_deadline() -> None:
    machines = Machines()
    assert machines.look_at((machine("a"), machine("b"))) == set()
    assert machines.look_at((machine("a"), machine("b", 100.0))) == {"b"}
    assert machines.gone_in_s("b", 40.0) == 60.0
    assert machines.look_at((machine("a"), machine("b", 100.0))) == set()
    assert machines.look_at((machine("a"), machine("b", 50.0))) == {"b"}
    assert machines.gone_in_s("b", 60.0) == 0.0


def test_nobody_may_have_said_when() -> None:
    machines = Machines()
    assert machines.look_at((machine("a", 0.0),)) == {"a"}
    assert machines.gone_in_s("a", 60.0) is None


def test_a_machine_that_is_dead_to_ray_goes_away() -> None:
    machines = Machines()
    machines.look_at((machine("a"), machine("b")))
    assert machines.look_at((machine("a"),)) == {"b"}
    assert machines.gone_in_s("b", 60.0) is None
    assert machines.look_at((machine("a"),)) == set()


def test_a_machine_that_is_alive_has_an_address() -> None:
    machines = Machines()
    machines.look_at((machine("a"),))
    assert machines.host_of("a") == "h"
    assert machines.host_of("b") == machines.host_of("") == ""
