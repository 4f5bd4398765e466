"""The progress of a run at this moment: its functions with their containers and inputs, and the maps under way.

It takes in messages from any thread, and renders on demand as a table for a terminal or as lines for a file. This
module must not know when it is drawn, or onto what.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from swell.cli.show.rate import RateEstimator, clock_text
from swell.escaping import one_line

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from swell.wire.messages import FunctionProgress, Progress

__all__ = ["RunProgress"]

BAR_WIDTH: Final = 28
SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_PER_S: Final = 8


class _Map:
    """One map of this process, as last reported."""

    def __init__(self, function_name: str, now: float) -> None:
        self.function_name = function_name
        self.done = 0
        self.sent = 0
        self.total: int | None = None
        self.rates = RateEstimator(now)

    def text(self, now: float) -> str:
        """Return the numbers, as in "1,200/10,000  510/s  0:17 left"."""
        self.rates.add(now, self.done)
        # "so far" because an input iterator of unknown length may go on
        parts = [f"{self.done:,}/{self.sent:,} so far" if self.total is None else f"{self.done:,}/{self.total:,}"]
        rate = self.rates.rate(now, self.done)
        if rate is not None:
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        left = self.rates.left_s(now, self.done, self.total)
        if left is not None:
            parts.append(f"{clock_text(left)} left")
        return "  ".join(parts)


class RunProgress:
    """The progress of a run.

    Args:
        title: What runs.
        clock: Seconds that never go back.
    """

    def __init__(self, title: str, clock: Callable[[], float]) -> None:
        self._title = title
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._functions: list[FunctionProgress] = []
        self._maps: dict[str, _Map] = {}

    def update(self, message: Progress) -> None:
        """Replace the state of every function."""
        with self._lock:
            self._functions = message.functions

    def map_started(self, map_id: str, function_name: str) -> None:
        """Add a map."""
        with self._lock:
            self._maps[map_id] = _Map(function_name, self._clock())

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Set how far a map is. Called for every message of a map, hence no more than assignments."""
        known = self._maps.get(map_id)
        if known is not None:
            known.done, known.sent, known.total = done, sent, total

    def map_ended(self, map_id: str) -> None:
        """Remove a map."""
        with self._lock:
            self._maps.pop(map_id, None)

    def lines(self) -> list[str]:
        """Return the state as plain lines; functions where nothing happens are left out."""
        now = self._clock()
        functions, maps = self._state()
        found = [_line(function) for function in functions if _busy(function)]
        found += [f"{known.function_name} map: {known.text(now)}" for known in maps]
        return list(map(one_line, found))

    def table(self) -> Table:
        """Return the state as a table for a terminal; functions that were never used are left out."""
        from rich.table import Table
        from rich.text import Text

        now = self._clock()
        functions, maps = self._state()
        body = Table.grid(padding=(0, 2, 0, 0))
        for function in filter(_used, functions):
            body.add_row(
                f"  {one_line(function.function_name)}", _containers(function), Text(_inputs(function), "green")
            )
            if function.note:
                body.add_row("", Text(one_line(function.note), "yellow"))
        for known in maps:
            body.add_row(f"  {one_line(known.function_name)} map", _bar(known, now), Text(known.text(now), "green"))
        whole = Table.grid()
        whole.add_row(self._head(now, running=bool(functions)))
        if body.row_count:
            whole.add_row(body)
        return whole

    def _head(self, now: float, *, running: bool) -> Text:
        from rich.text import Text

        spinner = SPINNER[int(now * FRAMES_PER_S) % len(SPINNER)]
        title = one_line(self._title if running else f"{self._title}: initializing…")
        return Text.assemble((spinner, "cyan"), " ", (title, "bold"), " ", (clock_text(now - self._began), "dim"))

    def _state(self) -> tuple[list[FunctionProgress], list[_Map]]:
        with self._lock:
            return self._functions, list(self._maps.values())


def _used(function: FunctionProgress) -> bool:
    return bool(function.total or function.starting or function.running or function.idle or function.note)


def _busy(function: FunctionProgress) -> bool:
    return bool(function.starting or function.running or function.backlog or function.note)


def _line(function: FunctionProgress) -> str:
    note = f" ({function.note})" if function.note else ""
    return f"{function.function_name}: containers {_containers(function)}; inputs {_inputs(function)}{note}"


def _containers(function: FunctionProgress) -> str:
    counts = ((function.starting, "starting"), (function.running, "running"), (function.idle, "idle"))
    return ", ".join(f"{count:,} {state}" for count, state in counts if count) or "none"


def _inputs(function: FunctionProgress) -> str:
    waiting = f", {function.backlog:,} waiting" if function.backlog else ""
    return f"{function.done:,}/{function.total:,} done{waiting}"


def _bar(known: _Map, now: float) -> ProgressBar:
    from rich.progress_bar import ProgressBar

    return ProgressBar(
        total=known.total, completed=known.done, width=BAR_WIDTH, pulse=known.total is None, animation_time=now
    )
