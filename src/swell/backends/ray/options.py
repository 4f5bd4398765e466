"""What a server is told of its Ray cluster. This module must not know how Ray is asked."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from swell.backends.ray.wanting import Bounds
from swell.errors import InvalidError
from swell.slices import Slice

__all__ = ["RayOptions", "check_runtime_env"]


class RayOptions(Struct, frozen=True, kw_only=True):
    """Which cluster, and how many agents of which slices."""

    address: str  #: HOST:PORT of the head, or auto
    namespace: str  #: of the server's actors
    slices: tuple[Slice, ...] = ()  #: that agents may have; none: each has all that is free on a machine
    bounds: Bounds = Bounds()  #: of how many agents there may be
    runtime_env: str = ""  #: a JSON object that Ray gets for the actors
    may_start: bool = False  #: a small Ray is started if the address is auto and none is there


def check_runtime_env(text: str) -> str:
    """Return a setting of a runtime environment if it can be one.

    Raises:
        InvalidError: it is no JSON object.
    """
    try:
        if text:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        like = '{"uv": ["swell"]}'
        raise InvalidError(f"ray_runtime_env is a JSON object, as {like}; got {text:.200}: {error}") from None
    return text
