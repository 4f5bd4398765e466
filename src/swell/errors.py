"""All errors in one tree: those that swell raises, warns with and sends over the wire.

Each class names the side at fault; `code` is its name on the wire, and `fields` hold values that a program may act on.
This module must not know the code that raises an error, or how it travels.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

__all__ = [
    "AlreadyExistsError",
    "AsyncUsageWarning",
    "AuthError",
    "ClientClosed",
    "ConflictError",
    "ConnectionError",
    "DataLossError",
    "DeprecationError",
    "DeserializationError",
    "Error",
    "ExecTimeoutError",
    "ExecutionError",
    "FunctionTimeoutError",
    "ImageBuildError",
    "InputCancellation",
    "InteractiveTimeoutError",
    "InternalError",
    "InternalFailure",
    "InvalidError",
    "InvalidTypeError",
    "InvalidValueError",
    "LogsFetchError",
    "MountUploadTimeoutError",
    "NotFoundError",
    "OutOfMemoryError",
    "OutputExpiredError",
    "PermissionDeniedError",
    "RemoteError",
    "RequestSizeError",
    "ResourceExhausted",
    "ResourceExhaustedError",
    "SandboxTimeoutError",
    "SerializationError",
    "ServerWarning",
    "ServiceError",
    "TimeoutError",
    "UnimplementedError",
    "VersionError",
    "VolumeUploadTimeoutError",
    "WorkspaceManagementError",
    "from_wire",
    "to_wire",
]


class Error(Exception):
    """Base of every error that swell raises.

    A subclass keeps `args == (message,)`, so that `repr` reads `Type('message')`, and lists in `wire_fields` the
    attributes that travel beside the message; its constructor takes them as keywords.
    """

    code: ClassVar[str] = "error"  #: name of the class on the wire
    wire_fields: ClassVar[tuple[str, ...]] = ()


# ---------------------------------------------------------------- the request was wrong, or was refused


class InvalidError(Error):
    """The request or the declaration is wrong; the message says what to change."""

    code = "invalid"


class InvalidValueError(InvalidError, ValueError):
    """A number is out of range; also a builtin ValueError, so that `except ValueError` catches it."""


class InvalidTypeError(InvalidError, TypeError):
    """A value has the wrong type; also a builtin TypeError, so that `except TypeError` catches it."""


class ConflictError(InvalidError):
    """The request does not fit the present state of the object."""

    code = "conflict"


class AlreadyExistsError(Error):
    """The object to be created already exists."""

    code = "already_exists"


class NotFoundError(Error):
    """No object has that name or id."""

    code = "not_found"


class AuthError(Error):
    """The credentials are missing or wrong."""

    code = "auth"


class PermissionDeniedError(Error):
    """The credentials are valid, but do not allow this."""

    code = "permission_denied"


class RequestSizeError(Error):
    """The request is larger than the server accepts."""

    code = "request_size"


class ResourceExhausted(Error):
    """A limit is reached. Raised by `remote` and `spawn`; `map` waits and tries again by itself.

    Attributes:
        limit: Name of the limit, or a whole message when `value` is None.
        value: The limit's number; None if it has none.
        retry_after_s: Seconds after which to try again; None if trying again cannot help.
    """

    code = "resource_exhausted"
    wire_fields = ("limit", "value", "retry_after_s")

    def __init__(
        self, limit: str = "", value: float | None = None, retry_after_s: float | None = None, message: str = ""
    ) -> None:
        super().__init__(message or _describe_limit(limit, value, retry_after_s))
        self.limit = limit
        self.value = value
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.limit, self.value, self.retry_after_s, self.args[0]), self.__dict__


ResourceExhaustedError = ResourceExhausted


def _describe_limit(limit: str, value: float | None, retry_after_s: float | None) -> str:
    if value is None:
        return limit
    advice = "" if retry_after_s is None else f"; try again in {retry_after_s:g} s"
    return f"Resource Exhausted: the limit {limit} = {value:.15g} is reached{advice}"


# ---------------------------------------------------------------- the service, or the connection to it, failed


class ServiceError(Error):
    """Client and server could not communicate."""

    code = "service"


class ConnectionError(Error):
    """No connection to the server. Not the builtin of the same name."""

    code = "connection"


class ClientClosed(Error):
    """The client was closed before or during its use."""

    code = "client_closed"


class InternalError(Error):
    """The server reached an unexpected state: a defect of swell."""

    code = "internal"


class InternalFailure(Error):
    """The platform lost the input, and running it again did not help."""

    code = "internal_failure"


class DataLossError(Error):
    """Stored data is gone or damaged."""

    code = "data_loss"


class UnimplementedError(Error):
    """The server does not offer this operation."""

    code = "unimplemented"


class VersionError(Error):
    """The versions of client and server are incompatible."""

    code = "version"


class LogsFetchError(Error):
    """Logs could not be read."""

    code = "logs_fetch"


class WorkspaceManagementError(Error):
    """An operation on the workspace failed."""

    code = "workspace_management"


# ---------------------------------------------------------------- running user code failed


class ExecutionError(Error):
    """An unexpected failure on this side: an object is not hydrated, or a remote exception cannot be rebuilt."""

    code = "execution"


class RemoteError(Error):
    """The remote side failed without leaving an exception that could be raised here."""

    code = "remote"


class OutOfMemoryError(Error, MemoryError):
    """A container used more memory than its Function's limit, and was killed; also the builtin MemoryError.

    Raised for an input that ran alone in its container, on its last attempt; the message gives the memory used and the
    limit. Code that allocates too much in one process gets the builtin MemoryError instead, and may catch it.
    """

    code = "out_of_memory"


class ImageBuildError(RemoteError):
    """An image could not be built."""

    code = "image_build"
    wire_fields = ("image_id",)

    def __init__(self, message: str = "", image_id: str = "") -> None:
        super().__init__(message)
        self.image_id = image_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.image_id), self.__dict__


class SerializationError(Error):
    """An argument, a result or an exception cannot be pickled."""

    code = "serialization"


class DeserializationError(Error):
    """Pickled data cannot be read here, most often because a module is missing."""

    code = "deserialization"


# ---------------------------------------------------------------- time ran out


class TimeoutError(Error):
    """Base of the time limits of swell. Not the builtin of the same name."""

    code = "timeout"


class FunctionTimeoutError(TimeoutError):
    """An input ran longer than its Function's `timeout`, on its last attempt."""

    code = "function_timeout"


