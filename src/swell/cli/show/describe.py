"""A function and its containers in words. This module must not know where the numbers come from, or are shown."""

from __future__ import annotations

from swell.cli.show.times import local, time_text
from swell.model import AutoscalerSettings
from swell.wire.queries import FunctionRow

__all__ = ["containers_text", "inputs_text", "plan_text", "schedule_text", "settings_text"]


def containers_text(row: FunctionRow) -> str:
    """Return how many containers a function has, by state."""
    counts = ((row.starting, "starting"), (row.busy, "busy"), (row.idle, "idle"))
    return ", ".join(f"{count:,} {state}" for count, state in counts if count) or "none"


def plan_text(row: FunctionRow) -> str:
    """Return how many containers a function should have, why, and why there are fewer."""
    held_back = f"; held back: {row.held_back}" if row.held_back else ""
    return f"{row.plan:,} ({row.reason}){held_back}"


def inputs_text(row: FunctionRow) -> str:
    """Return how many inputs of a function wait, run and have ended."""
    return f"{row.pending:,} waiting, {row.running:,} running, {row.done:,} done"


def settings_text(settings: AutoscalerSettings) -> str:
    """Return autoscaler settings as they are in force."""
    most = settings.max_containers
    return (
        f"min_containers={settings.min_containers or 0}, max_containers={most or 'no bound'}, "
        f"buffer_containers={settings.buffer_containers or 0}, scaledown_window={settings.scaledown_window or 0} s"
    )


def schedule_text(row: FunctionRow) -> str:
    """Return the schedule of a function and its next run."""
    due = "never again" if row.next_run is None else f"next run {time_text(local(row.next_run))}"
    return f"{row.schedule}, {due}"
