"""The dashboard as files: one page, and the files that it names.

They are built from `dashboard/` into `assets/`. The page gets its data from `live`, `log_stream` and the JSON API; this
module must not know that data.
"""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

__all__ = ["routes"]

PAGE: Final = "index.html"

_KINDS: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}

#: The page loads nothing from other origins, and runs no script but its own files.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALWAYS_ASKED: Final = "no-cache"
_FOR_EVER: Final = "public, max-age=31536000, immutable"  # what changes gets another name


class _File(NamedTuple):
    kind: str
    plain: bytes
    packed: bytes


def routes() -> list[BaseRoute]:
    """Return the routes: the page at `/`, its files below `/assets/`."""
    found = _read()

    async def page(request: Request) -> Response:
        headers = {"content-security-policy": _POLICY, "cache-control": _ALWAYS_ASKED}
        return _answer(request, found[PAGE], headers)

    async def asset(request: Request) -> Response:
        file = found.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404, "no such file")
        return _answer(request, file, {"cache-control": _FOR_EVER})

    return [Route("/", page), Route("/assets/{name}", asset)]


def _read() -> dict[str, _File]:
    """Return the files by name. They are few and small, and are kept compressed, too."""
    found: dict[str, _File] = {}
    for file in files("swell.edge.admin").joinpath("assets").iterdir():
        data = file.read_bytes()
        kind = _KINDS[file.name.rpartition(".")[2]]
        found[file.name] = _File(kind, data, gzip.compress(data, mtime=0))
    return found


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.plain, headers={**headers, "vary": "accept-encoding"}, media_type=file.kind)
    packing = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(file.packed, headers={**headers, **packing}, media_type=file.kind)