class OutputExpiredError(TimeoutError):
    """The result was dropped: its retention time is over."""

    code = "output_expired"


class SandboxTimeoutError(TimeoutError):
    """A sandbox ran too long."""

    code = "sandbox_timeout"


class ExecTimeoutError(TimeoutError):
    """A command in a container ran too long."""

    code = "exec_timeout"


class MountUploadTimeoutError(TimeoutError):
    """Uploading source files took too long."""

    code = "mount_upload_timeout"


class VolumeUploadTimeoutError(TimeoutError):
    """Uploading to a volume took too long."""

    code = "volume_upload_timeout"


class InteractiveTimeoutError(TimeoutError):
    """An interactive session could not be opened in time."""

    code = "interactive_timeout"


# ---------------------------------------------------------------- warnings and control flow


class DeprecationError(UserWarning):
    """Use of an old name: a warning while the name still works, an exception once it is removed."""


class ServerWarning(UserWarning):
    """A warning from the server to the user."""


class AsyncUsageWarning(UserWarning):
    """A blocking form was called while an event loop runs; the message names the `.aio` form."""


class InputCancellation(BaseException):
    """Raised inside user code when its input is cancelled. Not an Exception: `except Exception` must not catch it."""


# ---------------------------------------------------------------- the wire


def _subclasses(cls: type[Error]) -> list[type[Error]]:
    return [cls, *(below for child in cls.__subclasses__() for below in _subclasses(child))]


_BY_CODE: Final = {cls.code: cls for cls in _subclasses(Error) if "code" in vars(cls)}


def to_wire(exc: Error) -> tuple[str, str, dict[str, Any]]:
    """Return (code, text, fields) of an error; a subclass defined elsewhere travels as the class it derives from."""
    return exc.code, str(exc), {name: getattr(exc, name) for name in exc.wire_fields}


def from_wire(code: str, text: str, fields: dict[str, Any]) -> Error:
    """Rebuild an error; fields this version does not know are dropped, an unknown code gives a plain Error."""
    cls: Any = _BY_CODE.get(code)
    if cls is None:
        return Error(f"{code}: {text}")
    known = {name: fields[name] for name in cls.wire_fields if name in fields}
    return cls(message=text, **known) if cls.wire_fields else cls(text)
