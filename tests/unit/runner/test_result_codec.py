"""Outcomes of inputs as they are encoded and reported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from swell.errors import DeserializationError, InvalidError, RequestSizeError, SerializationError
from swell.model import OutputStatus
from swell.runner.result_codec import ResultCodec, check_plain, print_exception
from swell.wire import blobs, payload
from swell.wire.shelf import Shelf


class Stream:
    """What user code has put in the place of stderr."""

    def __init__(self, raises: type[BaseException]) -> None:
        self.raises = raises

    def write(self, text: str) -> None:
        raise self.raises


@pytest.mark.parametrize("raises", [TypeError, RuntimeError, SystemExit])
def test_whatever_stands_in_the_place_of_stderr_costs_nothing(
    raises: type[BaseException], codec: ResultCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Stream(raises))
    status, data, _ = codec.print_and_encode(ValueError("mine"))
    assert status == OutputStatus.FAILURE
    assert str(payload.decode_exception(data)) == "mine"


@pytest.fixture
def codec(tmp_path: Path) -> ResultCodec:
    return ResultCodec("ta-0", 1000, Shelf(str(tmp_path)), 5000)


def test_values(codec: ResultCodec, tmp_path: Path) -> None:
    status, data, is_blob = codec.encode_result([1], "fc-1", 2, frozenset())
    assert (status, payload.loads(data), is_blob) == (OutputStatus.SUCCESS, [1], False)
    assert codec.encode_result(b"x" * 2000, "fc-1", 2, frozenset()) == (OutputStatus.SUCCESS, b"fc-1.2.out", True)
    assert blobs.unpack(b"fc-1.2.out", Shelf(str(tmp_path))) == b"x" * 2000
    with pytest.raises(RequestSizeError):
        codec.encode_result(b"x" * 6000, "fc-1", 2, frozenset())


def test_arguments(codec: ResultCodec, tmp_path: Path) -> None:
    assert codec.arguments(payload.encode_arguments((1,), {}), False) == ((1,), {})
    data, _ = blobs.pack(((b"x" * 2000,), {}), 1000, Shelf(str(tmp_path)), "a.in")
    assert codec.arguments(data, True) == ((b"x" * 2000,), {})
    with pytest.raises(DeserializationError):
        codec.arguments(b"b.in", True)


def test_mistaken_returns_are_explained(codec: ResultCodec) -> None:
    async def coroutine() -> None: ...

    with pytest.raises(InvalidError, match=r"a coroutine.*is_generator=True"):
        codec.encode_result(coroutine(), "fc-1", 0, frozenset())
    with pytest.raises(InvalidError, match=r"a generator.*is_generator=True"):
        codec.encode_result((i for i in range(3)), "fc-1", 0, frozenset())
    with pytest.raises(SerializationError):
        codec.encode_result(sys._getframe(), "fc-1", 0, frozenset())
    check_plain([1], "f")


def test_failures_are_packed_and_printed(codec: ResultCodec, capsys: pytest.CaptureFixture[str]) -> None:
    status, data, is_blob = codec.print_and_encode(KeyError("k"))
    assert (status, is_blob) == (OutputStatus.FAILURE, False)
    assert isinstance(payload.decode_exception(data), KeyError)
    assert capsys.readouterr().err == "KeyError: 'k'\n"


@pytest.mark.parametrize("stream", [None, open(__file__)], ids=["none", "unwritable"])  # noqa: SIM115
def test_printing_survives_what_user_code_did_to_stderr(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    print_exception(ValueError("unseen"))
