"""How many agents Ray is asked for, for what fits on no node."""

from __future__ import annotations

from swell.backends.ray.messages import RayNode
from swell.backends.ray.wanting import Bounds, agents_to_await
from swell.model import GpuRequest, Lack, Resources
from swell.slices import Slice

GIB = 1 << 30
SMALL, LARGE, WITH_GPU = Slice(4, 8 * GIB), Slice(32, 64 * GIB), Slice(8, 32 * GIB, 1)


def machine(name: str, cpu: float, gpus: float = 0) -> RayNode:
    return RayNode(
        node=name,
        host=name,
        cpu=cpu,
        cpu_free=cpu,
        memory_bytes=16 * GIB,
        memory_free_bytes=16 * GIB,
        gpus=gpus,
        gpus_free=gpus,
    )


def awaited(lacks: list[Lack], slices: list[Slice], pending: dict[Slice | None, int], present: int, **bounds: float):
    found = agents_to_await(
        lacks, slices, [machine("a", 8), machine("b", 16)], pending, present, bounds=Bounds(**bounds)
    )
    return {each: count for each, count in found.items() if count}


def cores(count: int, cpu: float = 1.0) -> list[Lack]:
    return [Lack(Resources(cpu=cpu, memory_bytes=GIB // 8), count)]


def test_the_least_are_of_the_first_slice() -> None:
    assert awaited([], [SMALL, LARGE], {}, 0, least=3) == {SMALL: 3}
    assert awaited([], [SMALL, LARGE], {SMALL: 1}, 1, least=3) == {SMALL: 2}
    assert awaited([], [], {}, 0) == {None: 1}


def test_what_fits_on_no_node_is_asked_for_step_by_step() -> None:
    assert awaited(cores(40), [SMALL], {}, 1) == {SMALL: 1}
    assert awaited(cores(36), [SMALL], {}, 2) == {SMALL: 2}
    assert awaited(cores(36), [SMALL], {SMALL: 2}, 2) == {SMALL: 6}, "those that are awaited count as well"
    assert awaited(cores(36), [SMALL], {SMALL: 6}, 2) == {SMALL: 9}, "as many as are needed"
    assert awaited(cores(36), [SMALL], {SMALL: 2}, 2, most=5) == {SMALL: 3}


def test_what_is_not_needed_any_more_is_given_up() -> None:
    assert awaited(cores(4), [SMALL], {SMALL: 6}, 2) == {SMALL: 1}
    assert awaited([], [SMALL], {SMALL: 6}, 2) == {}


def test_the_slice_that_holds_it_is_chosen() -> None:
    assert awaited(cores(1, cpu=20.0), [SMALL, LARGE], {}, 1) == {LARGE: 1}
    on_gpu = [Lack(Resources(gpu=(GpuRequest("H100"),)), 1)]
    assert awaited(on_gpu, [SMALL, LARGE, WITH_GPU], {}, 1) == {WITH_GPU: 1}, "of which kind its GPUs are, Ray decides"
    assert awaited(on_gpu, [SMALL, LARGE], {}, 1) == {}


def test_overcommit_counts() -> None:
    assert awaited(cores(64), [SMALL], {}, 4, cpu_overcommit=16.0) == {SMALL: 1}


def test_without_slices_a_machine_is_as_large_as_the_largest() -> None:
    assert awaited(cores(17), [], {}, 4) == {None: 2}
    assert agents_to_await(cores(17), [], [], {}, 4, bounds=Bounds()) == {None: 0}
