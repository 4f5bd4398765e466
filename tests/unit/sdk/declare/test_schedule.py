"""Schedules: described by plain values, and refused with wrong types."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.model import ScheduleSpec
from swell.sdk.declare.schedule import Cron, Period


def test_schedules_are_described_by_plain_values() -> None:
    assert Cron("5 4 * * *", timezone="Europe/Berlin").spec() == ScheduleSpec("cron", "5 4 * * *", "Europe/Berlin")
    assert Period(days=1, seconds=1.5).spec() == ScheduleSpec("period", days=1, seconds=1.5)


@pytest.mark.parametrize("schedule", [Period(days=1.5), Period(hours="2"), Cron(5), Period(seconds=True)])  # type: ignore[arg-type]
def test_a_schedule_of_wrong_types_is_refused(schedule: Cron | Period) -> None:
    with pytest.raises(InvalidError, match="must be"):
        schedule.spec()


def test_a_cron_line_is_not_read_before_deploy() -> None:
    assert Cron("nonsense").cron_string == "nonsense"
