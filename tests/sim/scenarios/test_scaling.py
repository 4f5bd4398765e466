"""Stories of pools that grow and shrink, told with times."""

from __future__ import annotations

import pytest

from swell.model import AutoscalerChange, Concurrency, GpuRequest, Resources
from swell.sim.play import Play, node
from swell.sim.work import Work


def test_cold_start_acts_on_the_event_itself() -> None:
    play = Play(start_s=0.002)
    f = play.function("f")
    call = play.remote(f, Work(0.001), at=1.0)
    play.run()
    assert play.size_at(f, 0.999) == 0
    assert play.size_at(f, 1.001) == 1, "no timer lies between the input and the start"
    assert play.took(call) < 0.01


def test_a_burst_brings_up_what_it_needs_and_no_more() -> None:
    play = Play(nodes=[node(cpu=64)], start_s=0.05)
    f = play.function("f")
    play.map(f, [Work(2.0)] * 20, at=1.0)
    play.run()
    assert max(play.sizes(f)) == 20


def test_the_ceiling_holds_and_the_work_is_done_in_turns() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", max_containers=3)
    call = play.map(f, [Work(1.0)] * 9, at=0.0)
    play.run()
    assert max(play.sizes(f)) == 3
    assert play.took(call) == pytest.approx(3.0, abs=0.1)


def test_idle_containers_leave_after_the_window_and_not_before() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", scaledown_window=7)
    call = play.map(f, [Work(1.0)] * 4, at=0.0)
    play.run(30.0)
    ended = play.of(call).finished_at or 0.0
    assert play.size_at(f, ended + 6.9) == 4
    assert play.size_at(f, ended + 7.1) == 0


def test_the_window_counts_from_each_containers_own_last_input() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", scaledown_window=5)
    play.map(f, [Work(1.0), Work(4.0)], at=0.0)
    play.run(30.0)
    assert play.size_at(f, 6.5) == 1, "the first left about 6.0 s, five seconds after its input"
    assert play.size_at(f, 8.9) == 1
    assert play.size_at(f, 9.2) == 0


def test_the_floor_is_there_before_and_after_the_work() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", min_containers=2, scaledown_window=2)
    play.map(f, [Work(1.0)] * 6, at=5.0)
    play.run(60.0)
    assert play.size_at(f, 4.0) == 2
    assert max(play.sizes(f)) == 6
    assert play.size_at(f, 59.0) == 2


def test_a_reserve_is_kept_only_while_there_is_work() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", buffer_containers=3, scaledown_window=2)
    play.remote(f, Work(5.0), at=1.0)
    play.run(30.0)
    assert play.size_at(f, 0.5) == 0
    assert play.size_at(f, 4.0) == 4, "one works, three wait"
    assert play.size_at(f, 29.0) == 0


def test_a_floor_set_at_run_time_takes_effect_at_once_and_leaves_with_the_override() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", scaledown_window=2)
    play.update(f, AutoscalerChange(min_containers=3), at=1.0)
    play.update(f, AutoscalerChange(min_containers=None), at=10.0)
    play.run(30.0)
    assert play.size_at(f, 1.1) == 3
    assert play.size_at(f, 29.0) == 0


def test_a_lower_ceiling_stops_idle_containers_at_once_and_busy_ones_never() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", scaledown_window=60)
    play.map(f, [Work(0.5)] * 4 + [Work(20.0)] * 2, at=0.0)
    play.update(f, AutoscalerChange(max_containers=1), at=5.0)
    play.run(40.0)
    assert play.size_at(f, 4.9) == 6
    assert play.size_at(f, 5.1) == 2, "the two that work finish"
    assert play.size_at(f, 21.0) == 1


def test_a_warm_pool_that_will_soon_be_done_does_not_grow() -> None:
    """A start takes a second; what waits is done in a tenth of that."""
    play = Play(start_s=1.0)
    f = play.function("f")
    play.map(f, [Work(0.001)] * 50, at=0.0, window=1)
    play.map(f, [Work(0.001)] * 100, at=20.0)
    play.run(30.0)
    assert max(play.sizes(f)) == 1


def test_a_container_takes_the_target_and_bursts_to_the_maximum_only_when_the_pool_cannot_grow() -> None:
    free = Play(start_s=0.01)
    f = free.function("f", concurrency=Concurrency(max_inputs=10, target_inputs=2))
    free.map(f, [Work(5.0)] * 10, at=0.0)
    free.run(3.0)
    assert free.size_at(f, 2.9) == 5

    bound = Play(start_s=0.01)
    g = bound.function("g", max_containers=1, concurrency=Concurrency(max_inputs=10, target_inputs=2))
    call = bound.map(g, [Work(5.0)] * 10, at=0.0)
    bound.run()
    assert bound.took(call) < 5.2, "all ten at once"


def test_single_use_containers_serve_one_input_each() -> None:
    play = Play(start_s=0.01)
    f = play.function("f", single_use=True, max_containers=2)
    play.map(f, [Work(0.1)] * 10, at=0.0)
    play.run()
    play.finish()
    assert play.starts == 10


def test_full_nodes_make_inputs_wait_and_say_why() -> None:
    play = Play(nodes=[node(cpu=1, memory_bytes=1 << 30)], start_s=0.01)
    f = play.function("f", resources=_memory(512 << 20))
    call = play.map(f, [Work(1.0)] * 4, at=0.0)
    play.run(0.5)
    pool = next(iter(play.world.engine.state.pools.values()))
    assert pool.scaling.blocked_reason == "the nodes are full"
    play.run()
    assert max(play.sizes(f)) == 2
    assert play.took(call) == pytest.approx(2.0, abs=0.1)


def test_a_function_without_any_container_gets_room_from_idle_ones_of_another() -> None:
    play = Play(nodes=[node(memory_bytes=1 << 30)], start_s=0.01)
    f = play.function("f", resources=_memory(512 << 20), scaledown_window=600, buffer_containers=1)
    g = play.function("g", resources=_memory(512 << 20))
    play.map(f, [Work(1.0)] * 2, at=0.0)
    call = play.remote(g, Work(0.1), at=10.0)
    play.run()
    assert play.took(call) < 0.5
    assert play.starts == 3


def test_gpus_are_exclusive_and_ranked() -> None:
    play = Play(nodes=[node(gpus=["H100", "A100", "A100"])], start_s=0.01)
    f = play.function("f", resources=Resources(gpu=(GpuRequest("H100"), GpuRequest("A100", 2))))
    call = play.map(f, [Work(1.0)] * 4, at=0.0)
    play.run(0.5)
    places = {container.place.gpus for container in play.world.engine.state.containers.values()}
    assert places == {("node-0-gpu-0",), ("node-0-gpu-1", "node-0-gpu-2")}
    play.run()
    assert play.took(call) == pytest.approx(2.0, abs=0.1)


def _memory(size: int) -> Resources:
    return Resources(memory_bytes=size)
