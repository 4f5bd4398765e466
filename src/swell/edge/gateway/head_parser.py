"""From the bytes of a head to its fields.

httptools parses fields; it is given exactly one head, and what it makes of a body or of another protocol behind it
does not count. Where it is lenient, the head is refused: it must end where its bytes end, and no line sooner, and its
first line must have the form that RFC 9112 gives it, to the letter. This module must not know connections.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from swell.edge.gateway.head import Header, RequestHead, ResponseHead
from swell.edge.gateway.http_error import BadMessage

__all__ = ["parse_request_head", "parse_response_head"]

_REQUEST_LINE: Final = re.compile(rb"([A-Z\-]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")


class _Fields:
    """What the parser reports of one head."""

    __slots__ = ("headers", "is_complete")

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def parse_request_head(data: bytes) -> RequestHead:
    """Return the head of a request.

    Args:
        data: All of it, up to the empty line, included.

    Raises:
        BadMessage: it is not one.
        HTTPError: a request like this is not served.
    """
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise BadMessage("the first line must be a method, a target and a version, with one space between them")
    fields = _Fields()
    _feed(httptools.HttpRequestParser(fields), fields, data)
    return RequestHead(line[1], line[2], line[3].decode(), fields.headers)


def parse_response_head(data: bytes) -> ResponseHead:
    """Return the head of a response.

    Args:
        data: All of it, up to the empty line, included.

    Raises:
        BadMessage: it is not one, or where the response ends cannot be known from it.
    """
    line = _STATUS_LINE.match(data)
    if line is None:
        raise BadMessage("the first line must be HTTP/1.0 or 1.1, a status of three digits and printable text")
    fields = _Fields()
    _feed(httptools.HttpResponseParser(fields), fields, data)
    return ResponseHead(int(line[2]), line[3] or b"", fields.headers, line[1].decode())


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, fields: _Fields, data: bytes) -> None:
    _feed_part(parser, data[:-1])
    if not fields.is_complete:
        _feed_part(parser, data[-1:])
        if fields.is_complete:
            return
    raise BadMessage("a line of the head does not end with CR LF")


def _feed_part(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an offer, which is for the head to judge
    except httptools.HttpParserError as error:
        raise BadMessage(str(error)) from None
