"""The public home of errors and warnings: `swell.exception.InvalidError` and the rest of the tree.

Names only; the classes live in `swell.errors`. This module must not know anything else of swell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swell.errors import (
    AlreadyExistsError,
    AsyncUsageWarning,
    AuthError,
    ClientClosed,
    ConflictError,
    ConnectionError,
    DataLossError,
    DeprecationError,
    DeserializationError,
    Error,
    ExecTimeoutError,
    ExecutionError,
    FunctionTimeoutError,
    ImageBuildError,
    InputCancellation,
    InteractiveTimeoutError,
    InternalError,
    InternalFailure,
    InvalidError,
    InvalidTypeError,
    InvalidValueError,
    LogsFetchError,
    MountUploadTimeoutError,
    NotFoundError,
    OutOfMemoryError,
    OutputExpiredError,
    PermissionDeniedError,
    RemoteError,
    RequestSizeError,
    ResourceExhausted,
    ResourceExhaustedError,
    SandboxTimeoutError,
    SerializationError,
    ServerWarning,
    ServiceError,
    TimeoutError,
    UnimplementedError,
    VersionError,
    VolumeUploadTimeoutError,
    WorkspaceManagementError,
)

if TYPE_CHECKING:
    from swell.sdk.preemption import simulate_preemption

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
    "simulate_preemption",
]


if not TYPE_CHECKING:  # a type checker must not think that every name is there

    def __getattr__(name: str) -> Any:
        if name == "simulate_preemption":  # the one name here that needs signals and threads
            from swell.sdk.preemption import simulate_preemption

            return simulate_preemption
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
