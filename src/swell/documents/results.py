"""Results of calls as documents. This module must not know how they are read or waited for."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, UnsetType

from swell.documents.document import Document

__all__ = ["Ended", "Ending", "ExceptionText", "Result", "ResultPage", "StreamLine"]

Ended = Literal["success", "failure", "terminated", "timeout", "init_failure", "internal_failure", "out_of_memory"]


class ExceptionText(Document, frozen=True, kw_only=True):
    """The exception that a function raised, in words."""

    type: str  #: name of its class, with its module unless that is builtins; empty if only the text is known
    message: str
    traceback: str  #: empty if it was not the function that failed


class Result(Document, frozen=True, kw_only=True):
    """How one input ended: `success` has a value, everything else an exception."""

    call_id: str
    index: int
    status: Ended
    value: Raw | UnsetType = UNSET  #: what the function returned
    omitted: str | UnsetType = UNSET  #: why there is no value though it succeeded
    exception: ExceptionText | UnsetType = UNSET


class ResultPage(Document, frozen=True, kw_only=True):
    """The results of some inputs of a call that are there, by index."""

    call_id: str
    num_inputs: int | None  #: null while more may come
    results: list[Result]
    missing: int  #: inputs of the range that was asked for and have not ended


class Ending(Document, frozen=True, kw_only=True):
    """How a generator ended."""

    status: Ended
    items: int  #: that it has yielded
    exception: ExceptionText | UnsetType = UNSET


class StreamLine(Document, frozen=True, kw_only=True):
    """One line: an item that the generator yielded or, in the last line, how it ended."""

    item: Raw | UnsetType = UNSET
    end: Ending | UnsetType = UNSET
