"""Whatever is observed of a node, its burst keeps within bounds and never grows where containers are at work."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.policy.pace import BURST_MAX, Load, Pace, burst_of, first_burst, is_recent, observed, saturated, used_up

CORES = st.sampled_from([0.5, 1.0, 2.0, 16.0, 512.0])
STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 5.0),  # seconds since the last observation
        st.floats(0.0, 1.0),  # the part of the cores that is busy
        st.floats(0.0, 1.0),  # the part of that which is work
        st.booleans(),  # whether most containers that were judged sleep
        st.booleans(),  # whether more are wanted
    ),
    max_size=30,
)


@given(CORES, STEPS)
def test_a_burst_keeps_within_its_bounds(cores: float, steps: list[tuple[float, float, float, bool, bool]]) -> None:
    first, most = first_burst(cores), max(first_burst(cores), BURST_MAX)
    pace: Pace | None = None
    now = 0.0
    for passed, busy, work, sleeps, is_wanted in steps:
        now += passed
        before, was_recent = burst_of(pace, cores=cores, now=now), is_recent(pace, now)
        load = Load(cores, busy * cores, busy * work * cores, sleeps=sleeps)
        pace = observed(pace, load, now)
        assert first <= pace.burst <= most
        assert pace.burst <= max(first, 2 * before)
        if saturated(load.working_cores, cores) or not was_recent:
            assert pace.burst <= before, "nothing is known that allows more"
        if is_wanted:
            pace = used_up(pace, now)
