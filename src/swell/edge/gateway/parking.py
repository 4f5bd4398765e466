"""Parking: a request whose client was told to come back for the response, and what is kept for it until then.

Proxies and browsers do not wait for ever. A client that has waited long gets a redirect (303) to the same URL, with a
key in its query (`resume_redirect`). Meanwhile the request goes on: it keeps its place in the queue, or its container.
What arrives for the client is kept: the response up to a bound, or the error that it gets instead. A client that does
not come back within `RETURN_S` has left.

A client that never comes back costs at most its share of a bound that all have together: where that is used up, a
response waits in its container instead. This module must not know how a response is made or sent.
"""

from __future__ import annotations

import secrets
from typing import Final, Protocol

from swell.edge.gateway.client import Client, RequestSink
from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.resume_redirect import resume_url
from swell.edge.timers import Loop, Timer
from swell.wire.web import Route

__all__ = ["KEPT_MAX", "Parkable", "ParkedRequest", "Parking"]

KEPT_MAX: Final = 64 << 20  #: bytes of responses that are kept for all clients that are not back
KEPT_EACH_MAX: Final = 64 << 10  #: bytes of one response after which its container is no longer read from
RETURN_S: Final = 60.0  #: how long a client may take to come back, also from when its response begins


class Parkable(RequestSink, Protocol):
    """A request that can be parked."""

    @property
    def route(self) -> Route:
        """The web function that answers it."""
        ...

    @property
    def token_id(self) -> str:
        """Of the token by which it was admitted; "" if it needed none."""
        ...

    def resume(self, client: Client) -> None:
        """Respond to a client that has come back.

        Raises:
            HTTPError: it gets this instead.
        """
        ...


class ParkedRequest:
    """One request, from when its client is told to come back for the first time until it is answered.

    Args:
        parking: Finds it by its key.
        request: Abandoned when its client does not come back in time.
        head: Of the request as it was made first.
        loop: For its timer.
    """

    __slots__ = ("_head", "_kept", "_kept_bytes", "_parking", "_timer", "error", "is_complete", "key", "request")

    def __init__(self, parking: Parking, request: Parkable, head: RequestHead, loop: Loop) -> None:
        self.key: Final = secrets.token_urlsafe(16)
        self.request: Final = request
        self.is_complete = False  #: all of the response has arrived
        self.error: HTTPError | None = None  #: what the client gets instead of a response
        self._parking = parking
        self._head = head
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._timer = Timer(loop)

    # ------------------------------------------------------------ the client

    def redirect(self, target: bytes) -> HTTPError:
        """Return what tells the client, which has asked for `target`, to come back; from now on that is awaited."""
        self.await_client()
        return HTTPError(303, "", [(b"location", resume_url(target, self.key))])

    def await_client(self) -> None:
        """Give the client its time to come back, from now on."""
        self._timer.set(RETURN_S, self._gone)

    def _gone(self) -> None:
        if self.error is None:
            self.request.abandon()
        self.leave()

    def come_back(self, head: RequestHead) -> list[bytes]:
        """The client is back, with this head: return what was kept of the body of its response.

        Raises:
            HTTPError: the response is not asked for as it should be, or there is an error instead of it.
        """
        method = b"HEAD" if self._head.method == b"HEAD" else b"GET"
        if head.method != method or head.has_body:
            raise HTTPError(
                405, f"this answer is waited for with {method.decode()}, without a body", [(b"allow", method)]
            )
        if self.error is not None:
            self.leave()
            raise self.error
        self._timer.stop()
        return self._take_kept()

    # ------------------------------------------------------------ the response

    def keep(self, data: bytes) -> bool:
        """Keep a chunk of the body; return False if no more should come.

        A short response is complete so, and its slot is free at once.
        """
        self._kept.append(data)
        self._kept_bytes += len(data)
        is_room_left = self._parking.keep(len(data))
        return is_room_left and self._kept_bytes <= KEPT_EACH_MAX

    def fail(self, error: HTTPError) -> None:
        """Keep an error for the client, and nothing else."""
        self.error = error
        self._take_kept()
        self.await_client()

    def _take_kept(self) -> list[bytes]:
        self._parking.drop(self._kept_bytes)
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        return kept

    def leave(self) -> None:
        """Keep nothing any longer: the key leads nowhere."""
        self._timer.stop()
        self._take_kept()
        self._parking.remove(self.key)


class Parking:
    """All requests that are parked.

    Args:
        loop: For their timers.
        requests_max: How many may be parked at once.
        kept_max: Bytes of responses that are kept, for all of them together.
    """

    def __init__(self, loop: Loop, requests_max: int, kept_max: int = KEPT_MAX) -> None:
        self._loop = loop
        self._requests_max = requests_max
        self._kept_max = kept_max
        self._parked: dict[str, ParkedRequest] = {}
        self.kept = 0  #: bytes of responses, of all of them together

    @property
    def is_full(self) -> bool:
        """True if as many requests are parked as may be."""
        return len(self._parked) >= self._requests_max

    def park(self, request: Parkable, head: RequestHead) -> ParkedRequest:
        """Park a request, under a key that cannot be guessed."""
        parked = ParkedRequest(self, request, head, self._loop)
        self._parked[parked.key] = parked
        return parked

    def find(self, key: str) -> ParkedRequest | None:
        """Return the request to which a key leads."""
        return self._parked.get(key)

    def remove(self, key: str) -> None:
        """A request is parked no longer."""
        self._parked.pop(key, None)

    def keep(self, count: int) -> bool:
        """Count bytes of a response that are kept; return False if no more should come."""
        self.kept += count
        return self.kept <= self._kept_max

    def drop(self, count: int) -> None:
        """Count bytes of a response that are no longer kept."""
        self.kept -= count
