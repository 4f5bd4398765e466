"""Requests that wait for their clients, and what is kept for these."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import Loop

from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.parking import RETURN_S, ParkedRequest, Parking


def head(method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, b"/path", "1.1", [(b"host", b"here")])


class Lot:
    """A parking, and the requests in it that were abandoned."""

    def __init__(self, requests_max: int = 2, kept_max: int = 100) -> None:
        self.loop = Loop()
        self.parking = Parking(self.loop, requests_max, kept_max)
        self.abandoned: list[str] = []

    def park(self, name: str, method: bytes = b"POST") -> ParkedRequest:
        request: Any = SimpleNamespace(name=name, abandon=lambda: self.abandoned.append(name))
        return self.parking.park(cast("Any", request), head(method))


def test_a_request_is_found_by_its_key_until_it_leaves() -> None:
    lot = Lot()
    first, second = lot.park("first"), lot.park("second")
    assert first.key != second.key
    assert len(first.key) >= 22, "a key that cannot be guessed"
    find = lot.parking.find
    assert (find(first.key), find(second.key), find("other")) == (first, second, None)
    first.leave()
    first.leave()
    assert (find(first.key), find(second.key)) == (None, second)


def test_no_more_are_parked_than_may_be() -> None:
    lot = Lot(2)
    first, _ = lot.park("first"), lot.park("second")
    assert lot.parking.is_full
    first.leave()
    assert not lot.parking.is_full


def test_what_is_kept_for_all_has_one_bound() -> None:
    lot = Lot(2, kept_max=100)
    first, second = lot.park("first"), lot.park("second")
    assert first.keep(bytes(60))
    assert second.keep(bytes(40))
    assert not second.keep(bytes(1))
    first.leave()
    assert second.keep(bytes(10))
    assert lot.parking.kept == 51


def test_the_redirect_leads_back_by_the_key() -> None:
    parked = Lot().park("one")
    redirect = parked.redirect(b"/path?a=1")
    assert redirect.status == 303
    assert dict(redirect.headers)[b"location"].endswith(f"={parked.key}".encode())


def test_who_comes_back_gets_what_was_kept_and_is_awaited_no_longer() -> None:
    lot = Lot()
    parked = lot.park("one")
    parked.redirect(b"/path")
    parked.keep(b"hello")
    assert parked.come_back(head()) == [b"hello"]
    lot.loop.pass_time(2 * RETURN_S)
    assert (lot.abandoned, lot.parking.kept, lot.parking.find(parked.key)) == ([], 0, parked)


def test_who_does_not_come_back_has_left() -> None:
    lot = Lot()
    parked = lot.park("one")
    parked.redirect(b"/path")
    parked.keep(b"hello")
    lot.loop.pass_time(RETURN_S - 1)
    parked.await_client()  # the response begins
    lot.loop.pass_time(RETURN_S - 1)
    assert lot.abandoned == []
    lot.loop.pass_time(1)
    assert (lot.abandoned, lot.parking.kept, lot.parking.find(parked.key)) == (["one"], 0, None)


def test_an_error_is_told_once_and_waits_no_longer_than_a_response() -> None:
    lot = Lot()
    first, second = lot.park("first"), lot.park("second")
    for parked in (first, second):
        parked.keep(b"part of a response")
        parked.fail(HTTPError(504, "it took too long"))
    assert lot.parking.kept == 0
    with pytest.raises(HTTPError, match="it took too long"):
        first.come_back(head())
    assert lot.parking.find(first.key) is None
    lot.loop.pass_time(RETURN_S)
    assert (lot.abandoned, lot.parking.find(second.key)) == ([], None), "there is nothing left to be abandoned"


@pytest.mark.parametrize(("asked", "follows"), [(b"POST", b"GET"), (b"GET", b"GET"), (b"HEAD", b"HEAD")])
def test_a_response_is_asked_for_without_a_body(asked: bytes, follows: bytes) -> None:
    parked = Lot().park("one", asked)
    wrong = b"GET" if follows == b"HEAD" else b"POST"
    with pytest.raises(HTTPError) as refused:
        parked.come_back(head(wrong))
    assert (refused.value.status, refused.value.headers) == (405, [(b"allow", follows)])
    assert parked.come_back(head(follows)) == []
