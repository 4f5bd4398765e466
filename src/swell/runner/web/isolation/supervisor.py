"""The port supervisor: the parent process of a container with private ports, which redirects its system calls there.

It gets a notification of every `bind` and `connect` in the container and in all that the container starts, in whatever
language, and rewrites the addresses of those that are about the port (`rewrite`) before they are carried out. It is the
parent because of Ubuntu and others, where a process may look into its descendants only; and a process, because a thread
could not run while user code waits in a native library that holds Python's global lock.

To the parent that the container had so far it stands in for the container: it passes signals on, and ends as the
container ends.

A call that is stopped takes a fifth of a millisecond longer; that is, each connection that the container's programs
make, to wherever. The relay of the container itself passes the filter.

Not redirected are: what io_uring carries out, programs that nobody may look into, connections to the port at an address
of the machine that is not a loopback one, and 32-bit programs. They find the network as it is. This module must not
know HTTP, or why the port is wanted.
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
from swell.runner.web.isolation import seccomp
from swell.runner.web.isolation.ports import Ports, PrivatePorts, SharedPorts
from swell.runner.web.isolation.rewrite import PortMapping, rewrite_address

__all__ = ["isolate_ports"]

_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_ADDRESS_MAX: Final = 28  #: bytes of the longest socket address that is rewritten


def isolate_ports(ports: Collection[int], channel: Channel) -> Ports:
    """Give this container ports of its own, and return where they are.

    Call it while the process has one thread. It returns in a child of the present process, which takes the place of the
    container; the present process becomes the supervisor, and does not return.

    Raises:
        ConflictError: they cannot be its own on this machine, and are taken.
    """
    try:
        seccomp.check_support()
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
        PortSupervisor(pid, private.mappings).run(far)
    far.close()
    linux.die_with_parent(parent)
    linux.adopt_orphans()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    with near:
        try:
            listener = seccomp.install_filter()
        except seccomp.UnavailableError as error:
            return SharedPorts(ports, str(error))
        socket.send_fds(near, [b"\0"], [listener])
        os.close(listener)
    if not _is_isolated(private):
        return SharedPorts(ports, "the system does not let one process change the system calls of another")
    return private


def _is_isolated(private: PrivatePorts) -> bool:
    """Return whether a socket that is bound to a port here is bound elsewhere."""
    port = min(private.mappings)
    with socket.socket() as tried, contextlib.suppress(OSError):  # as when others have the port: it was not redirected
        tried.bind(("127.0.0.1", port))
        return tried.getsockname() == private.addresses(port)[0]
    return False


class PortSupervisor:
    """Redirects system calls of the container that is the child `pid`.

    Args:
        pid: Of the container.
        mappings: Of its ports.
    """

    def __init__(self, pid: int, mappings: Mapping[int, PortMapping]) -> None:
        self._pid = pid
        self._mappings = mappings
        self._bound: dict[int, int] = {}  # the number that a server bound last, by the port that it wanted

    def run(self, container: socket.socket) -> NoReturn:
        """Work until the container ends; then end likewise.

        Args:
            container: Where the container sends the listener that notifies of its system calls.
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
        """Handle notifications until the container has ended."""
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
                    if files:  # else system calls cannot be stopped here
                        listener = files[0]
                        poll.register(listener, select.POLLIN)
                elif event & select.POLLIN:
                    self._handle(listener)
                else:
                    poll.unregister(listener)  # no process with the filter is left

    def _handle(self, listener: int) -> None:
        notification = seccomp.receive(listener)
        if notification is None:
            return
        # Nobody may look into some programs, and some give addresses that are none: their calls stay as they are.
        with contextlib.suppress(OSError, OverflowError):
            self._rewrite(listener, notification)
        seccomp.continue_call(listener, notification)

    def _rewrite(self, listener: int, notification: seccomp.Notification) -> None:
        memory = os.open(f"/proc/{notification.thread}/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            if not seccomp.is_valid(listener, notification):
                return
            address = os.pread(memory, min(notification.size, _ADDRESS_MAX), notification.address)
            rewritten = rewrite_address(address, self._mappings, None if notification.is_bind else self._bound)
            if rewritten is None:
                return
            if notification.is_bind:
                self._bound[rewritten.port] = rewritten.number
                if rewritten.is_six:
                    _allow_both_families(notification)
            elif _is_for_datagrams(notification):
                return  # the C library, which asks how an address would be reached, in what it will return of it
            os.pwrite(memory, rewritten.address, notification.address)
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


def _allow_both_families(notification: seccomp.Notification) -> None:
    """Let a socket of IPv6 take an address that stands for one of IPv4; some servers forbid that to theirs."""
    with contextlib.suppress(PermissionError), seccomp.duplicate_socket(notification) as duplicate_socket:
        duplicate_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _is_for_datagrams(notification: seccomp.Notification) -> bool:
    """Return whether a socket is one of UDP, where that may be known."""
    with contextlib.suppress(PermissionError), seccomp.duplicate_socket(notification) as duplicate_socket:
        return duplicate_socket.type == socket.SOCK_DGRAM
    return False
