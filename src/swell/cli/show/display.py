"""What `swell run` shows while it runs: log lines, and below them, on a terminal, the progress, which is redrawn.

The progress appears only once a run has lasted a moment, so that a quick one never pays for loading rich. Where it
cannot be redrawn, it is printed as lines now and then. This module must not know what the progress consists of.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

from swell.cli.show import terminal
from swell.cli.show.progress import FRAMES_PER_S, RunProgress
from swell.escaping import log_lines
from swell.sdk.connection.output import PlainOutput, has_colour

if TYPE_CHECKING:
    from rich.live import Live

    from swell.wire.messages import Progress

__all__ = ["Display"]

PROGRESS_AFTER_S: Final = 0.3
LINES_EVERY_S: Final = 10.0


class Display(PlainOutput):
    """An Output for the command line; a context manager, so that the terminal is always left as it was.

    The progress goes to stderr, so that stdout holds only what the program and its containers print.

    Args:
        title: What runs.
        quiet: Show logs and warnings only.
        timestamps: Begin every log line with the local time.
    """

    def __init__(self, title: str, *, quiet: bool = False, timestamps: bool = False) -> None:
        super().__init__(timestamps=timestamps)
        self.run_progress: Final = RunProgress(title, time.monotonic)
        # Remembered because rich replaces both while the progress is shown.
        self._streams: Final = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._live: Live | None = None
        self._ended = threading.Event()
        watch = None if quiet else self._watch_terminal if has_colour(sys.stderr) else self._watch_file
        self._watcher = None if watch is None else threading.Thread(target=watch, name="swell-display", daemon=True)

    def __enter__(self) -> Self:
        if self._watcher is not None:
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()

    def progress(self, message: Progress) -> None:
        """Show the state of every function."""
        self.run_progress.update(message)

    def show(self, rendered: str) -> None:
        """Show on stderr, above the progress, what was escaped and coloured already."""
        self._write(self._streams["stderr"], rendered)

    def output(self, stream: str, text: str) -> None:
        """Show what a program wrote, above the progress, escaped; the stream is "stdout" or "stderr"."""
        target = self._stream(stream)
        lines = "\n".join(log_lines(text, colours=has_colour(target)))
        self._write(target, f"{lines}\n" if text.endswith("\n") else lines)

    def map_started(self, map_id: str, function_name: str) -> None:
        """Begin to show a map."""
        self.run_progress.map_started(map_id, function_name)

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show how far a map is."""
        self.run_progress.map_advanced(map_id, done, sent, total)

    def map_ended(self, map_id: str) -> None:
        """Stop showing a map."""
        self.run_progress.map_ended(map_id)

    def _stream(self, name: str) -> TextIO:
        return self._streams["stdout" if name == "stdout" else "stderr"]

    def _write(self, stream: TextIO, text: str) -> None:
        with self._lock:
            if self._live is not None and stream.isatty():
                self._live.console.out(text, end="", highlight=False)  # above the progress
                return
        super()._write(stream, text)

    # ------------------------------------------------------------ the watcher thread

    def _watch_terminal(self) -> None:
        if self._ended.wait(PROGRESS_AFTER_S):
            return
        from rich.live import Live

        live = Live(
            console=terminal.console(self._streams["stderr"]),
            get_renderable=self.run_progress.table,
            auto_refresh=False,
            transient=True,
            redirect_stdout=self._streams["stdout"].isatty(),
        )
        with live:
            with self._lock:
                self._live = live
            while not self._ended.wait(1 / FRAMES_PER_S):
                live.refresh()
            with self._lock:
                self._live = None

    def _watch_file(self) -> None:
        while not self._ended.wait(LINES_EVERY_S):
            for line in self.run_progress.lines():
                self._write(self._streams["stderr"], f"{line}\n")
