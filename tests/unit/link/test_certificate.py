"""The address of a server over TCP, and the certificate by which it is recognized."""

from __future__ import annotations

import contextlib
import ssl

import pytest

from swell.errors import InvalidError
from swell.link.certificate import TlsAddress, client_context, fingerprint_of, make_certificate, server_context

PRINT = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", 1), ("node-7.example", 65_535), ("[::1]", 8443), ("[fe80::1%eth0]", 1), ("[::ffff:10.0.0.1]", 1)],
)
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    text = f"tls://{host}:{port}#{PRINT}"
    address = TlsAddress.parse(text)
    assert (address.host, address.port, address.fingerprint) == (host.strip("[]"), port, PRINT)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"tcp://host:1#{PRINT}",
        f"tls://host#{PRINT}",
        f"tls://host:0#{PRINT}",
        f"tls://host:65536#{PRINT}",
        f"tls://host:\u0661#{PRINT}",
        f"tls://:1#{PRINT}",
        f"tls://a b:1#{PRINT}",
        f"tls://::1:1#{PRINT}",
        "tls://host:1",
        f"tls://host:1#{PRINT[1:]}",
        f"tls://host:1#{PRINT.upper()}",
        f"tls://host:1#{PRINT}\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="tls://HOST:PORT#FINGERPRINT"):
        TlsAddress.parse(text)


def test_a_handshake_shows_the_fingerprint_that_the_server_has_told() -> None:
    context, fingerprint = server_context(make_certificate())
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(theirs, ours, server_side=True)
    client = client_context().wrap_bio(ours, theirs, server_hostname="swell")
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() == "TLSv1.3"
    assert fingerprint_of(client.getpeercert(binary_form=True)) == fingerprint
    assert len(fingerprint) == 64


def test_every_certificate_has_a_fingerprint_of_its_own() -> None:
    assert server_context(make_certificate())[1] != server_context(make_certificate())[1]


def test_no_certificate_has_no_fingerprint() -> None:
    assert fingerprint_of(None) == fingerprint_of(b"") == ""
