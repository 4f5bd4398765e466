"""Results that a client has not read: they are in the store, and are read back from there when it reads again.

The result of a spawned call is sent after it is written. So it need not wait in memory for a client that lags: its call
and index are enough. This module must not know what the results are.
"""

from __future__ import annotations

from collections.abc import Callable

from swell.engine.events import SendRecorded
from swell.server.connection import Connection
from swell.wire.messages import Outputs

__all__ = ["DeferredResults"]


class DeferredResults:
    """Remembers which results clients have not been sent.

    Args:
        send: sends recorded results.
    """

    def __init__(self, send: Callable[[SendRecorded], None]) -> None:
        self._send = send
        self._deferred: dict[int, dict[str, list[tuple[int, int]]]] = {}  # by client and call: first, last

    def add(self, to: Connection, results: Outputs) -> None:
        """Send a client results when it has read what it was sent before."""
        if to.number not in self._deferred:
            self._deferred[to.number] = {}
            to.when_read(lambda: self._send_all(to))
        runs = self._deferred[to.number].setdefault(results.call_id, [])
        for first, count in results.parts:
            if runs and runs[-1][1] == first:
                runs[-1] = (runs[-1][0], first + count)
            else:
                runs.append((first, first + count))

    def leave(self, client: int) -> None:
        """Forget a client that is gone."""
        self._deferred.pop(client, None)

    def _send_all(self, to: Connection) -> None:
        for call_id, runs in self._deferred.pop(to.number, {}).items():
            for first, last in runs:
                self._send(SendRecorded(to.number, call_id, first, last, must_have=0))
