"""The file of the tokens that `swell token create` has made: of each its id, and a digest of its secret.

Secrets are random, so that a plain digest is enough: there is nothing to guess. This module must not know
requests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Generator
from typing import Final

import msgspec

from swell.errors import InvalidError, NotFoundError
from swell.names import check_text
from swell.private_files import make_directory, open_file, read_file, replace_file

__all__ = ["Token", "create", "digest_of", "read", "revoke"]

_ID_BYTES: Final = 11
_SECRET_BYTES: Final = 24


class Token(msgspec.Struct, frozen=True):
    """A token as it is kept."""

    token_id: str
    digest: str  #: of its secret, SHA-256 in hexadecimal
    created_at: float  #: seconds since the epoch
    name: str = ""


def digest_of(secret: bytes) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret).hexdigest()


def read(path: str) -> list[Token]:
    """Return all tokens, in the order in which they were made. There may be no file yet.

    Raises:
        InvalidError: the file is not what was written there, or others may write to it.
    """
    try:
        return msgspec.json.decode(read_file(path), type=list[Token])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidError(f"the tokens in {path} cannot be read: {error}") from None


def create(path: str, name: str = "") -> tuple[Token, str]:
    """Make a token; return it, and its secret, which is not kept.

    Raises:
        InvalidError: the name is too long, or has a control character.
    """
    check_text(name, "name of a token")
    secret = f"ws-{secrets.token_urlsafe(_SECRET_BYTES)}"
    token = Token(f"wk-{secrets.token_hex(_ID_BYTES)}", digest_of(secret.encode()), time.time(), name)
    with _alone(path):
        _write(path, [*read(path), token])
    return token, secret


def revoke(path: str, token_id: str) -> None:
    """Remove a token: requests that show it are refused from now on.

    Raises:
        NotFoundError: there is no such token.
    """
    with _alone(path):
        tokens = read(path)
        left = [token for token in tokens if token.token_id != token_id]
        if len(left) == len(tokens):
            raise NotFoundError(f"there is no token {token_id}; `swell token list` shows those that there are")
        _write(path, left)


@contextlib.contextmanager
def _alone(path: str) -> Generator[None]:
    """Lock the file against other commands."""
    make_directory(os.path.dirname(path))
    lock = open_file(f"{path}.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: str, tokens: list[Token]) -> None:
    replace_file(path, msgspec.json.format(msgspec.json.encode(tokens)))
