"""Operations on the server as a whole. This module must not know apps."""

from __future__ import annotations

from functools import partial
from typing import Final

from swell.documents.server import (
    LoginToken,
    NodeDescription,
    NodeList,
    ServerStatus,
    node,
    node_description,
    node_row,
    server_status,
)
from swell.edge.admin.api.operation import ApiRequest, Nothing, Operation
from swell.edge.admin.sessions import LOGIN_S
from swell.errors import NotFoundError
from swell.wire.queries import ContainerList, GetStatus, ListContainers, Status
from swell.wire.stats import Observation, Observe

__all__ = ["OPERATIONS"]


async def get_status(request: ApiRequest[Nothing, None]) -> ServerStatus:
    """How the server is doing."""
    return server_status(await request.context.ask(Status, GetStatus))


async def list_nodes(request: ApiRequest[Nothing, None]) -> NodeList:
    """The machines on which containers run, and what containers have requested of them."""
    seen = await request.context.ask(Observation, Observe)
    return NodeList(nodes=[node(row) for row in seen.nodes])


async def describe_node(request: ApiRequest[Nothing, None]) -> NodeDescription:
    """One machine, and the containers on it."""
    name, context = request.path["node"], request.context
    seen = await context.ask(Observation, Observe)
    row = node_row(name, seen.nodes)
    found = await context.ask(ContainerList, partial(ListContainers, app="", gone=0))
    return node_description(row, found.containers)


async def create_login_token(request: ApiRequest[Nothing, None]) -> LoginToken:
    """Make a token that logs in one browser to the dashboard, once, within ten minutes: `swell dashboard` does so.

    The path in the answer leads to a page with a button, which sends POST to the same path. That spends the token.
    """
    token = request.context.mint_login()
    return LoginToken(token=token, path=f"/login?token={token}", expires_in_s=LOGIN_S)


OPERATIONS: Final = (
    Operation("GET", "/status", get_status, ServerStatus),
    Operation("GET", "/nodes", list_nodes, NodeList),
    Operation("GET", "/nodes/{node}", describe_node, NodeDescription, errors=(NotFoundError,)),
    Operation("POST", "/login-tokens", create_login_token, LoginToken, status=201),
)
