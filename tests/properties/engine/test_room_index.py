"""An index of nodes finds what a look at all of them would find, in the same order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.engine.state.room_index import RoomIndex

NAMES = [f"n{number:03}" for number in range(300)]
few_cores, few_memory = st.integers(0, 8), st.integers(0, 4)
changes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.none() | st.tuples(few_cores, few_memory)), min_size=1, max_size=400
)


@given(changes, st.booleans(), few_cores, few_memory)
def test_it_finds_the_nodes_with_room_in_order(
    changes: list[tuple[str, tuple[int, int] | None]], is_full_first: bool, cores: int, memory: int
) -> None:
    index, known = RoomIndex(), dict.fromkeys(NAMES, (5, 2)) if is_full_first else {}
    for name, (free_cores, free_memory) in known.items():
        index.put(name, free_cores, free_memory)
    for name, change in changes:
        if change is None:
            index.remove(name)
            known.pop(name, None)
        else:
            index.put(name, *change)
            known[name] = change
    assert index.free() == known
    in_order = sorted(
        (free, name) for name, (free, of_memory) in known.items() if free >= cores and of_memory >= memory
    )
    names = [name for _, name in in_order]
    assert list(index.fullest_first(cores, memory)) == names
    assert list(index.emptiest_first(cores, memory)) == names[::-1]


def test_what_is_nearly_enough_by_the_sum_of_fractions_is_enough() -> None:
    index = RoomIndex()
    index.put("a", 1.0 - sum([0.1] * 9), 1)
    assert next(index.fullest_first(0.1, 1)) == "a"
