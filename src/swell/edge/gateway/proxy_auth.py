"""Authorises requests to web functions that ask for a token: `swell token create` makes the tokens.

This module must not know connections, or how tokens are made.
"""

from __future__ import annotations

import hmac
import logging
import os
from typing import Final, NamedTuple

from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.token_file import digest_of, read
from swell.errors import InvalidError

__all__ = ["OPEN", "USED", "Authorization", "ProxyTokens"]

log = logging.getLogger("swell.edge")

_PAIRS: Final = ((b"swell-key", b"swell-secret"), (b"modal-key", b"modal-secret"))
#: Headers in which a token may stand; the app does not get them then.
USED: Final = frozenset(name for pair in _PAIRS for name in pair)


class Authorization(NamedTuple):
    """How a request was admitted."""

    token_id: str  #: of the token in its headers; "" if it needed none
    drop: frozenset[bytes]  #: names of headers that only the edge may see


OPEN: Final = Authorization("", frozenset())  #: of a web function that asks for no token


class ProxyTokens:
    """Reads the tokens whenever their file has changed.

    Args:
        path: Of the file; there may be none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        self._seen: tuple[int, int] | None = None

    def used_by(self, head: RequestHead) -> Authorization | None:
        """Return how a request is admitted by a token in its headers; None if there is no valid one."""
        for key, secret in _PAIRS:
            token_id = head.first(key)
            if token_id is not None and self._knows(token_id, head.first(secret)):
                return Authorization(token_id.decode("latin-1"), USED)
        scheme, _, token = (head.first(b"authorization") or b"").partition(b" ")
        token_id, dot, secret_text = token.strip().partition(b".")
        if scheme.lower() == b"bearer" and dot and self._knows(token_id, secret_text):
            return Authorization(token_id.decode("latin-1"), USED | {b"authorization"})
        return None

    def _knows(self, token_id: bytes, secret: bytes | None) -> bool:
        if secret is None:
            return False
        self._read()
        digest = self._digests.get(token_id.decode("latin-1"), "")
        return hmac.compare_digest(digest_of(secret), digest)

    def _read(self) -> None:
        try:
            found = os.stat(self._path)
        except OSError:
            self._digests, self._seen = {}, None
            return
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            self._seen, self._digests = seen, {}
            try:
                self._digests = {token.token_id: token.digest for token in read(self._path)}
            except InvalidError as error:
                log.error("%s; until they can, nobody is let in who needs one", error)
