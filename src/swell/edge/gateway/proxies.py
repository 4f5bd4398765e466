"""Whom a request is from, as apps are told: what a trusted proxy says of its client, and else who has connected.

Anybody can send these headers, so they are read only from addresses that a setting trusts. Each proxy of a chain adds
who has connected to it at the end of X-Forwarded-For; read from there, the first address that is not trusted is the
client, and what stands before it is that client's claim. `Forwarded` (RFC 7239) says the same in one header, and is
read where no X-Forwarded-* is there: a proxy that writes those passes on the other as its client sent it.

None of this decides where a request goes, or whether it is admitted. This module must not know connections.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from swell.config import networks
from swell.edge.gateway.head import Origin, RequestHead, is_host

__all__ = ["Proxies"]

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_SCHEMES: Final = {b"https": b"https", b"wss": b"https"}  #: all else is http
_UNKNOWN: Final = b"unknown"  #: as RFC 7239 calls a node that is not told
#: Addresses, the farthest first; and, by the client's place among them, protocol and host.
_Told = tuple[list[bytes], Callable[[int], tuple[bytes, bytes]]]
_KNOWN_MAX: Final = 4_096  #: addresses of which it is remembered whether they are trusted


class Proxies:
    """The addresses and networks that are trusted.

    Args:
        trusted: as the setting `web_trusted_proxies` names them, with commas between.

    Raises:
        ValueError: one is neither an address nor a network.
    """

    def __init__(self, trusted: str) -> None:
        self._networks = networks(trusted)
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
        addresses, told = _x_forwarded(head) or _forwarded(head)
        while len(addresses) > 1 and self._trusts(addresses[-1]):
            addresses.pop()
        proto, host = told(max(0, len(addresses) - 1))
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


def _x_forwarded(head: RequestHead) -> _Told | None:
    """Return what X-Forwarded-* tell, protocol and host as the nearest proxy has them; None if there are none."""
    lists: dict[bytes, list[bytes]] = {_FOR: [], _PROTO: [], _HOST: []}
    for name, value in head.headers:
        if name in lists:
            lists[name] += (part.strip() for part in value.split(b","))
    if not any(lists.values()):
        return None
    hops, protos, hosts = lists.values()
    nearest = (protos[-1] if protos else b"", hosts[-1] if hosts else b"")
    return [_address(hop) for hop in hops if hop], lambda _: nearest


def _forwarded(head: RequestHead) -> _Told:
    """Return what `Forwarded` tells; protocol and host are those that the first proxy behind the client has noted.

    Quotes do not bind: one that a client leaves open would make what a proxy adds a part of the client's own words. No
    address, protocol or host has a comma or a semicolon in it.
    """
    elements: list[dict[bytes, bytes]] = []
    for name, value in head.headers:
        for element in value.split(b",") if name == b"forwarded" else ():
            pairs = (pair.partition(b"=") for pair in element.split(b";"))
            elements.append({key.strip().lower(): told.strip().strip(b'"') for key, _, told in pairs})

    def noted(client: int) -> tuple[bytes, bytes]:
        behind = elements[client:]  # these were written by proxies that are trusted, and those before by anybody
        proto, host = (next((each[key] for each in behind if each.get(key)), b"") for key in (b"proto", b"host"))
        return proto, host

    return [_address(each.get(b"for", b"")) for each in elements], noted


def _address(hop: bytes) -> bytes:
    """Return the address in an entry, which may have a port behind it; what is none is unknown."""
    text = hop.decode("latin-1").strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _UNKNOWN if "%" in text else str(ipaddress.ip_address(text)).encode()  # a zone may be any text
    except ValueError:
        return _UNKNOWN
