"""Who may use web functions that ask for a token: the tokens that `swell token create` has made.

Of each, its id and a digest of its secret are kept. This module must not know HTTP connections.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

import msgspec

from swell.edge.gateway.head import RequestHead

__all__ = ["USED", "ProxyTokens"]

_PAIRS: Final = ((b"swell-key", b"swell-secret"), (b"modal-key", b"modal-secret"))
#: Headers in which a token may stand, which is not the app's business then.
USED: Final = frozenset(name for pair in _PAIRS for name in pair)


class ProxyTokens:
    """Reads the tokens whenever their file has changed.

    Args:
        path: Of the file; there may be none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        self._seen: tuple[int, int] | None = None

    def used_by(self, head: RequestHead) -> frozenset[bytes] | None:
        """Return in which headers a request shows a token that is good; None if it shows none."""
        for key, secret in _PAIRS:
            if self._knows(head.first(key), head.first(secret)):
                return USED
        scheme, _, token = (head.first(b"authorization") or b"").partition(b" ")
        token_id, dot, secret_text = token.strip().partition(b".")
        if scheme.lower() == b"bearer" and dot and self._knows(token_id, secret_text):
            return USED | {b"authorization"}
        return None

    def _knows(self, token_id: bytes | None, secret: bytes | None) -> bool:
        if token_id is None or secret is None:
            return False
        self._read()
        digest = self._digests.get(token_id.decode("latin-1"), "")
        return hmac.compare_digest(hashlib.sha256(secret).hexdigest(), digest)

    def _read(self) -> None:
        try:
            found = os.stat(self._path)
        except OSError:
            self._digests, self._seen = {}, None
            return
        if self._seen != (found.st_mtime_ns, found.st_ino):
            self._seen = (found.st_mtime_ns, found.st_ino)
            with open(self._path, "rb") as file:
                self._digests = {one.token_id: one.digest for one in msgspec.json.decode(file.read(), type=list[Token])}


class Token(msgspec.Struct, frozen=True):
    """What is kept of a token."""

    token_id: str
    digest: str  #: of its secret, SHA-256 in hexadecimal
    created_at: float
    name: str = ""
