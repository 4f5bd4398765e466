"""The daemon, as a person starts, sees and stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import psutil
import pytest
from place import PATIENCE_S, Place


def test_it_starts_once_tells_how_it_is_and_stops_once(place: Place) -> None:
    assert "no server that stays runs" in place.swell("status").stdout

    started = place.told("start")
    pid = int(re.findall(r"\(pid (\d+)\)", started)[0])
    assert str(place.data_dir) in started
    assert f"runs already (pid {pid})" in place.told("start")

    status = place.told("status")
    assert re.match(rf"swell \S+ runs \(pid {pid}\), for ", status)
    assert str(place.data_dir) in status
    assert "0 waiting, 0 running, 0 done" in status

    assert f"stopped (pid {pid})" in place.told("stop")
    assert is_gone(pid)
    assert "No server runs" in place.told("stop")
    assert place.swell("status").returncode == 3


def test_status_as_json(place: Place) -> None:
    done = place.swell("status", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout) == {"is_running": False, "pid": None, "data_dir": str(place.data_dir)}

    place.told("start")
    status = place.json("status")
    assert status["is_running"] is True
    assert status["data_dir"] == str(place.data_dir)
    assert status["address"].startswith("unix:")
    assert status["uptime_s"] > 0
    assert status["inputs"] == {"waiting": 0, "running": 0, "done": 0}
    assert (status["apps"], status["containers"]) == (0, 0)


def test_starting_at_the_same_time_starts_one(place: Place) -> None:
    starts = [place.begin("start") for _ in range(3)]
    told = [process.communicate(timeout=PATIENCE_S) for process in starts]
    assert [process.returncode for process in starts] == [0, 0, 0], told
    assert sorted("already" in out for out, _ in told) == [False, True, True]
    assert len({re.findall(r"pid \d+", out)[0] for out, _ in told}) == 1


def test_what_stays_is_kept_through_a_restart(place: Place) -> None:
    place.told("start")
    place.told("deploy", "jobs.py")
    before = place.json("status")["pid"]
    told = place.told("restart")
    assert f"stopped (pid {before})" in told
    assert place.json("status")["pid"] != before
    assert [row["name"] for row in place.json("app", "list")] == ["jobs"]
    assert place.python("print(swell.Function.from_name('jobs', 'square').remote(4))") == "16"


def test_restart_where_none_runs_starts_one(place: Place) -> None:
    assert "The server runs" in place.told("restart")


def test_nothing_of_it_is_left_when_stop_returns(place: Place) -> None:
    place.told("start")
    place.told("deploy", "jobs.py")
    place.spawn("nap", 600)
    place.eventually(lambda: place.json("status")["inputs"]["running"])
    family = psutil.Process(place.json("status")["pid"]).children(recursive=True)
    assert len(family) >= 2, "a template and a container"
    place.told("stop")
    assert [process for process in family if not is_gone(process.pid)] == []
    assert not (place.data_dir / "server.json").exists()


def test_a_stop_that_takes_too_long_says_so_and_goes_on(place: Place) -> None:
    place.told("start")
    pid = place.json("status")["pid"]
    place.told("deploy", "jobs.py")
    place.spawn("nap", 600)
    place.eventually(lambda: place.json("status")["inputs"]["running"])
    refused = place.refused("stop", "--timeout", "0.01")
    assert f"the server (pid {pid}) has not ended within 0.01 s" in refused
    assert "exit_grace_s" in refused
    place.told("stop")
    assert is_gone(pid)


def test_it_starts_again_after_it_was_killed(place: Place) -> None:
    place.told("start")
    pid = place.json("status")["pid"]
    os.kill(pid, signal.SIGKILL)
    place.eventually(lambda: place.swell("status").returncode == 3)
    assert "No server runs" in place.told("stop")
    assert "runs already" not in place.told("start")
    assert place.json("status")["pid"] != pid


def test_it_outlives_the_terminal_and_writes_a_log(place: Place) -> None:
    starting = place.begin("start")
    starting.communicate(timeout=PATIENCE_S)  # its output ends, though the server goes on
    assert starting.returncode == 0
    pid = place.json("status")["pid"]
    assert os.getsid(pid) == pid, "a session of its own"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    log = place.data_dir / "server.log"
    assert f"listens at unix:{place.data_dir}/server.sock (pid {pid})" in log.read_text()
    place.told("stop")
    assert "SIGTERM" in log.read_text()


def test_a_long_log_is_put_aside(place: Place) -> None:
    place.data_dir.mkdir()
    log = place.data_dir / "server.log"
    log.write_text("of old\n" * 1_000_000)
    place.told("start")
    assert (place.data_dir / "server.old.log").read_text().startswith("of old")
    assert "of old" not in log.read_text()


# ---------------------------------------------------------------- why it does not start


def test_a_damaged_database_is_named(place: Place) -> None:
    place.data_dir.mkdir()
    (place.data_dir / "swell.db").write_bytes(b"no database " * 1_000)
    assert f"{place.data_dir}/swell.db is damaged, or no database" in place.refused("start")
    assert place.swell("status").returncode == 3


def test_a_directory_that_cannot_be_made_is_named(place: Place) -> None:
    (place.folder / "file").write_text("")
    done = place.swell("start", SWELL_DATA_DIR=str(place.folder / "file" / "data"))
    assert done.returncode == 1
    assert f"cannot write to the data directory {place.folder}/file/data" in done.stderr
    assert "SWELL_DATA_DIR names another" in done.stderr


def test_a_directory_that_cannot_be_written_to_is_named(place: Place) -> None:
    place.data_dir.mkdir(mode=0o500)
    if os.access(place.data_dir, os.W_OK):
        pytest.skip("this user may write anywhere")
    assert f"cannot write to the data directory {place.data_dir}" in place.refused("start")


def test_a_setting_that_is_out_of_bounds_is_named(place: Place) -> None:
    done = place.swell("start", SWELL_CPU_OVERCOMMIT="-1")
    assert done.returncode == 1
    assert "SWELL_CPU_OVERCOMMIT" in done.stderr


def test_a_server_that_ends_without_a_word_is_told_with_its_last_ones(place: Place) -> None:
    done = place.swell("start", SWELL_LOG_LEVEL="LOUD")
    assert done.returncode == 1
    assert "the server ended with code 1 before it was up" in done.stderr
    assert f"the end of {place.data_dir}/server.log" in done.stderr
    assert "Unknown level: 'LOUD'" in done.stderr


# ---------------------------------------------------------------- in the foreground


def test_in_the_foreground_it_logs_to_stderr_and_ends_by_sigterm(place: Place) -> None:
    process = place.begin("start", "--foreground")
    assert process.stderr is not None
    assert any("listens at" in line for line in process.stderr), "it has ended"
    assert place.json("status")["pid"] == process.pid
    assert f"runs already (pid {process.pid})" in place.told("start")
    again = place.refused("start", "--foreground")
    assert f"a server (pid {process.pid}) has the data directory {place.data_dir} already" in again
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "SIGTERM" in rest
    assert not (place.data_dir / "server.log").exists()


def test_in_the_background_of_a_script_it_goes_on_when_the_script_is_interrupted_or_its_terminal_is_closed(
    place: Place,
) -> None:
    process = place.begin("start", "--foreground", through=["bash", "-c", 'trap "" INT HUP; exec "$@"', "bash"])
    assert process.stderr is not None
    assert any("listens at" in line for line in process.stderr), "it has ended"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    place.told("deploy", "jobs.py")
    assert place.json("status")["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "SIGTERM" in rest


def test_a_supervisor_is_told_when_it_is_up(place: Place, tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(PATIENCE_S)
        place.environment["NOTIFY_SOCKET"] = path
        process = place.begin("start", "--foreground")
        assert supervisor.recv(100) == b"READY=1"
        del place.environment["NOTIFY_SOCKET"]
        assert place.json("status")["pid"] == process.pid
        place.told("stop")
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def test_commands_without_a_server_say_how_to_start_one(place: Place) -> None:
    for arguments in (
        ["deploy", "jobs.py"],
        ["app", "list"],
        ["container", "list"],
        ["call", "show", "fc-1"],
        ["why", "jobs.square"],
    ):
        assert "`swell start` starts one" in place.refused(*arguments)


def test_interrupted_while_it_starts_it_does_not_stay(place: Place) -> None:
    starting = place.begin("start")
    server = place.eventually(lambda: servers_of(starting.pid))[0]
    server.suspend()  # so that it is not up yet
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=PATIENCE_S)
    assert starting.returncode == 130
    assert "Aborted" in err
    server.resume()
    place.eventually(lambda: is_gone(server.pid))


def servers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "swell.server.main" in child.cmdline()]


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; what is left of it may wait for the first process to bury it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_log_of_a_server_is_json_if_that_is_wanted(place: Place) -> None:
    assert place.swell("start", SWELL_LOG_FORMAT="json").returncode == 0
    place.told("stop")
    lines = [json.loads(line) for line in (place.data_dir / "server.log").read_text().splitlines()]
    assert any("listens at" in line["event"] for line in lines)
    assert {"time", "level", "logger", "event"} <= lines[0].keys()
