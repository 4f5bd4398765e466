"""Large values of a container travel as files."""

from __future__ import annotations

from runner_program import FAILURE, SUCCESS, Start, function

from swell.wire import blobs
from swell.wire.blob_names import input_name
from swell.wire.messages import Completed
from swell.wire.shelf import Shelf


def test_large_values_travel_as_files(start: Start) -> None:
    peer = start(function(), "def f(x): return x[::-1]")
    peer.ready()
    small, large = b"ab" * 100, b"ab" * 30_000
    data, is_blob = blobs.pack(((large,), {}), 4096, Shelf(str(peer.blob_dir)), input_name("fc-1", 1))
    assert is_blob
    results = peer.run((small,), data, (small,), blob_positions=[1])
    assert results == [(SUCCESS, small[::-1]), (SUCCESS, large[::-1]), (SUCCESS, small[::-1])]
    assert sorted(path.name for path in peer.blob_dir.iterdir()) == ["fc-1.1.in", "fc-1.1.out"]


def test_fifty_megabytes_return(start: Start) -> None:
    peer = start(function(), "def f(n): return bytes(n)")
    peer.ready()
    [(status, value)] = peer.run((50_000_000,))
    assert (status, len(value)) == (SUCCESS, 50_000_000)


def test_many_results_just_below_the_inline_limit_fit_into_frames(start: Start) -> None:
    peer = start(function(), "def f(i): return bytes(4000)")
    peer.ready()
    results = peer.run(*[(i,) for i in range(2000)])
    assert len(results) == 2000
    assert all(message.ends[-1] < 2 << 20 for message in peer.messages if isinstance(message, Completed))


def test_a_blob_that_is_not_there_or_not_a_name_fails_its_input(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    results = peer.run(b"missing.in", b"../../etc/passwd", (1,), blob_positions=[0, 1])
    assert [status for status, _ in results] == [FAILURE, FAILURE, SUCCESS]
    assert "missing.in" in str(results[0][1])
    assert "is not the name of a blob" in str(results[1][1])


def test_result_over_the_largest_size_is_refused(start: Start) -> None:
    peer = start(function(), "def f(n): return bytes(n)", payload_max=100_000)
    peer.ready()
    (_, error), fine = peer.run((200_000,), (50_000,))
    assert "payload_max" in str(error)
    assert fine == (SUCCESS, bytes(50_000))
