"""Slices: enough for what is lacking, no more than each kind takes by itself, and counts change nothing of the cost."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from swell.model import GpuRequest, Lack, Resources
from swell.policy.slices import Shape, next_steps, slices_for

GIB = 1 << 30

wants = st.builds(
    Resources,
    cpu=st.sampled_from([0.1, 0.125, 0.5, 1.0, 3.0, 7.0, 16.0]),
    memory_bytes=st.sampled_from([0, GIB // 8, GIB, 5 * GIB, 60 * GIB]),
    gpu=st.sampled_from(
        [(), (GpuRequest("any"),), (GpuRequest("A100", 2), GpuRequest("T4")), (GpuRequest("H100", 9),)]
    ),
)
lacks = st.lists(st.builds(Lack, wants, st.integers(1, 200)), max_size=8)
shapes = st.lists(
    st.one_of(
        st.builds(Shape, st.sampled_from([1.0, 4.0, 8.0, 64.0]), st.sampled_from([GIB, 16 * GIB, 100 * GIB])),
        st.builds(Shape, st.just(16.0), st.just(64 * GIB), st.integers(1, 8), st.sampled_from(["T4", "A100"])),
    ),
    max_size=4,
)


def is_held(lack: Lack, shape: Shape) -> bool:
    """True if one container fits into an empty slice: said again, in other words than the code's."""
    want = lack.resources
    has_gpus = not want.gpu or any(
        request.kind in {"any", shape.gpu_kind} and shape.gpus >= request.count for request in want.gpu
    )
    return want.cpu <= shape.cpu and want.memory_bytes <= shape.memory_bytes and has_gpus


@given(lacks, shapes)
@example([Lack(Resources(0.1, 0), 80)], [Shape(8.0, GIB)])
def test_there_is_as_much_as_is_lacking(lacks: list[Lack], shapes: list[Shape]) -> None:
    counts = slices_for(lacks, shapes)
    held = [lack for lack in lacks if any(is_held(lack, shape) for shape in shapes)]
    assert bool(held) == any(counts)
    cpu = sum(count * shape.cpu for count, shape in zip(counts, shapes, strict=True))
    memory = sum(count * shape.memory_bytes for count, shape in zip(counts, shapes, strict=True))
    gpus = sum(count * shape.gpus for count, shape in zip(counts, shapes, strict=True))
    assert cpu >= sum(lack.count * lack.resources.cpu for lack in held) - 1e-6
    assert memory >= sum(lack.count * lack.resources.memory_bytes for lack in held)
    assert gpus >= sum(lack.count for lack in held if lack.resources.gpu)


@given(lacks, shapes)
def test_together_they_take_no_more_than_each_by_itself(lacks: list[Lack], shapes: list[Shape]) -> None:
    alone = [slices_for([lack], shapes) for lack in lacks]
    assert sum(slices_for(lacks, shapes)) <= sum(map(sum, alone))


@given(lacks, shapes)
def test_the_order_in_which_lacks_are_told_does_not_matter(lacks: list[Lack], shapes: list[Shape]) -> None:
    assert sum(slices_for(lacks, shapes)) == sum(slices_for(list(reversed(lacks)), shapes))


@given(lacks, shapes, st.integers(0, 50), st.integers(0, 5), st.integers(0, 60), st.data())
def test_agents_stay_within_their_bounds(
    lacks: list[Lack], shapes: list[Shape], present: int, least: int, most: int, data: st.DataObject
) -> None:
    wanted = slices_for(lacks, shapes)
    pending = data.draw(st.lists(st.integers(0, 10), min_size=len(shapes), max_size=len(shapes)))
    steps = next_steps(wanted, pending, present=present, least=least, most=most)
    waiting = sum(pending) - sum(steps.cancel)
    assert all(cancelled <= there for cancelled, there in zip(steps.cancel, pending, strict=True))
    assert not any(more and less for more, less in zip(steps.start, steps.cancel, strict=True))
    assert sum(steps.start) <= max(1, least, present + waiting)
    assert not sum(steps.start) or present + waiting + sum(steps.start) <= most
    if shapes and least <= most and present + waiting < least:
        assert sum(steps.start), "fewer are there than must be"


def test_steps_lead_to_what_is_wanted() -> None:
    present, rounds = 1, 0
    while present < 101:
        steps = next_steps([101 - present], [0], present=present, least=1, most=1_000)
        assert steps.start[0], "it has stopped on its way"
        present += steps.start[0]
        rounds += 1
    assert (present, rounds) == (101, 7)


def test_a_million_containers_are_one_group() -> None:
    counts = slices_for([Lack(Resources(0.5, GIB), 1_000_000), Lack(Resources(3.0, GIB), 7)], [Shape(8.0, 64 * GIB)])
    # The large ones take four slices, and leave room for 3 * 4 + 10 of the small ones; 16 of these fill one more.
    assert counts == [4 + -(-(1_000_000 - 22) // 16)]


def test_the_smallest_shape_that_holds_it_is_taken() -> None:
    small, large = Shape(4.0, 8 * GIB), Shape(64.0, 256 * GIB)
    with_gpu = Shape(4.0, 8 * GIB, 1, "T4")
    assert slices_for([Lack(Resources(1.0, GIB), 9)], [large, with_gpu, small]) == [0, 0, 3]
    assert slices_for([Lack(Resources(5.0, GIB), 9)], [large, with_gpu, small]) == [1, 0, 0]
    on_gpu = Resources(0.1, GIB, (GpuRequest("H100"), GpuRequest("any")))
    assert slices_for([Lack(on_gpu, 2)], [large, with_gpu, small]) == [0, 2, 0]


def test_small_ones_go_where_large_ones_leave_room() -> None:
    lacks = [Lack(Resources(1.0, GIB), 2), Lack(Resources(3.0, GIB), 2)]
    assert slices_for(lacks, [Shape(4.0, 8 * GIB)]) == [2]
