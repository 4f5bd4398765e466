"""Operations about the server as a whole. This module must not know apps."""

from __future__ import annotations

from typing import Final

from swell.edge.admin.api.operation import ApiRequest, Nothing, Operation
from swell.edge.admin.api.schemas import LoginToken, Node, NodeList, ServerStatus, moment
from swell.edge.admin.sessions import LOGIN_S
from swell.wire.queries import GetStatus, Status
from swell.wire.stats import Observation, Observe

__all__ = ["OPERATIONS"]


async def get_status(request: ApiRequest[Nothing, None]) -> ServerStatus:
    """How the server is doing."""
    status = await request.context.ask(Status, GetStatus)
    return ServerStatus(
        version=status.version,
        started_at=moment(status.started_at),
        data_dir=status.data_dir,
        web_url=status.web_url,
        web_trouble=status.web_trouble,
        apps=status.apps,
        containers=status.containers,
        pending=status.pending,
        running=status.running,
        done=status.done,
    )


async def list_nodes(request: ApiRequest[Nothing, None]) -> NodeList:
    """The machines on which containers run, and what of them is spoken for."""
    seen = await request.context.ask(Observation, Observe)
    return NodeList(
        [
            Node(
                name=row.name,
                cores=row.cores,
                busy_cores=row.busy_cores,
                cpu_used=row.cpu_used,
                memory_bytes=row.memory_bytes,
                memory_used_bytes=row.memory_used_bytes,
                gpus=row.gpus,
                gpus_used=row.gpus_used,
            )
            for row in seen.nodes
        ]
    )


async def create_login_token(request: ApiRequest[Nothing, None]) -> LoginToken:
    """Make a token that logs in one browser to the dashboard, once, within ten minutes: `swell dashboard` does it.

    The path in the answer leads to a page with a button, which sends POST to the same path. That spends the token.
    """
    token = request.context.mint_login()
    return LoginToken(token, f"/login?token={token}", LOGIN_S)


OPERATIONS: Final = (
    Operation("GET", "/status", get_status, ServerStatus),
    Operation("GET", "/nodes", list_nodes, NodeList),
    Operation("POST", "/login-tokens", create_login_token, LoginToken, status=201),
)
