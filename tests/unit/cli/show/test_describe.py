"""Facts about a function, in words."""

from __future__ import annotations

from typing import Any

from swell.cli.show.describe import containers_text, inputs_text, plan_text, schedule_text, settings_text
from swell.model import AutoscalerSettings
from swell.wire.queries import FunctionRow


def row(**facts: Any) -> FunctionRow:
    known: dict[str, Any] = {
        "name": "square",
        "function_id": "fu-1",
        "version": 1,
        "settings": AutoscalerSettings(0, None, 0, 60),
        "plan": 0,
        "reason": "idle",
    }
    counts = dict.fromkeys(("starting", "busy", "idle", "pending", "running", "done"), 0)
    return FunctionRow(**known | counts | facts)


def test_containers() -> None:
    assert containers_text(row()) == "none"
    assert containers_text(row(starting=2, idle=1_200)) == "2 starting, 1,200 idle"


def test_the_plan_and_what_is_in_its_way() -> None:
    assert plan_text(row()) == "0 (idle)"
    assert plan_text(row(plan=7, reason="7 inputs", held_back="the nodes are full")) == (
        "7 (7 inputs); held back: the nodes are full"
    )


def test_inputs() -> None:
    assert inputs_text(row(pending=3, running=2, done=4_000)) == "3 waiting, 2 running, 4,000 done"


def test_settings() -> None:
    assert settings_text(AutoscalerSettings(1, 8, 2, 30)) == (
        "min_containers=1, max_containers=8, buffer_containers=2, scaledown_window=30 s"
    )
    assert "max_containers=no bound" in settings_text(AutoscalerSettings(0, None, 0, 60))
    assert "max_containers=no bound" in settings_text(AutoscalerSettings(0, 0, 0, 60)), "0 takes a bound away"


def test_schedules() -> None:
    assert schedule_text(row(schedule="Period(days=1)")) == "Period(days=1), never again"
    assert schedule_text(row(schedule="Period(days=1)", next_run=0.0)).startswith("Period(days=1), next run 19")
