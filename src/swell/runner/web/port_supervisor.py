"""The keeper: the process that a container has for a parent if a server of the user's is to have its port to itself.

It looks at every `bind` and `connect` in the container and in all that the container starts, in whatever language, and
moves those that are about the port to the container's own address (see `ports`) before they are carried out. It is
the parent because of Ubuntu and others, where a process may look into its descendants only; and a process, because a
thread could not run while user code waits in a native library that holds Python's global lock.

Towards the parent it had so far it stands in for the container: it passes signals on to it, and ends as it ends.

A call that is looked at takes a fifth of a millisecond longer; that is, each connection that the container's programs
make, to wherever. The relay of the container itself is spared.

Not seen are: what io_uring carries out, programs that nobody may look into, connections to the port at an address of
the machine that is not a loopback one, and 32-bit programs. They find the network as it is. This module must not know
HTTP, or why the port is wanted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Collection, Mapping
from types import FrameType
from typing import Final, NoReturn

import swell.linux as linux
from swell.runner.channel import Channel
from swell.runner.web import seccomp
from swell.runner.web.ports import Ports, PrivatePorts, Refuge, SharedPorts, moved

__all__ = ["keep_ports"]

_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_ADDRESS_MAX: Final = 28  #: bytes of the longest socket address that can be moved


def keep_ports(ports: Collection[int], channel: Channel) -> Ports:
    """Give this container ports of its own, and return where they are.

    To be called while the process has one thread. It returns in a child of the present process, which takes the place
    of the container; the present process becomes its keeper, and does not return.

    Raises:
        ConflictError: they cannot be its own on this machine, and are taken.
    """
    try:
        seccomp.check()
    except seccomp.UnavailableError as error:
        return SharedPorts(ports, str(error))
    private = PrivatePorts(ports)
    near, far = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until both processes are ready for them
    pid = channel.hand_down()
    if pid:
        near.close()
        Keeper(pid, private.refuges).run(far)
    far.close()
    linux.die_with_parent(parent)
    linux.adopt_orphans()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    with near:
        try:
            listener = seccomp.hold()
        except seccomp.UnavailableError as error:
            return SharedPorts(ports, str(error))
        socket.send_fds(near, [b"\0"], [listener])
        os.close(listener)
    if not _is_moved(private):
        return SharedPorts(ports, "the system does not let one process change the system calls of another")
    return private


def _is_moved(private: PrivatePorts) -> bool:
    """Return whether a socket that is bound to a port here is bound elsewhere."""
    port = min(private.refuges)
    with socket.socket() as tried, contextlib.suppress(OSError):  # as when others have the port: it was not moved
        tried.bind(("127.0.0.1", port))
        return tried.getsockname() == private.addresses(port)[0]
    return False


class Keeper:
    """Keeps ports for the container that is the child `pid`."""

    def __init__(self, pid: int, refuges: Mapping[int, Refuge]) -> None:
        self._pid = pid
        self._refuges = refuges
        self._bound: dict[int, int] = {}  # the number that a server bound last, by the port that it wanted

    def run(self, container: socket.socket) -> NoReturn:
        """Work until the container ends; then end likewise.

        Args:
            container: Where the container sends the listener that tells of held calls.
        """
        code = 1
        try:
            self._begin()
            self._watch(container)
            code = self._reap()
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            _end_as(code)  # never back into the code of the container, which this process once was

    def _begin(self) -> None:
        for number in _PASSED_ON:
            signal.signal(number, self._pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        linux.adopt_orphans()
        gc.freeze()  # the collector would copy, page by page, what is shared with the container

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _watch(self, container: socket.socket) -> None:
        """Look at what is held, until the container has ended."""
        end, listener = os.pidfd_open(self._pid), -1
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.register(container, select.POLLIN)
        while True:
            for fd, event in poll.poll():
                if fd == end:
                    return
                if fd == container.fileno():
                    poll.unregister(container)
                    _, files, _, _ = socket.recv_fds(container, 1, 1)
                    if files:  # else nothing can be held here
                        listener = files[0]
                        poll.register(listener, select.POLLIN)
                elif event & select.POLLIN:
                    self._look(listener)
                else:
                    poll.unregister(listener)  # nobody is left to be held

    def _look(self, listener: int) -> None:
        held = seccomp.receive(listener)
        if held is None:
            return
        # Nobody may look into some programs, and some give addresses that are none: their calls are as they are.
        with contextlib.suppress(OSError, OverflowError):
            self._move(listener, held)
        seccomp.let_go(listener, held)

    def _move(self, listener: int, held: seccomp.Held) -> None:
        memory = os.open(f"/proc/{held.thread}/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            if not seccomp.is_waiting(listener, held):
                return
            address = os.pread(memory, min(held.size, _ADDRESS_MAX), held.address)
            move = moved(address, self._refuges, None if held.is_bind else self._bound)
            if move is None:
                return
            if held.is_bind:
                self._bound[move.port] = move.number
                if move.is_six:
                    _admit_both(held)
            elif _is_for_datagrams(held):
                return  # the C library, which asks how an address would be reached, in what it will return of it
            os.pwrite(memory, move.address, held.address)
        finally:
            os.close(memory)

    def _reap(self) -> int:
        """Return how the container has ended, once what it left behind is gone."""
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        with contextlib.suppress(ChildProcessError):
            while True:
                for pid in linux.children():
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)
        return code


def _end_as(status: int) -> NoReturn:
    """End this process as another has: with its exit code, or by the signal that killed it, if `status` is negative."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 1)


def _admit_both(held: seccomp.Held) -> None:
    """Let a socket of IPv6 take an address that stands for one of IPv4; some servers forbid that to theirs."""
    with contextlib.suppress(PermissionError), seccomp.duplicate(held) as duplicate:
        duplicate.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _is_for_datagrams(held: seccomp.Held) -> bool:
    """Return whether a socket is one of UDP, where that may be known."""
    with contextlib.suppress(PermissionError), seccomp.duplicate(held) as duplicate:
        return duplicate.type == socket.SOCK_DGRAM
    return False
