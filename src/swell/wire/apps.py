"""What is said about apps that outlive their clients: deploying, finding and stopping them.

Tags from 100 on. This module must not know sockets, files, or who handles a message.
"""

from __future__ import annotations

from swell.model import Environment, FunctionSpec, Provenance, Strategy
from swell.wire.message import Message

__all__ = [
    "AppFound",
    "DeployApp",
    "Deployed",
    "FindApp",
    "FindFunction",
    "FunctionFound",
    "RedeployApp",
    "StopApp",
    "TagApp",
]


# ---------------------------------------------------------------- client -> server


class DeployApp(Message, frozen=True, tag=100):
    """Make a version of an app live; answered by Deployed or Failed. The payload is the bundle of its source files."""

    request: int
    app_id: str  #: minted by the client; used if no app of that name is deployed
    name: str
    environment: Environment
    functions: list[FunctionSpec]
    strategy: Strategy = Strategy.ROLLING
    tag: str = ""
    provenance: Provenance = Provenance()
    tags: dict[str, str] = {}


class RedeployApp(Message, frozen=True, tag=101):
    """Make a former version live again, as a new version; answered by Deployed or Failed."""

    request: int
    app: str  #: its name or id
    version: int = 0  #: 0: the one before the live one
    is_rollover: bool = False  #: the live version again, with fresh containers
    strategy: Strategy = Strategy.ROLLING
    provenance: Provenance = Provenance()


class StopApp(Message, frozen=True, tag=102):
    """Stop an app for good; answered by Done when nothing of it is left."""

    request: int
    app: str  #: its name or id


class FindApp(Message, frozen=True, tag=103):
    """Answered by AppFound or Failed."""

    request: int
    app: str  #: its name or id
    create_as: str = ""  #: id to create it with, without functions, if there is none of that name; "": do not


class FindFunction(Message, frozen=True, tag=104):
    """Find a function, or the service of a class ("Model.*"), of a deployed app; answered by FunctionFound, Failed."""

    request: int
    app: str
    name: str
    version: int = 0  #: a version to pin it to; 0: whichever is live


class TagApp(Message, frozen=True, tag=105):
    """Replace the tags of an app; answered by Done or Failed."""

    request: int
    app: str
    tags: dict[str, str]


# ---------------------------------------------------------------- server -> client


class Deployed(Message, frozen=True, tag=120):
    """A version is live. `deployed_at` is 0 if it was so before, because nothing has changed."""

    request: int
    app_id: str
    version: int
    function_ids: dict[str, str]
    deployed_at: float  #: seconds since the epoch
    warnings: list[str] = []


class AppFound(Message, frozen=True, tag=121):
    """An app that outlives its clients."""

    request: int
    app_id: str
    name: str
    version: int
    tags: dict[str, str] = {}


class FunctionFound(Message, frozen=True, tag=122):
    """A function of a deployed app. Pickled code is left out of the spec."""

    request: int
    app_id: str
    function_id: str
    version: int
    spec: FunctionSpec
