"""The connections of one port: as many as may be, and those beyond are counted."""

from __future__ import annotations

from swell.edge.connections import Connections
from swell.edge.traffic import Traffic


def test_one_more_than_may_be_is_refused_and_counted_until_another_leaves() -> None:
    traffic = Traffic()
    connections: Connections[str] = Connections("admin", 2, traffic)
    assert [connections.enter(name) for name in "abc"] == [True, True, False]
    assert (traffic.connections_open["admin"], traffic.connections_refused["admin"]) == (2, 1)
    connections.leave("c")  # it was never in
    assert not connections.enter("d")
    connections.leave("a")
    connections.leave("a")
    assert connections.enter("e")
    assert sorted(connections) == ["b", "e"]
    assert (traffic.connections_open["admin"], traffic.connections_refused["admin"]) == (2, 2)
    assert traffic.connections_refused["web"] == 0


def test_those_that_are_open_may_leave_while_they_are_iterated_over() -> None:
    connections: Connections[str] = Connections("web", 2, Traffic())
    assert all(connections.enter(name) for name in "ab")
    for name in connections:
        connections.leave(name)
    assert list(connections) == []
