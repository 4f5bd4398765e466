"""Who is at the other end of a TCP connection: the certificate of a server, and its fingerprint.

There are no host names and no authorities: whoever is to connect was given the fingerprint together with a token, over
a way that is trusted already, and compares it before it sends anything. This module must not know what is said after.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from swell.errors import InvalidError

__all__ = [
    "FILES",
    "MESSAGES",
    "TlsAddress",
    "client_context",
    "fingerprint_in",
    "fingerprint_of",
    "make_certificate",
    "server_context",
]

#: What a client may want at a port that serves both, as it names them in the handshake.
MESSAGES: Final = "swell-messages"
FILES: Final = "swell-files"

VALID_FOR: Final = timedelta(days=3650)  #: nothing checks it but by its fingerprint
_ADDRESS: Final = re.compile(
    r"tls://(?P<host>\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[^\s:/#\[\]]+):(?P<port>[0-9]{1,5})#(?P<print>[0-9a-f]{64})"
)


class TlsAddress(Struct, frozen=True):
    """Where a server listens over TCP, and by what it is recognized: tls://HOST:PORT#FINGERPRINT."""

    host: str
    port: int
    fingerprint: str  #: of its certificate, SHA-256 in hexadecimal digits

    @classmethod
    def parse(cls, text: str) -> TlsAddress:
        """Return the address in a text.

        Raises:
            InvalidError: it is none.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match["port"]) < 65_536:
            raise InvalidError(
                f"{text!r:.200} is no address over TCP; expected tls://HOST:PORT#FINGERPRINT (64 digits)"
            )
        return cls(match["host"].strip("[]"), int(match["port"]), match["print"])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tls://{host}:{self.port}#{self.fingerprint}"


def make_certificate() -> bytes:
    """Return a new private key and a certificate that it has signed for itself, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swell")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + VALID_FOR)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def server_context(pem: bytes, services: Sequence[str] = ()) -> tuple[ssl.SSLContext, str]:
    """Return what a server shows to those who connect, and its fingerprint.

    Args:
        pem: its certificate and private key.
        services: what clients may name in the first message of the handshake (ALPN).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes a session
    if services:
        context.set_alpn_protocols(list(services))
    # The standard library takes keys from files alone; this one is readable by nobody else, and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context, fingerprint_in(pem)


def client_context(service: str = "") -> ssl.SSLContext:
    """Return what checks nothing: the caller compares the fingerprint before it sends anything.

    Args:
        service: is named in the first message of the handshake (ALPN), for servers with several at one port.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if service:
        context.set_alpn_protocols([service])
    return context


def fingerprint_in(pem: bytes) -> str:
    """Return the fingerprint of the certificate that `make_certificate` has returned."""
    return fingerprint_of(ssl.PEM_cert_to_DER_cert(pem[pem.index(b"-----BEGIN CERTIFICATE") :].decode()))


def fingerprint_of(der: bytes | None) -> str:
    """Return the fingerprint of a certificate; "" if there is none."""
    return hashlib.sha256(der).hexdigest() if der else ""
