"""The table of what clients may send to the engine. The edge is a client, too.

Every message of a client that the server does not answer by itself (`swell.server.queries`) has one row here: its
handler, and the conditions under which that is called. This module must not know how a message is handled.
"""

from __future__ import annotations

from typing import Final

from swell.engine.events import ClientMessage
from swell.engine.routing import Route, handlers, plain, route, timed
from swell.engine.state.engine_state import EngineState
from swell.engine.wiring import Rules
from swell.errors import InvalidError, to_wire
from swell.wire import messages as m
from swell.wire.apps import DeployApp, FindApp, FindFunction, RedeployApp, StopApp, TagApp
from swell.wire.leases import Announce, DirectAnswered
from swell.wire.queries import AskStory, DrainNode, InspectCall, ResumeNode, StopContainer
from swell.wire.web import EdgeUp, GetWebUrl, Release, WatchRoutes

__all__ = ["ClientMessages", "client_routes"]

_LOST: Final = "what this request changes would be lost"
_LEAVES: Final = "its apps and functions stop with it"


class ClientMessages:
    """Hands each message of a client to its handler."""

    def __init__(self, state: EngineState, rules: Rules) -> None:
        self._state = state
        self._handlers = handlers(client_routes(rules), state, rules.variants)

    def handle(self, event: ClientMessage, now: float) -> None:
        """Handle a message; one that is not a client's to send is answered with an error."""
        message = event.message
        handle = self._handlers.get(type(message))
        if handle is not None:
            handle(event.client, message, event.payload, now)
            return
        error = InvalidError(f"a client must not send {type(message).__name__}")
        self._state.send_to_client(event.client, m.Failed(getattr(message, "request", 0), *to_wire(error)))

    def handle_later(self, client: int, message: m.Message, payload: bytes, now: float) -> None:
        """Handle a message that waited for the store."""
        self.handle(ClientMessage(client, message, payload), now)


def client_routes(rules: Rules) -> list[Route]:
    """Return the table: what handles each message, and under which conditions."""
    return [*_calls(rules), *_apps(rules), *_functions(rules), *_nodes(rules), *_containers_and_edges(rules)]


def _calls(rules: Rules) -> list[Route]:
    admission, questions = rules.admission, rules.questions
    return [
        route(m.OpenCall, rules.calls.open),
        route(m.PutInputs, admission.put),
        route(m.CancelCall, timed(rules.calls.cancel)),
        route(Announce, rules.direct_calls.announced_by_client),
        route(DirectAnswered, timed(rules.direct_calls.answered)),
        route(m.Watch, plain(admission.watch)),
        route(m.Unwatch, plain(admission.unwatch)),
        route(m.TakeItems, lambda _client, message, _payload, _now: rules.completion.items_taken(message)),
        route(m.DescribeCall, plain(admission.describe), reads_only=True),
        route(InspectCall, plain(questions.inspect_call), reads_only=True),
        route(AskStory, timed(questions.tell_story), reads_only=True),
    ]


def _apps(rules: Rules) -> list[Route]:
    apps, deployments = rules.apps, rules.deployments
    return [
        route(m.OpenApp, apps.open, refused_while_stopping=_LOST),
        route(m.CloseApp, timed(apps.close)),
        route(DeployApp, deployments.deploy, refused_while_stopping=_LOST),
        route(RedeployApp, timed(deployments.redeploy), refused_while_stopping=_LOST),
        route(StopApp, timed(deployments.stop), refused_while_stopping=_LEAVES),
        route(FindApp, timed(deployments.find_app), refused_while_stopping=_LEAVES),
        route(TagApp, plain(deployments.tag), refused_while_stopping=_LOST),
    ]


def _functions(rules: Rules) -> list[Route]:
    apps, web = rules.apps, rules.web
    return [
        route(FindFunction, plain(rules.deployments.find_function), refused_while_stopping=_LEAVES),
        route(m.BindFunction, timed(rules.variants.bind), refused_while_stopping=_LOST),
        route(m.UpdateAutoscaler, plain(apps.update_autoscaler), refused_while_stopping=_LOST, wakes_function=True),
        route(m.GetStats, plain(apps.stats), refused_while_stopping=_LEAVES, wakes_function=True, reads_only=True),
        route(GetWebUrl, plain(web.find_url), wakes_function=True, reads_only=True),
    ]


def _nodes(rules: Rules) -> list[Route]:
    draining = rules.draining
    return [
        route(DrainNode, timed(draining.drain), refused_while_stopping=_LOST),
        route(ResumeNode, plain(draining.resume), refused_while_stopping=_LOST),
    ]


def _containers_and_edges(rules: Rules) -> list[Route]:
    web = rules.web
    return [
        route(StopContainer, timed(rules.container_requests.stop_by_hand)),
        route(EdgeUp, plain(web.edge_up)),
        route(WatchRoutes, lambda client, _message, _payload, _now: web.watch(client)),
        route(Release, timed(rules.container_requests.release)),
    ]
