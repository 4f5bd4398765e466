"""What concerns each client, so that its end finds that and looks at nothing else; and which clients lag.

This module must not know what is done about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from swell.engine.state.app import App
    from swell.engine.state.call import Call
    from swell.engine.state.container import Lease

__all__ = ["Clients"]

T = TypeVar("T")


class Clients:
    """Calls, apps and leases by client. A client that nothing concerns is not in them."""

    __slots__ = ("apps_of", "calls_of", "lagging", "leases_of")

    def __init__(self) -> None:
        self.calls_of: dict[int, dict[str, Call]] = {}  #: that end with it, or that it watches
        self.apps_of: dict[int, dict[str, App]] = {}  #: that it runs, or whose end it waits for
        self.leases_of: dict[int, dict[str, Lease]] = {}  #: that it must release, by call
        self.lagging: set[int] = set()  #: clients that do not read what they are sent

    # ------------------------------------------------------------ what concerns one

    def bind_call(self, client: int, call: Call) -> None:
        """Note that a call concerns a client."""
        self.calls_of.setdefault(client, {})[call.id] = call

    def unbind_call(self, call: Call) -> None:
        """Note that a call is over."""
        for client in {call.client, *call.watching}:
            _drop(self.calls_of, client, call.id)

    def unbind_watcher(self, client: int, call: Call) -> None:
        """Note that a client watches a call no more, unless the call ends with it, or it has another request."""
        if client != call.client and client not in call.watching:
            _drop(self.calls_of, client, call.id)

    def bind_app(self, client: int, app: App) -> None:
        """Note that an app concerns a client."""
        self.apps_of.setdefault(client, {})[app.id] = app

    def unbind_app(self, app: App) -> None:
        """Note that an app is over."""
        if app.owner is not None:
            _drop(self.apps_of, app.owner, app.id)
        for client, _ in app.closers:
            _drop(self.apps_of, client, app.id)

    def bind_lease(self, call_id: str, lease: Lease) -> None:
        """Note that a client has a lease."""
        self.leases_of.setdefault(lease.client, {})[call_id] = lease

    def unbind_lease(self, call_id: str, lease: Lease) -> None:
        """Note that a lease is over."""
        _drop(self.leases_of, lease.client, call_id)

    # ------------------------------------------------------------ its end

    def take_calls(self, client: int) -> list[Call]:
        """Return the calls that concern a client that is gone, and forget that they do."""
        self.lagging.discard(client)
        return list(self.calls_of.pop(client, {}).values())

    def take_apps(self, client: int) -> list[App]:
        """Return the apps that concern a client that is gone, and forget that they do."""
        return list(self.apps_of.pop(client, {}).values())

    # ------------------------------------------------------------ whether it reads

    def begin_lag(self, client: int) -> None:
        """Note that a client does not read what it is sent."""
        self.lagging.add(client)

    def end_lag(self, client: int) -> None:
        """Note that it reads again."""
        self.lagging.discard(client)


def _drop(index: dict[int, dict[str, T]], client: int, key: str) -> None:
    """Remove an entry, and the client with its last one."""
    mine = index.get(client)
    if mine is not None:
        mine.pop(key, None)
        if not mine:
            del index[client]
