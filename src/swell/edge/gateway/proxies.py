"""Whom a request is from, as apps are told: what a trusted proxy says of its client, and else who has connected.

Anybody can send these headers, so they are read only from addresses that a setting trusts. Each proxy of a chain adds
who has connected to it at the end of X-Forwarded-For; read from there, the first address that is not trusted is the
client, and what stands before it is that client's claim. `Forwarded` (RFC 7239) says the same in one header, and is
read where no X-Forwarded-* is there: a proxy that writes those passes on the other as its client sent it.

None of this decides where a request goes, or whether it is admitted. This module must not know connections.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from swell.edge.gateway.head import Origin, RequestHead, is_host

__all__ = ["Proxies"]

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_SCHEMES: Final = {b"https": b"https", b"wss": b"https"}  #: all else is http
_UNKNOWN: Final = b"unknown"  #: as RFC 7239 calls a node that is not told
_KNOWN_MAX: Final = 4_096  #: addresses of which it is remembered whether they are trusted


class Proxies:
    """The addresses and networks that are trusted.

    Args:
        trusted: as the setting `web_trusted_proxies` names them, with commas between.

    Raises:
        ValueError: one is neither an address nor a network.
    """

    def __init__(self, trusted: str) -> None:
        self._networks = [ipaddress.ip_network(each.strip()) for each in trusted.split(",") if each.strip()]
        self._trusts = lru_cache(_KNOWN_MAX)(self._is_trusted)

    def origin(self, head: RequestHead, peer: str) -> Origin:
        """Return whom a request is from.

        Args:
            head: of the request.
            peer: the address that has connected.
        """
        here = Origin(peer.encode(), b"http", head.host)
        if not any(name.startswith((b"x-forwarded-", b"forwarded")) for name, _ in head.headers):
            return here
        if not self._trusts(here.chain):
            return here
        hops, proto, host = _x_forwarded(head) or _forwarded(head)
        addresses = [_address(hop) for hop in hops]
        while len(addresses) > 1 and self._trusts(addresses[-1]):
            addresses.pop()
        return Origin(
            b", ".join(addresses) or here.chain,
            _SCHEMES.get(proto.lower(), b"http"),
            host if host and is_host(host) else head.host,
        )

    def _is_trusted(self, address: bytes) -> bool:
        try:
            found = ipaddress.ip_address(address.decode("latin-1"))
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found  # as a socket for both versions shows it
        return any(found in network for network in self._networks)


def _x_forwarded(head: RequestHead) -> tuple[list[bytes], bytes, bytes] | None:
    """Return the hops, and protocol and host as the nearest proxy tells them; None if there is no such header."""
    lists: dict[bytes, list[bytes]] = {_FOR: [], _PROTO: [], _HOST: []}
    for name, value in head.headers:
        if name in lists:
            lists[name] += (part.strip() for part in value.split(b","))
    if not any(lists.values()):
        return None
    hops, protos, hosts = lists.values()
    return [hop for hop in hops if hop], protos[-1] if protos else b"", hosts[-1] if hosts else b""


def _forwarded(head: RequestHead) -> tuple[list[bytes], bytes, bytes]:
    """Return the same from `Forwarded`; of protocol and host, what the last proxy says that says any."""
    hops, proto, host = list[bytes](), b"", b""
    for name, value in head.headers:
        for element in _split(value, b",") if name == b"forwarded" else ():
            for pair in _split(element, b";"):
                key, _, told = pair.partition(b"=")
                key, told = key.strip().lower(), told.strip().strip(b'"')
                if key == b"for":
                    hops.append(told)
                elif key == b"proto":
                    proto = told
                elif key == b"host":
                    host = told
    return hops, proto, host


def _split(value: bytes, mark: bytes) -> Iterator[bytes]:
    """Split at marks that are not within quotes."""
    part, is_quoted = bytearray(), False
    for each in value:
        if each == ord('"'):
            is_quoted = not is_quoted
        if each == mark[0] and not is_quoted:
            yield bytes(part)
            part.clear()
        else:
            part.append(each)
    yield bytes(part)


def _address(hop: bytes) -> bytes:
    """Return the address in an entry, which may have a port behind it; what is none is unknown."""
    text = hop.decode("latin-1").strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text)).encode()
    except ValueError:
        return _UNKNOWN
