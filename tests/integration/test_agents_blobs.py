"""Large values on nodes that share nothing with the server: they travel by shelves, and all of them arrive."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import blobs_app as b
import psutil
import pytest
from patience import wait_until

import swell
from swell.exception import Error
from swell.wire.template import RUN_DIR

MB = 1 << 20
SHELF_MAX = 120 * MB


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(b.app, backend="agents", agents=2, node_blob_bytes_max=SHELF_MAX, node_timeout_s=5)


def run_dir() -> Path:
    session = b.app.session
    assert session is not None
    return Path(session.client.address.removeprefix("unix:")).parent


def files(pattern: str) -> list[str]:
    """The blobs of the server (`blobs`) or of its nodes (`nodes/*/blobs`)."""
    return sorted(path.name for path in run_dir().glob(f"{pattern}/**/*") if path.is_file())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [MB, 50 * MB])
def test_arguments_and_results_arrive_as_they_were(size: int) -> None:
    data = os.urandom(1 << 10) * (size >> 10)
    assert b.digest.remote(data) == digest(data)
    assert b.echo.remote(data) == data
    assert len(b.made.remote(size)) == size
    call = b.echo.spawn(data)
    assert call.get() == data
    assert call.get() == data, "the result of a spawned call is kept"


def test_a_map_of_large_values_gives_each_result_once() -> None:
    inputs = [bytes([i]) * (200_000 + i * 100_000) for i in range(30)]
    assert list(b.echo.map(inputs)) == inputs


def test_a_container_calls_with_large_values_like_any_client() -> None:
    data = os.urandom(2 * MB)
    own, others = b.nested.remote(data)
    assert own == digest(data)
    assert others == [digest(data[i:]) for i in range(3)]


def test_ten_containers_read_one_result_and_a_node_has_it_once(board: ModuleType) -> None:
    data = os.urandom(5 * MB)
    call = b.echo.spawn(data)
    assert list(b.result_of.map([call.object_id] * 10)) == [digest(data)] * 10
    assert files("nodes/*/blobs").count(f"{call.object_id}.0.out") in (1, 2)


def test_nothing_of_calls_that_are_over_stays_on_any_shelf() -> None:
    def transient() -> list[str]:
        kept = {name for name in files("blobs") if name.endswith(".out")}
        return [name for name in files("blobs") + files("nodes/*/blobs") if name not in kept]

    assert b.echo.remote(bytes(MB)) == bytes(MB)
    wait_until(lambda: not transient(), transient)


def test_a_full_shelf_fails_that_input_alone() -> None:
    with pytest.raises(Error, match="node_blob_bytes_max"):
        b.made.remote(SHELF_MAX + MB)
    with pytest.raises(Error, match="node_blob_bytes_max"):
        b.digest.remote(bytes(SHELF_MAX + MB))
    assert len(b.made.remote(50 * MB)) == 50 * MB


def agents() -> list[psutil.Process]:
    """The agents of this run's server, which is a child of this process."""
    return [each for each in psutil.Process().children(recursive=True) if "swell.agent.main" in each.cmdline()]


def agent_of(node: Path) -> psutil.Process:
    """The agent of a node, by the directory that its template knows."""
    return next(
        each for each in agents() if any(child.environ().get(RUN_DIR) == str(node) for child in each.children())
    )


def test_an_agent_is_killed_while_it_fetches_a_value_and_the_input_runs_elsewhere() -> None:
    data = os.urandom(1 << 10) * (100 << 10)

    def arriving() -> list[Path]:
        return [path for path in run_dir().glob("nodes/*/blobs/*.in*") if path not in before]

    before = set(run_dir().glob("nodes/*/blobs/*.in*"))
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(b.digest.remote, data)
        node = wait_until(arriving, pause_s=0.001)[0].parent.parent
        agent_of(node).kill()
        assert result.result() == digest(data)
    wait_until(lambda: not node.exists())


def test_an_agent_is_killed_while_values_travel_and_each_input_gives_its_result(board: ModuleType) -> None:
    inputs = [(i, bytes([i]) * (3 * MB)) for i in range(12)]
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(lambda: list(b.held.starmap(inputs, order_outputs=False)))
        board.wait_for_count("held")  # others are still starting
        victim = agents()[0]
        victim.kill()
        board.give("go")
        assert sorted(results.result()) == [(i, digest(data)) for i, data in inputs]
