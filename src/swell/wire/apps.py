"""Messages about apps that outlive their clients: deploying, finding, tagging and stopping them.

Tags from 100 on. This module must not know sockets, files, or the code that handles a message.
"""

from __future__ import annotations

from typing import Annotated

from swell.bounds import Functions, Id, Moment, Name, RequestNumber, Tags, Text, Version
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

    request: RequestNumber
    app_id: Id  #: minted by the client; used if no app of that name is deployed
    name: Name
    environment: Environment
    functions: Annotated[list[FunctionSpec], Functions]
    strategy: Strategy = Strategy.ROLLING
    tag: Name = ""
    provenance: Provenance = Provenance()
    tags: Tags = {}


class RedeployApp(Message, frozen=True, tag=101):
    """Make a former version live again, as a new version; answered by Deployed or Failed."""

    request: RequestNumber
    app: Name  #: its name or id
    version: Version = 0  #: 0: the one before the live one
    is_rollover: bool = False  #: the live version again, with fresh containers
    strategy: Strategy = Strategy.ROLLING
    provenance: Provenance = Provenance()


class StopApp(Message, frozen=True, tag=102):
    """Stop an app for good; answered by Done when nothing of it is left."""

    request: RequestNumber
    app: Name  #: its name or id


class FindApp(Message, frozen=True, tag=103):
    """Find an app that outlives its clients; answered by AppFound or Failed."""

    request: RequestNumber
    app: Name  #: its name or id
    create_as: Id = ""  #: id of a new app without functions, if none has that name; "": create none


class FindFunction(Message, frozen=True, tag=104):
    """Find a function, or the service of a class ("Model.*"), of a deployed app; answered by FunctionFound, Failed."""

    request: RequestNumber
    app: Name
    name: Name
    version: Version = 0  #: a version to pin it to; 0: whichever is live


class TagApp(Message, frozen=True, tag=105):
    """Replace the tags of an app; answered by Done or Failed."""

    request: RequestNumber
    app: Name
    tags: Tags


# ---------------------------------------------------------------- server -> client


class Deployed(Message, frozen=True, tag=120):
    """A version is live. `deployed_at` is 0 if it was live before, because nothing has changed."""

    request: RequestNumber
    app_id: Id
    version: Version
    function_ids: dict[Name, Id]
    deployed_at: Moment  #: seconds since the epoch
    warnings: list[Text] = []


class AppFound(Message, frozen=True, tag=121):
    """An app that outlives its clients."""

    request: RequestNumber
    app_id: Id
    name: Name
    version: Version
    tags: Tags = {}


class FunctionFound(Message, frozen=True, tag=122):
    """A function of a deployed app. Pickled code is left out of the spec."""

    request: RequestNumber
    app_id: Id
    function_id: Id
    version: Version
    spec: FunctionSpec
