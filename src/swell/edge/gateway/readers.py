"""From the bytes of a connection to the messages on it: requests of a client, responses of a container.

Both readers are pulled: bytes are fed as they come, and `next_event` returns what they make, one event at a time. What
is not asked for stays unread: a connection that cannot use the next request yet does not ask, and reads no more from
the network while something is left. That is the only queue there is, and the reason why requests that a client sends
ahead cost no memory but their bytes.

    None          more bytes are needed
    a head        a message begins; if it has no body, that is all of it
    bytes         a chunk of its body
    END           its body is complete

A reader that has raised is of no further use: where the next message begins cannot be known. This module must not know
event loops, transports or logs.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from swell.edge.gateway.framing import BodyReader, ChunkedBody, ClosedBody, LengthBody
from swell.edge.gateway.head import RequestHead, ResponseHead
from swell.edge.gateway.head_parser import parse_request_head, parse_response_head
from swell.edge.gateway.http_error import BadMessage, HTTPError, TooLong
from swell.edge.gateway.receive_buffer import ReceiveBuffer

__all__ = ["END", "EndOfMessage", "RequestReader", "ResponseReader"]

_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_BLANK_LINES_MAX: Final = 4  #: before a request; clients of old send one too many after a body
_RESPONSE_HEAD_MAX: Final = 256 << 10  #: bytes of the head of a response
_INTERIMS_MAX: Final = 64  #: heads before a response proper


class EndOfMessage(Enum):
    """The type of END."""

    END = "END"


END: Final = EndOfMessage.END


class RequestReader:
    """Reads the requests of one connection.

    Args:
        head_max: Bytes that a head may have.
        body_max: Bytes that a body may have.
    """

    def __init__(self, head_max: int, body_max: int) -> None:
        self._head_max = head_max
        self._body_max = body_max
        self._buffer = ReceiveBuffer()
        self._body: BodyReader | None = None
        self._size = 0
        self._blank_lines = 0

    def __len__(self) -> int:
        """Bytes that were fed and are not in any event yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes of the network."""
        self._buffer.feed(data)

    def rest(self) -> bytes:
        """Take all bytes that are left, as they are: they belong to another protocol."""
        return self._buffer.take(len(self._buffer))

    def next_event(self) -> RequestHead | bytes | EndOfMessage | None:
        """Return the next event.

        Raises:
            HTTPError: the bytes are not a request, or the request is not served.
        """
        try:
            return self._next_head() if self._body is None else self._next_part(self._body)
        except BadMessage as error:
            raise HTTPError(400, f"this is not HTTP as it should be: {error}") from None

    def _next_head(self) -> RequestHead | None:
        buffer = self._buffer
        while buffer.startswith(_LINE_END):
            buffer.take(len(_LINE_END))
            self._blank_lines += 1
            if self._blank_lines > _BLANK_LINES_MAX:
                raise BadMessage(f"more than {_BLANK_LINES_MAX} blank lines before a request")
        try:
            data = buffer.through(_HEAD_END, self._head_max)
        except TooLong:
            text = f"the head of a request may have {self._head_max:,} bytes (web_head_max)"
            raise HTTPError(431, text) from None
        if data is None:
            return None
        head = parse_request_head(data)
        if head.length is not None and head.length > self._body_max:
            raise self._too_long()
        self._blank_lines = 0
        self._size = 0
        if head.has_body:
            self._body = ChunkedBody() if head.is_chunked else LengthBody(head.length or 0)
        return head

    def _next_part(self, body: BodyReader) -> bytes | EndOfMessage | None:
        data = body.read(self._buffer)
        if data:
            self._size += len(data)
            if self._size > self._body_max:
                raise self._too_long()
            return data
        if not body.is_complete:
            return None
        self._body = None
        return END

    def _too_long(self) -> HTTPError:
        return HTTPError(413, f"the body of a request may have {self._body_max:,} bytes (web_body_max)")


class ResponseReader:
    """Reads the responses on one connection to a container, each to one request that was sent before."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer()
        self._request: RequestHead | None = None
        self._body: BodyReader | None = None
        self._interims = 0

    @property
    def is_clean(self) -> bool:
        """True between two responses, if nothing has arrived that belongs to neither."""
        return self._request is None and not len(self._buffer)

    def expect(self, request: RequestHead) -> None:
        """Take the next response for one to this request."""
        self._request = request
        self._body = None
        self._interims = 0

    def feed(self, data: bytes) -> None:
        """Add bytes of the container."""
        self._buffer.feed(data)

    def rest(self) -> bytes:
        """Take all bytes that are left, as they are: they belong to another protocol."""
        return self._buffer.take(len(self._buffer))

    def next_event(self) -> ResponseHead | bytes | EndOfMessage | None:
        """Return the next event; None also after the last one of a response.

        Raises:
            BadMessage: the bytes are not a response to the request.
        """
        if self._request is None:
            return None
        if self._body is None:
            return self._next_head(self._request)
        data = self._body.read(self._buffer)
        if data:
            return data
        if not self._body.is_complete:
            return None
        self._request = None
        return END

    def _next_head(self, request: RequestHead) -> ResponseHead | None:
        try:
            data = self._buffer.through(_HEAD_END, _RESPONSE_HEAD_MAX)
        except TooLong:
            raise TooLong(f"the head of an answer may have {_RESPONSE_HEAD_MAX:,} bytes") from None
        if data is None:
            return None
        head = parse_response_head(data)
        if head.status == 101:
            if not request.wants_websocket:
                raise BadMessage("the app switched to another protocol, but the client had not asked for one")
            self._request = None  # what follows is not of HTTP
        elif head.is_interim:
            self._interims += 1
            if self._interims > _INTERIMS_MAX:
                raise TooLong(f"more than {_INTERIMS_MAX} interim answers")
        elif not head.has_body(request.method):
            self._body = LengthBody(0)
        elif head.is_chunked:
            self._body = ChunkedBody()
        else:
            self._body = ClosedBody() if head.length is None else LengthBody(head.length)
        return head

    def close(self) -> bool:
        """The connection has ended; return True if that is the end of a response."""
        return isinstance(self._body, ClosedBody) and self._request is not None
