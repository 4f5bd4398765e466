"""Requests that wait for their clients, and what is kept for these."""

from __future__ import annotations

from swell.edge.gateway.parking import Parking


def test_a_request_is_found_by_its_key_until_it_is_removed() -> None:
    parking: Parking[str] = Parking(2)
    first, second = parking.park("first", ""), parking.park("second", "")
    assert first != second
    assert len(first) >= 22, "a key that cannot be guessed"
    assert (parking.find(first), parking.find(second), parking.find("other")) == ("first", "second", None)
    assert parking.park("first", first) == first
    parking.remove(first)
    parking.remove("other")
    assert (parking.find(first), parking.find(second)) == (None, "second")


def test_what_is_kept_for_all_has_one_bound() -> None:
    parking: Parking[str] = Parking(2, kept_max=100)
    assert parking.keep(60)
    assert parking.keep(40)
    assert not parking.keep(1)
    parking.drop(60)
    assert parking.keep(10)
