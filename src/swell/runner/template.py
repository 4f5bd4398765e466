"""The template: a small single-threaded process, the runner's imports done, that forks containers in milliseconds.

    python -P -m swell.runner.template CHANNEL DIRECTORY PROGRAM

It also supervises them. A container that ends takes its process group and all its orphans with it. When the server
ends, however that came about, everything the template ever forked is killed and DIRECTORY is removed. When the template
itself ends, the kernel kills the containers.

This module must not know why a container is wanted or what runs in it; and it must never start a thread or an event
loop, since forking is safe only without them.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from typing import NoReturn

import msgspec

from swell.runner import linux
from swell.wire.template import (
    DATAGRAM_MAX,
    FILES_MAX,
    Exited,
    Interrupt,
    Kill,
    Launch,
    NotStarted,
    Opened,
    Reply,
    Request,
    Started,
    files_of,
)

__all__ = ["Program", "Template", "main"]

Program = Callable[[str, str, str], int | None]  #: (server address, container id, token) -> exit code
Life = Callable[[], int | None]  #: what a forked child does with itself; returns its exit code

#: What the template itself must not use but many containers need: imported here once, in 50 ms, and shared by all.
_PREIMPORTED = ("asyncio", "cloudpickle", "uvloop")
_REPLIES_MAX = 256  #: replies in one datagram, so that it stays below DATAGRAM_MAX
_END_MAX_S = 3.0  #: how long the template waits at its end for killed processes to be gone

_decode_requests = msgspec.msgpack.Decoder(list[Request]).decode
_encode_replies = msgspec.msgpack.Encoder().encode


class Template:
    """Forks children on request, tells the server what becomes of them, and leaves nothing of them behind."""

    def __init__(self, channel: socket.socket, directory: str, program: Program) -> None:
        self._channel = channel
        self._directory = directory
        self._program = program
        self._ids: dict[int, str] = {}
        self._pids: dict[str, int] = {}
        self._replies: list[Reply] = []
        self._has_server = True
        self._wake, self._waker = socket.socketpair()

    def serve(self) -> Life | None:
        """Serve until the server is gone, then clean up and return None. In a forked child, return what it shall do."""
        linux.adopt_orphans()
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
                    life = self._receive()
                    if life is not None:
                        return life
        self._end()
        return None

    # ------------------------------------------------------------ the server's requests

    def _receive(self) -> Life | None:
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
            match request:
                case Launch():
                    life = self._launch(request, own, files)
                    if life is not None:
                        return life
                case Interrupt():
                    if request.child_id in self._pids:
                        os.kill(self._pids[request.child_id], signal.SIGINT)
                case Kill():
                    if request.child_id in self._pids:
                        linux.kill_group(self._pids[request.child_id])
        return None

    def _launch(self, launch: Launch, own: Sequence[int], others: Sequence[int]) -> Life | None:
        if len(own) < files_of(launch):  # the kernel drops descriptors that would exceed RLIMIT_NOFILE
            self._replies.append(NotStarted(launch.container_id, "too many open files in the template"))
            return None
        template = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            self._replies.append(NotStarted(launch.container_id, f"cannot fork: {error.strerror}"))
        if pid == 0:
            return partial(self._live, launch, template, own, others)
        for fd in own:
            os.close(fd)
        if pid > 0:
            self._ids[pid] = launch.container_id
            self._pids[launch.container_id] = pid
            self._replies.append(Started(launch.container_id, pid))
            self._send_replies()  # at once, so that a busy template does not hide that the first ones exist
        return None

    def _send_replies(self) -> None:
        while self._replies:
            part = self._replies[:_REPLIES_MAX]
            try:
                self._channel.send(_encode_replies(part))
            except BlockingIOError:
                return  # the server is busy; poll tells when to go on
            except OSError:
                self._replies.clear()  # nobody is left to hear them; reading the channel notices and ends us
                return
            del self._replies[: len(part)]

    # ------------------------------------------------------------ in the child

    def _live(self, launch: Launch, template: int, own: Sequence[int], others: Sequence[int]) -> int | None:
        os.setsid()
        linux.die_with_parent(template)
        linux.adopt_orphans()  # so that what reaches the template is an orphan of a container that is dead
        self._leave_template(others)
        _redirect(*own)
        os.environ.update(launch.variables)
        if launch.memory_limit_bytes is not None:
            _limit_memory(launch.memory_limit_bytes)
        return self._program(launch.address, launch.container_id, launch.token)

    def _leave_template(self, others: Sequence[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (self._channel, self._wake, self._waker):
            own.close()
        for fd in others:
            os.close(fd)

    # ------------------------------------------------------------ the dead

    def _reap(self) -> None:
        """Bury every child that has ended, with its process group and the orphans it left."""
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass
        while (pid := _ended_child()) is not None:
            if pid in self._ids:
                linux.kill_group(pid)  # before reaping: until then nobody else can be given this number
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            child_id = self._ids.pop(pid, None)
            if child_id is not None:
                del self._pids[child_id]
                self._replies.append(Exited(child_id, status))
        self._kill_orphans()

    def _kill_orphans(self) -> None:
        # Living containers keep their own orphans. Those of a dead one, wherever in its tree, end up here; killing
        # them brings SIGCHLD and, with it, their own orphans next time.
        for pid in linux.children():
            if pid not in self._ids:
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        for pid in self._ids:
            linux.kill_group(pid)
        deadline = time.monotonic() + _END_MAX_S
        while self._has_children() and (left := deadline - time.monotonic()) > 0:
            select.select([self._wake], [], [], left)
            self._reap()
            self._send_replies()  # a server that stops in order still listens
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)  # another template may be removing it as well

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


def _redirect(stdout: int, stderr: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _limit_memory(size: int) -> None:
    """Bound the container's writable private memory, so that Python raises MemoryError in the code that wants more.

    Not RLIMIT_AS: that counts address space, of which CUDA, memory-mapped arguments and every thread's malloc arena
    reserve far more than they ever use.
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _leave(life: Life) -> NoReturn:
    """Live a child's life, then leave without tearing down the frozen heap, which would only copy it page by page."""
    code = 1
    try:
        code = life() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  it prints what they raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # user code may have closed or replaced it
            stream.flush()
    os._exit(code)


def main(channel: str, directory: str, program: str) -> None:
    """Be a template: `channel` is a descriptor, `program` names the container's function as module:name."""
    module, _, name = program.partition(":")
    run: Program = getattr(importlib.import_module(module), name)
    for name in _PREIMPORTED:
        with contextlib.suppress(ModuleNotFoundError):  # uvloop is not everywhere; who needs it will notice
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here now is never collected, hence never written to by the collector of a child
    life = Template(socket.socket(fileno=int(channel)), directory, run).serve()
    if life is not None:
        _leave(life)


if __name__ == "__main__":
    main(*sys.argv[1:])
