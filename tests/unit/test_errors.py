"""The tree of errors: who derives from whom, and that each one survives the wire and a pickle."""

from __future__ import annotations

import builtins
import pickle

import pytest

from swell import errors, exception
from swell.errors import Error, ResourceExhausted, from_wire, to_wire


def subclasses(cls: type[Error]) -> list[type[Error]]:
    return [below for child in cls.__subclasses__() for below in (child, *subclasses(child))]


WIRE_CLASSES = [cls for cls in (Error, *subclasses(Error)) if "code" in vars(cls)]

PARENTS = {
    "ConflictError": "InvalidError",
    "FunctionTimeoutError": "TimeoutError",
    "OutputExpiredError": "TimeoutError",
    "SandboxTimeoutError": "TimeoutError",
    "ExecTimeoutError": "TimeoutError",
    "MountUploadTimeoutError": "TimeoutError",
    "VolumeUploadTimeoutError": "TimeoutError",
    "InteractiveTimeoutError": "TimeoutError",
    "ImageBuildError": "RemoteError",
    "DeprecationError": "UserWarning",
    "ServerWarning": "UserWarning",
    "AsyncUsageWarning": "UserWarning",
    "InputCancellation": "BaseException",
}

BASE_ERRORS = [
    "AlreadyExistsError",
    "AuthError",
    "InternalError",
    "InvalidError",
    "DataLossError",
    "NotFoundError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "ServiceError",
    "UnimplementedError",
    "TimeoutError",
    "RemoteError",
    "ExecutionError",
    "DeserializationError",
    "SerializationError",
    "RequestSizeError",
    "ConnectionError",
    "VersionError",
    "InternalFailure",
    "ClientClosed",
    "LogsFetchError",
    "WorkspaceManagementError",
]


@pytest.mark.parametrize(("name", "parent"), [*PARENTS.items(), *((name, "Error") for name in BASE_ERRORS)])
def test_every_class_has_its_parent(name: str, parent: str) -> None:
    expected = getattr(exception, parent, None) or getattr(builtins, parent)
    assert getattr(exception, name).__bases__ == (expected,)


def test_names_shared_with_builtins_are_other_classes() -> None:
    assert not issubclass(exception.TimeoutError, builtins.TimeoutError)
    assert not issubclass(exception.ConnectionError, builtins.ConnectionError)


def test_a_cancellation_passes_through_except_exception() -> None:
    assert not issubclass(exception.InputCancellation, Exception)


def test_the_public_module_offers_all_of_them() -> None:
    missing = set(errors.__all__) - set(exception.__all__) - {"to_wire", "from_wire"}
    assert not missing


def test_resource_exhausted_is_known_by_both_names() -> None:
    assert exception.ResourceExhaustedError is exception.ResourceExhausted


def test_a_refusal_names_limit_value_and_when_to_come_back() -> None:
    error = ResourceExhausted("pending_sync_max", 2_000, 0.5)
    assert (error.limit, error.value, error.retry_after_s) == ("pending_sync_max", 2_000, 0.5)
    assert "Resource Exhausted" in str(error)
    assert "pending_sync_max = 2000" in str(error)
    assert "0.5 s" in str(error)


def test_the_repr_is_type_and_message() -> None:
    assert repr(exception.NotFoundError("no such thing")) == "NotFoundError('no such thing')"
    assert repr(ResourceExhausted("my own quota")) == "ResourceExhausted('my own quota')"


def test_wrong_values_and_types_are_also_the_builtin_errors() -> None:
    assert issubclass(exception.InvalidValueError, (exception.InvalidError, ValueError))
    assert issubclass(exception.InvalidValueError, ValueError)
    assert issubclass(exception.InvalidTypeError, TypeError)


def test_codes_are_distinct() -> None:
    codes = [cls.code for cls in WIRE_CLASSES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", WIRE_CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_survives_the_wire(cls: type[Error]) -> None:
    arrived = from_wire(*to_wire(cls("what to do")))
    assert type(arrived) is cls
    assert str(arrived) == "what to do"


def test_facts_survive_the_wire() -> None:
    arrived = from_wire(*to_wire(ResourceExhausted("total_sync_max", 25_000, 1.5)))
    assert isinstance(arrived, ResourceExhausted)
    assert (arrived.limit, arrived.value, arrived.retry_after_s) == ("total_sync_max", 25_000, 1.5)
    image = from_wire(*to_wire(exception.ImageBuildError("no space", "im-1")))
    assert isinstance(image, exception.ImageBuildError)
    assert image.image_id == "im-1"


def test_a_wrong_value_travels_as_an_invalid_error() -> None:
    assert type(from_wire(*to_wire(exception.InvalidValueError("too small")))) is exception.InvalidError


def test_what_a_newer_peer_says_is_still_an_error() -> None:
    arrived = from_wire("brand_new", "some text", {"field": 1})
    assert type(arrived) is Error
    assert "brand_new" in str(arrived)
    assert "some text" in str(arrived)
    assert isinstance(from_wire("resource_exhausted", "full", {"unknown": 1}), ResourceExhausted)


@pytest.mark.parametrize("cls", WIRE_CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_survives_a_pickle_with_its_attributes(cls: type[Error]) -> None:
    error = cls("text")
    error.note = "kept"
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is cls
    assert (arrived.args, arrived.note) == (("text",), "kept")


def test_a_refusal_survives_a_pickle() -> None:
    arrived = pickle.loads(pickle.dumps(ResourceExhausted("x", 3, None, "my words")))
    assert (arrived.limit, arrived.value, arrived.retry_after_s, str(arrived)) == ("x", 3, None, "my words")


@pytest.mark.parametrize("wait", [0, -1])
def test_a_preemption_cannot_be_in_the_past(wait: int) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        exception.simulate_preemption(wait)


def test_a_limit_is_a_number_as_people_write_it() -> None:
    assert "the limit durable_pending_max = 1000000 is reached" in str(ResourceExhausted("durable_pending_max", 1e6))
    assert "the limit payload = 0.5 is reached" in str(ResourceExhausted("payload", 0.5))
