"""The template: a small single-threaded process, the runner's imports done, that forks containers in milliseconds.

    python -P -m swell.runner.template CHANNEL DIRECTORY PROGRAM

It also supervises them: when a container ends, it kills the container's process group and orphans. When the server
ends, for whatever reason, it kills everything that it ever forked and removes DIRECTORY.

Any process may die before the others. Containers run users' code, which may kill its parent, the template. So a
container does not depend on its template. When a template dies, the kernel gives its containers to the next process
above that adopts orphans. Above a template of one function, that is the template it was forked from, which supervises
them from then on. Above the first template, it is not a process of swell: above all not the server, which users' code
would kill next. The server only watches such containers. A socket, its lifeline, binds a container to the server: when
the server has closed it, or has died, the kernel kills the container's process group.

This module must not know why a container starts or what runs in it; and it must never start a thread or an event loop,
since forking is safe only without them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

import swell.cgroups as cgroups
import swell.linux as linux
from swell.runner import child, snapshot
from swell.runner.exec import run_command
from swell.runner.groups import refuse_group_one
from swell.runner.heap import freeze
from swell.runner.lifecycle import Program
from swell.runner.loader import enter_command_line
from swell.signals import reset_signals
from swell.wire import codec
from swell.wire.remote_traceback import plain
from swell.wire.template import (
    DATAGRAM_MAX,
    FILES_MAX,
    RUN_DIR,
    Adopt,
    Exec,
    ExecSpec,
    Exited,
    ForkTemplate,
    Interrupt,
    Kill,
    Launch,
    NotStarted,
    Opened,
    Reply,
    Request,
    Signal,
    SnapshotRejected,
    Started,
    Sweep,
    TemplateSpec,
    files_of,
)

__all__ = ["ContainerMain", "Template", "main"]


class ContainerMain(Protocol):
    """Runs a container: `program` is the user's code if a snapshot holds it already. Returns the exit code."""

    def __call__(self, address: str, container_id: str, token: str, program: Program | None, /) -> int | None:
        """Run until the container ends."""
        ...


#: Modules that containers need and the template must not use: imported here once, shared by all containers.
_PREIMPORTED = ("asyncio", "cloudpickle", "uvloop", "swell.sdk.app", "swell.sdk.cls")
#: Further modules of containers that answer HTTP by an app: imported when the first of them is launched.
_FOR_APPS = ("swell.runner.web.front", "swell.runner.web.app_site", "uvicorn.protocols.http.httptools_impl")
_REPLIES_MAX = 256  #: replies in one datagram, so that it stays below DATAGRAM_MAX
_TEXT_MAX = 2_000  #: characters of an explanation
_NAME = "swell-template"  #: of the process, as `ps` shows it; a template that cleans up spares processes of this name
_CONTAINER_NAME = "swell-container"
_END_MAX_S = 3.0  #: how long a template waits at its end until killed processes have ended

_decode_requests = msgspec.msgpack.Decoder(list[Request]).decode
_decode_spec = msgspec.msgpack.Decoder(TemplateSpec).decode
_decode_exec = msgspec.msgpack.Decoder(ExecSpec).decode
_encode_replies = msgspec.msgpack.Encoder().encode


