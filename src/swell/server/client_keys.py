"""The certificate and the token of the port for clients on other machines.

Both stay from start to start, in files of the data directory that only its user can read: clients were given the
fingerprint of the one and the other. Who deletes a file has a new one made at the next start; clients that have the
former are refused then. This module must not know sockets.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from swell.config import Settings
from swell.errors import InvalidError
from swell.link.certificate import make_certificate
from swell.private_files import read_file, replace_file
from swell.server.paths import ServerPaths

__all__ = ["ClientKeys"]

TOKEN_MIN: Final = 32  #: characters, of a token that anybody who reaches the port may guess at


class ClientKeys(Struct, frozen=True):
    """What clients recognize the server by, and what lets them in."""

    certificate: bytes  #: with its private key, in PEM
    token: str

    @classmethod
    def load(cls, paths: ServerPaths, settings: Settings) -> ClientKeys:
        """Return what a former start has made, or make it.

        Raises:
            InvalidError: a file cannot be read or written, or others could read it; or the token is a short one.
        """
        certificate = _kept(paths.client_certificate_path, make_certificate)
        token = settings.token or _kept(paths.client_token_path, _new_token).decode().strip()
        if len(token) < TOKEN_MIN:
            where = "the setting token (SWELL_TOKEN)" if settings.token else str(paths.client_token_path)
            raise InvalidError(
                f"{where} has {len(token)} characters, too few to listen for clients on other machines: give it "
                f"{TOKEN_MIN} random ones or more, or leave it out and have one made"
            )
        return cls(certificate, token)


def _new_token() -> bytes:
    return secrets.token_urlsafe(TOKEN_MIN).encode()


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what a file has; make it if there is none."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if content := read_file(path, is_secret=True):
                return content
        content = make()
        replace_file(path, content)
    except OSError as error:
        raise InvalidError(f"cannot keep {path}: {error.strerror}") from None
    return content
