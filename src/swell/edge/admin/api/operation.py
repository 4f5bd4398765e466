"""An operation of the API: one definition of its route, from which its handler, description and reference page follow.

This module must not know which operations there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from swell.config import Settings
from swell.edge.admin.failures import failed, refused
from swell.errors import Error, InvalidError
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link
from swell.wire.message import Message

__all__ = ["PREFIX", "ApiContext", "ApiRequest", "Body", "Nothing", "Operation", "Query", "route_of"]

PREFIX: Final = "/api/v1"

Q = TypeVar("Q")
B = TypeVar("B")
M = TypeVar("M", bound=Message)
T = TypeVar("T")


class Query(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the queries of URLs."""


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the bodies of requests, in JSON."""


class Nothing(Query, frozen=True):
    """No query, or no body."""


class ApiContext:
    """The context of all operations: the client of the server, and bounds.

    Args:
        client: Reaches the server.
        settings: Bounds.
        mint_login: Makes a token for a login.
    """

    def __init__(self, client: Client, settings: Settings, mint_login: Callable[[], str]) -> None:
        self.client = client
        self.settings = settings
        self.mint_login = mint_login

    async def ask(self, kind: type[M], make: Callable[[int], Message]) -> M:
        """Send the server the request that `make` returns for a number; return its answer, which has type `kind`.

        Raises:
            Error: The server answered with an error.
        """
        link = await self.link()
        number = link.next_request()
        answer, _ = await link.request(number, make(number))
        assert isinstance(answer, kind)
        return answer

    async def link(self) -> Link:
        """Return the connection to the server."""
        return await self.client.loop_link()


class ApiRequest(Generic[Q, B]):
    """One request for an operation.

    Attributes:
        path: The values of the parameters in the path.
        query: The query.
        body: The body.
    """

    def __init__(self, context: ApiContext, request: Request, query: Q, body: B) -> None:
        self.context = context
        self.path: dict[str, str] = request.path_params
        self.query = query
        self.body = body
        self._request = request

    async def while_here(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something until it is done or the client disconnects; then cancel it.

        Raises:
            ClientDisconnect: The client has left.
        """
        task = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._leaving())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ClientDisconnect
        finally:
            leaving.cancel()
            task.cancel()
            await asyncio.wait({task, leaving})

    async def _leaving(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


class Operation(Struct, frozen=True):
    """One operation."""

    method: Literal["GET", "POST", "PATCH"]
    path: str  #: below PREFIX
    handler: Callable[[ApiRequest[Any, Any]], Awaitable[Any]]  #: its docstring is the description
    answer: type  #: of the body of the answer or, if `streams`, of one of its lines
    query: type[Query] = Nothing
    body: type[Body] | None = None
    example: Mapping[str, Any] | None = None  #: of a body
    errors: tuple[type[Error], ...] = ()  #: beside those that every operation may raise
    status: int = 200
    streams: bool = False  #: the handler returns an iterator of lines

    @property
    def name(self) -> str:
        """Its name, unique among all."""
        return self.handler.__name__

    @property
    def text(self) -> str:
        """Its description."""
        return self.handler.__doc__ or ""


def route_of(operation: Operation, context: ApiContext) -> Route:
    """Return the route that serves an operation."""
    endpoint = _Endpoint(operation, context)
    return Route(PREFIX + operation.path, endpoint.serve, methods=[operation.method], name=operation.name)


class _Endpoint:
    """Serves one operation."""

    def __init__(self, operation: Operation, context: ApiContext) -> None:
        self._operation = operation
        self._context = context
        self._body = None if operation.body is None else msgspec.json.Decoder(operation.body)

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        operation = self._operation
        try:
            query = _query(request, operation.query)
            body = await self._read_body(request)
            answer = await operation.handler(ApiRequest(self._context, request, query, body))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except msgspec.ValidationError as error:
            return failed(InvalidError(f"the request does not fit {operation.method} {operation.path}: {error}"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return refused(400, "InvalidError", f"the body cannot be read as JSON: {error}")
        except Error as error:
            return failed(error)
        if isinstance(answer, Response):
            return answer
        if operation.streams:
            return StreamingResponse(_lines(answer), operation.status, _FRESH, "application/x-ndjson")
        return Response(msgspec.json.encode(answer), operation.status, _FRESH, "application/json")

    async def _read_body(self, request: Request) -> Any:
        data = await request.body()  # the connection has checked its size
        if self._body is None:
            if data:
                raise InvalidError(f"{self._operation.method} {self._operation.path} takes no body")
            return None
        if not data:
            return self._body.decode(b"{}")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise InvalidError(f"content-type = {kind!r:.100} must be application/json (curl has --json for it)")
        return self._body.decode(data)


_FRESH: Final = {"cache-control": "no-store"}


def _query(request: Request, kind: type[Query]) -> Query:
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise InvalidError(f"the query names {name!r:.100} twice")
        values[name] = value
    return msgspec.convert(values, kind, strict=False)


async def _lines(answers: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for answer in answers:
        yield msgspec.json.encode(answer) + b"\n"
