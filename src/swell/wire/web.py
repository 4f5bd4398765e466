"""Messages between edge and server: the routes to web functions, and the container that each request may go to.

A request is a call of kind WEB with one input that has no bytes: the edge opens it, and when it is its turn, the server
names a container; the bytes of the request go straight there. Tags from 160 on. This module must not know HTTP.
"""

from __future__ import annotations

from msgspec import Struct

from swell.bounds import Code, Id, Name, Number, RequestNumber, Seconds, Text
from swell.model import ParameterSpec, WebSpec
from swell.wire.message import Message

__all__ = ["EdgeUp", "GetWebUrl", "Leased", "Release", "Route", "Routes", "WatchRoutes", "WebUrl"]


# ---------------------------------------------------------------- edge -> server


class EdgeUp(Message, frozen=True, tag=160):
    """The edge listens, or cannot, and why. May be sent again, when that has changed."""

    url: Text = ""  #: URL of its root, without a slash at the end: http://127.0.0.1:8700
    admin_url: Text = ""
    trouble: Text = ""  #: why no requests can come, and what to do about it


class WatchRoutes(Message, frozen=True, tag=161):
    """Ask for the routes, now and whenever they change."""


class Release(Message, frozen=True, tag=162):
    """A request is over, and its slot is free: it was answered, cut off, or never sent. The lease ends."""

    call_id: Id
    status: Code  #: OutputStatus: SUCCESS, FAILURE (the app failed), TERMINATED (the caller left, or nothing was sent)
    busy_s: Seconds  #: how long the container had it


# ---------------------------------------------------------------- client -> server


class GetWebUrl(Message, frozen=True, tag=163):
    """Get the URL of a web function. Answered by WebUrl, once an edge listens, or Failed."""

    request: RequestNumber
    function_id: Id
    method: Name = ""


# ---------------------------------------------------------------- server -> edge


class Route(Struct, array_like=True, frozen=True, gc=False):
    """A web function and its address."""

    label: Name  #: the first part of its path, and of its host name
    function_id: Id
    method: Name  #: "" for a function
    web: WebSpec
    app_id: Id
    app_name: Name
    function_name: Name
    timeout_s: Number  #: of one request
    parameters: tuple[ParameterSpec, ...] = ()  #: of a class: taken from the query of the URL


class Routes(Message, frozen=True, tag=170):
    """All routes."""

    routes: list[Route]


class Leased(Message, frozen=True, tag=171):
    """A request may go to a container, at once. The edge sends Release when it has ended."""

    call_id: Id
    container_id: Id
    where: Text = ""  #: where its node is reached, as `swell.link.web.WebAddress` has it; "": it is on this machine


# ---------------------------------------------------------------- server -> client


class WebUrl(Message, frozen=True, tag=172):
    """The URL of a web function; "" if the function is not one."""

    request: RequestNumber
    url: Text
