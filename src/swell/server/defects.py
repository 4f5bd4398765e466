"""Defects that concern one request: it is answered with an error, and the log says where the defect is.

Code that answers a request may be wrong, and all other requests must go on. Clients may repeat such a request as often
as they like: the log has each traceback once in a while, with a count. This module must not know what is requested.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import ParamSpec

from swell.errors import Error, InternalError, to_wire
from swell.logs import PeerLog
from swell.server.connection import Connection
from swell.wire.messages import Failed

__all__ = ["Defects"]

P = ParamSpec("P")


class Defects:
    """Logs defects, and answers the requests that met one."""

    def __init__(self) -> None:
        self._log = PeerLog(logging.getLogger("swell.server"))

    def note(self, error: BaseException, where: str) -> None:
        """Log a defect; `where` names the action, as in "answering a question"."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        kind = f"{type(error).__name__} at {place}"
        told = (where, error, place)
        self._log.log(logging.ERROR, kind, "a defect while %s: %r at %s", *told, defect=error)

    def answering(self, to: Connection, request: int, answer: Callable[P, None]) -> Callable[P, None]:
        """Return a function that answers a request, with the error if it raises one."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                answer(*args, **kwargs)
            except Error as error:
                to.send(Failed(request, *to_wire(error)))
            except Exception as error:
                self.note(error, "answering a question")
                text = f"a defect in the server ({type(error).__name__}); its log has the details"
                to.send(Failed(request, *to_wire(InternalError(text))))

        return guarded
