"""Replays a recorded trace of requests against the autoscaler: what would they have waited, and what would it cost?

A trace is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, one request a row, as published for
language model services. This module must not know the engine.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from swell.config import Settings
from swell.errors import InvalidError
from swell.model import Concurrency
from swell.sim.play import Play, node
from swell.sim.work import Work

__all__ = ["Costs", "Report", "Request", "read_trace", "replay"]

CORES = 10_000  #: of the node: enough that only the autoscaler decides


class Costs(Struct, frozen=True):
    """Seconds that a request takes, from its tokens."""

    base_s: float = 0.02
    per_context_token_s: float = 0.0002
    per_generated_token_s: float = 0.02


class Request(Struct, frozen=True):
    """One row: when it came, since the first, and how long it takes to serve."""

    at_s: float
    duration_s: float


class Report(Struct, frozen=True):
    """What became of a trace."""

    requests: int
    span_s: float  #: from the first request to the last answer
    busy_s: float  #: work, summed
    container_s: float  #: seconds that containers existed, summed
    containers_max: int
    starts: int
    wait_p50_s: float  #: beyond the time the request itself takes
    wait_p99_s: float

    def __str__(self) -> str:
        return (
            f"{self.requests} requests in {self.span_s:,.0f} s\n"
            f"containers: at most {self.containers_max}, started {self.starts}, busy "
            f"{self.busy_s / self.container_s:.0%} of {self.container_s:,.0f} container seconds\n"
            f"waiting: median {self.wait_p50_s * 1e3:,.1f} ms, 99th percentile {self.wait_p99_s * 1e3:,.1f} ms"
        )


def read_trace(path: Path, costs: Costs, *, limit: int | None = None) -> list[Request]:
    """Read a trace, in order of time.

    Raises:
        InvalidError: a column is missing or a row cannot be read; names the file and the line.
    """
    rows: list[tuple[float, float]] = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if limit is not None and len(rows) >= limit:
                break
            rows.append(_read_row(path, len(rows) + 2, row, costs))
    rows.sort()
    return [Request(at - rows[0][0], duration) for at, duration in rows]


def _read_row(path: Path, line: int, row: dict[str, str], costs: Costs) -> tuple[float, float]:
    try:
        # Published traces carry seven digits of a second, one more than Python reads.
        at = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
        context, generated = int(row["ContextTokens"]), int(row["GeneratedTokens"])
    except (KeyError, TypeError, ValueError) as error:
        text = f"{path}, line {line}: {error!r}; wanted are TIMESTAMP, ContextTokens and GeneratedTokens"
        raise InvalidError(text) from None
    seconds = costs.base_s + costs.per_context_token_s * context + costs.per_generated_token_s * generated
    return at, seconds


def replay(
    requests: Sequence[Request],
    *,
    start_s: float = 1.0,
    max_inputs: int = 1,
    target_inputs: int = 1,
    settings: Settings | None = None,
    **autoscaler: int,
) -> Report:
    """Serve every request at its time by one function, and report. `autoscaler` are fields of AutoscalerSettings."""
    play = Play(nodes=[node(cpu=CORES)], settings=settings, start_s=start_s, check_every=1_000)
    function = play.function("f", concurrency=Concurrency(max_inputs, target_inputs), is_async=True, **autoscaler)
    calls = [play.remote(function, Work(request.duration_s), at=request.at_s) for request in requests]
    play.run()
    play.finish()
    waits = sorted(
        max(0.0, play.took(call) - request.duration_s) for call, request in zip(calls, requests, strict=True)
    )
    return Report(
        requests=len(requests),
        span_s=max(play.of(call).finished_at or 0.0 for call in calls),
        busy_s=sum(request.duration_s for request in requests),
        container_s=play.container_seconds(function),
        containers_max=max(play.sizes(function)),
        starts=play.starts,
        wait_p50_s=waits[len(waits) // 2],
        wait_p99_s=waits[len(waits) * 99 // 100],
    )
