"""How a client that has waited long comes back for its response: by a parameter in the query that the app does not see.

Proxies and browsers do not wait for ever; a redirect (303) to the same URL lets them go on. This module must not know
requests or connections.
"""

from __future__ import annotations

import string
from typing import Final
from urllib.parse import quote, unquote

__all__ = ["escaped", "resume_url", "split_resume_key"]

_NAME: Final = b"__swell_call"
#: What may stand in a Location as it is (RFC 3986). All else is escaped: a browser reads "\\" as "/", skips
#: tabs, and keeps to itself what follows "#", the key among it: it would begin the same request again and again.
_SAFE: Final = (string.ascii_letters + string.digits + "-._~:/?[]@!$&'()*+,;=%").encode()


def resume_url(target: bytes, key: str) -> bytes:
    """Return where the redirect leads: to the same path of the same host, with the key of the response.

    The target was chosen by the client, or by a page that has sent a browser here. Two slashes at its front would name
    another host, so that path is written with a dot, which means the same: /.//there/path.
    """
    path, _ = split_resume_key(target)
    path = escaped(path)
    front = b"/." if path.startswith(b"//") else b""
    return front + path + (b"&" if b"?" in path else b"?") + _NAME + b"=" + quote(key).encode()


def escaped(target: bytes) -> bytes:
    """Return a target as it may stand in a Location."""
    return b"".join(bytes((each,)) if each in _SAFE else b"%%%02X" % each for each in target)


def split_resume_key(target: bytes) -> tuple[bytes, str]:
    """Return a target as the app is to see it, and the key of a response; "" if the client asks for the first time.

    Example: /label/path?a=1&__swell_call=abc is /label/path?a=1, and abc.
    """
    if _NAME not in target:
        return target, ""
    path, _, query = target.partition(b"?")
    key, rest = "", list[bytes]()
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == _NAME:
            key = unquote(value.decode("latin-1"))
        elif part:
            rest.append(part)
    return path + (b"?" + b"&".join(rest) if rest else b""), key