class Template:
    """Forks children on request, reports their starts and exits to the server, and cleans up after them."""

    def __init__(
        self, channel: socket.socket, directory: str, run: ContainerMain, program: Program | None = None
    ) -> None:
        self._channel = channel
        self._directory = directory
        self._run = run
        self._program = program
        self._ids: dict[int, str] = {}
        self._pids: dict[str, int] = {}
        self._templates: set[str] = set()  #: children that are templates themselves
        self._unswept = 0  #: how many of these have died without the server having named all their containers
        self._unclaimed: dict[int, int] = {}  #: exit status of children that a dead template may have left, by pid
        self._server = os.getppid()
        self._replies: list[Reply] = []
        self._has_server = True
        self._wake, self._waker = socket.socketpair()

    def serve(self) -> child.ChildMain | None:
        """Serve until the server is gone, then clean up and return None. In a child, return its main function."""
        linux.adopt_orphans()
        linux.set_name(_NAME)
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._channel.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)  # any Python-level handler makes the signal reach the wakeup socket
        self._replies.append(Opened(os.getpid()))
        poll = select.poll()  # not epoll: its descriptor would be shared with every child
        poll.register(self._wake, select.POLLIN)
        while self._has_server:
            self._send_replies()
            poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._replies else 0))
            for fd, _ in poll.poll():
                if fd == self._wake.fileno():
                    self._reap()
                else:
                    child_main = self._receive()
                    if child_main is not None:
                        return child_main
        self._end()
        return None

    # ------------------------------------------------------------ the server's requests

    def _receive(self) -> child.ChildMain | None:
        try:
            data, files, _, _ = socket.recv_fds(self._channel, DATAGRAM_MAX, FILES_MAX, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except ConnectionError:
            data, files = b"", []
        if not data:
            self._has_server = False
            return None
        for request in _decode_requests(data):
            count = files_of(request)
            own, files = files[:count], files[count:]
            child_main = None
            match request:
                case Launch() | ForkTemplate() | Exec() if len(own) < count:
                    # The kernel drops descriptors that would exceed RLIMIT_NOFILE.
                    self._refuse(request.child_id, own, "too many open files in the template")
                case Launch():
                    if request.runs_app:
                        self._import_once(_FOR_APPS)
                    child_main = self._fork(request.child_id, own, files, partial(self._run_container, request, own))
                case ForkTemplate():
                    self._templates.add(request.child_id)
                    child_main = self._fork(
                        request.child_id, own, files, partial(self._run_template, request.child_id, own)
                    )
                case Exec():
                    child_main = self._fork(request.child_id, own, files, partial(self._run_command, own))
                case Interrupt():
                    if (pid := self._pids.get(request.child_id)) is not None:
                        os.kill(pid, signal.SIGINT)
                case Kill():
                    self._signal_group(request.child_id, signal.SIGKILL)
                case Signal():
                    self._signal_group(request.child_id, request.number)
                case Adopt():
                    self._adopt(request)
                case Sweep():
                    self._sweep()
            if child_main is not None:
                return child_main
        return None

    def _import_once(self, modules: Sequence[str]) -> None:
        """Import modules that some containers need. The first one waits for that, the next ones inherit them."""
        if modules[0] not in sys.modules:
            for name in modules:
                importlib.import_module(name)
            freeze()

    def _fork(
        self, child_id: str, own: Sequence[int], others: Sequence[int], child_main: Callable[[int], int | None]
    ) -> child.ChildMain | None:
        """Fork; in the child return its main function. `own` are its files, `others` those of its siblings."""
        template = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the child unblocks it when it is ready
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            self._refuse(child_id, own, f"cannot fork: {error.strerror}")
            return None
        if pid == 0:
            self._leave_template(others)
            return partial(child_main, template)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        for fd in own:
            os.close(fd)
        self._ids[pid] = child_id
        self._pids[child_id] = pid
        return None

    def _refuse(self, child_id: str, own: Sequence[int], why: str) -> None:
        self._templates.discard(child_id)
        for fd in own:
            os.close(fd)
        self._replies.append(NotStarted(child_id, why))

    def _signal_group(self, child_id: str, number: int) -> None:
        if (pid := self._pids.get(child_id)) is not None:
            linux.signal_group(pid, number)

    def _send_replies(self) -> None:
        while self._replies:
            part = self._replies[:_REPLIES_MAX]
            try:
                self._channel.send(_encode_replies(part))
            except BlockingIOError:
                return  # the server is busy; poll returns when it has read
            except OSError:
                self._replies.clear()  # the server is gone; reading the channel notices that and ends this process
                return
            del self._replies[: len(part)]

    # ------------------------------------------------------------ in the child

    def _leave_template(self, others: Sequence[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (self._wake, self._waker):
            own.close()
        for fd in others:
            os.close(fd)

    def _run_container(self, launch: Launch, own: Sequence[int], _template: int) -> int | None:
        linux.set_name(_CONTAINER_NAME)
        child.begin_session(own[0], own[1], launch.variables)
        linux.die_when_closed(own[2])
        if launch.group is not None:
            cgroups.enter(launch.group)
        self._report_started(launch.child_id)
        if launch.memory_limit_bytes is not None:
            child.limit_memory(launch.memory_limit_bytes)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return self._run(launch.address, launch.child_id, launch.token, self._program)

    def _report_started(self, child_id: str) -> None:
        """Tell the server on the template's channel that this process exists, then close the channel.

        The child sends it, and not the template, which may die in between: a child that was not reported was not
        forked, and the server sends its request to another template.
        """
        pid = os.getpid()
        begun = linux.begun_at(pid)
        assert begun is not None, "this process lives"
        reply = _encode_replies([Started(child_id, pid, begun)])
        with self._channel:
            while True:
                try:
                    self._channel.send(reply)
                    return
                except BlockingIOError:  # the server is busy
                    poll = select.poll()
                    poll.register(self._channel, select.POLLOUT)
                    poll.poll()
                except OSError:
                    os._exit(1)  # the server is gone, or has given up this template and its children

    def _run_command(self, own: Sequence[int], _template: int) -> int:
        self._channel.close()
        with open(own[4], "rb") as file:
            spec = _decode_exec(file.read())
        return run_command(spec, own[:3], lifeline=own[3])

    def _run_template(self, child_id: str, own: Sequence[int], parent: int) -> int | None:
        self._report_started(child_id)
        channel, stdout, stderr, spec = socket.socket(fileno=own[0]), own[1], own[2], own[3]
        with open(spec, "rb") as file:
            template_spec = _decode_spec(file.read())
        child.begin_session(stdout, stderr, template_spec.variables)
        linux.die_with_parent(parent)  # its containers live on
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        enter_command_line(template_spec.environment, template_spec.spec)
        try:
            program = snapshot.take(template_spec.spec, template_spec.environment)
        except snapshot.SnapshotRejectedError as error:
            channel.send(_encode_replies([SnapshotRejected(plain(str(error)[:_TEXT_MAX]))]))
            child.leave(0, waits=False)  # what it waited for may be the thread for which it was rejected
        freeze()
        child_main = Template(channel, "", self._run, program).serve()
        return None if child_main is None else child.run_and_exit(child_main)

    # ------------------------------------------------------------ ended children

    def _reap(self) -> None:
        """Reap every child that has ended, and kill its process group and the orphans it left."""
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass
        unclaimed: dict[int, int] = {}
        while (pid := _ended_child()) is not None:
            if pid in self._ids or self._templates:
                linux.signal_group(pid, signal.SIGKILL)  # before reaping: until then its number is no other process's
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            child_id = self._ids.pop(pid, None)
            if child_id is None:
                unclaimed[pid] = status
                continue
            del self._pids[child_id]
            self._replies.append(Exited(child_id, status))
            if child_id in self._templates:
                self._templates.discard(child_id)
                self._unswept += 1
        if self._unswept and self._has_server:
            self._unclaimed |= unclaimed
        else:
            self._kill_orphans()

    def _adopt(self, request: Adopt) -> None:
        """Supervise a container whose template, a child of this one, has died."""
        pid = request.pid
        stat = linux.stat_of(pid)
        if pid in self._unclaimed:
            self._replies.append(Exited(request.child_id, self._unclaimed.pop(pid)))
        elif stat is None or (stat.parent, stat.begun) != (os.getpid(), request.begun):
            self._replies.append(
                Exited(request.child_id, None)
            )  # its template reaped it, and died before it reported it
        else:
            self._ids[pid] = request.child_id
            self._pids[request.child_id] = pid

    def _sweep(self) -> None:
        self._unswept -= 1
        if not self._unswept:
            self._unclaimed.clear()
            self._kill_orphans()

    def _kill_orphans(self) -> None:
        # Running containers keep their own orphans. Those of a dead one, at any depth of its tree, become children of
        # this process; killing them raises SIGCHLD, and the next call kills their own orphans.
        for pid in linux.children():
            if pid not in self._ids:
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        for pid in self._ids:
            linux.signal_group(pid, signal.SIGKILL)
        deadline = time.monotonic() + _END_MAX_S
        while self._has_children() and (left := deadline - time.monotonic()) > 0:
            select.select([self._wake], [], [], left)
            self._reap()
            self._send_replies()  # a server that stops in order still reads
        if self._directory:
            if os.getppid() != self._server:
                self._kill_strays()
                base = cgroups.server_base(self._server)
                if base is not None:
                    cgroups.tear_down(base, _END_MAX_S)
            shutil.rmtree(self._directory, ignore_errors=True)  # another template may be removing it as well

    def _kill_strays(self) -> None:
        """Kill processes of templates that died before the server, which would kill them itself."""
        mark = f"{RUN_DIR}={self._directory}".encode()
        for pid in linux.processes():
            if mark in linux.environment_of(pid) and linux.name_of(pid) != _NAME:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True


def _ignore(*_: object) -> None:
    pass


def _ended_child() -> int | None:
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid


def main(channel: str, directory: str, program: str) -> None:
    """Run a template: `channel` is a descriptor, `program` names the container's main function as module:name."""
    reset_signals()
    refuse_group_one()
    module, _, name = program.partition(":")
    run: ContainerMain = getattr(importlib.import_module(module), name)
    for name in _PREIMPORTED:
        with contextlib.suppress(ModuleNotFoundError):  # uvloop is optional
            importlib.import_module(name)
    codec.for_container(frame_max=0)  # builds what every decoder of these messages shares: 1 ms and 1 MB each
    for stream in (sys.stdout, sys.stderr):
        child.write_by_line(stream)  # as all children do
    freeze()
    child_main = Template(socket.socket(fileno=int(channel)), directory, run).serve()
    if child_main is not None:
        child.run_and_exit(child_main)


if __name__ == "__main__":
    main(*sys.argv[1:])
