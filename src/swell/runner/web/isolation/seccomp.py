"""System calls that wait until another process has looked at them: Linux's seccomp user notification, by ctypes.

`install_filter` makes every later `bind` and `connect` of this thread, and of all threads and processes that come of
it, wait for the process that reads the listener. That process may look into the caller's memory, change what it finds
there, and let the call continue. It needs no privileges. This module must not know what calls are stopped for, or which
process reads the listener.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import socket
import struct
import sys
from typing import Final, NamedTuple

__all__ = [
    "Notification",
    "UnavailableError",
    "check_support",
    "connect_unfiltered",
    "continue_call",
    "duplicate_socket",
    "install_filter",
    "is_valid",
    "receive",
]


class _Machine(NamedTuple):
    """Numbers of system calls, which differ from machine to machine."""

    audit_arch: int
    seccomp: int
    bind: int
    connect: int


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 317, 49, 42),
    "aarch64": _Machine(0xC00000B7, 277, 200, 203),
    "riscv64": _Machine(0xC00000F3, 277, 200, 203),
}
_KERNEL_MIN: Final = (5, 5)  #: the first that can let a call continue after its notification

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_SPEC_ALLOW: Final = 1 << 2  #: else old kernels slow down all of the process, for fear of attacks
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE: Final = 1 << 5  #: only fatal signals interrupt a call after its notification was read; Linux 5.19
_RET_ALLOW: Final = 0x7FFF0000
_RET_USER_NOTIF: Final = 0x7FC00000
_CONTINUE: Final = 1
_IOCTL_RECEIVE: Final = 0xC0502100
_IOCTL_SEND: Final = 0xC0182101
_IOCTL_IS_VALID: Final = 0x40082102
_PIDFD_GETFD: Final = 438  #: the same number everywhere

_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")

#: A `connect` with this length of address passes the filter. The kernel takes any length from 16 to 128, and no library
#: gives this one for an address of 16 or 28 bytes.
_UNFILTERED_LENGTH: Final = 101

_libc = ctypes.CDLL(None, use_errno=True)


class UnavailableError(Exception):
    """System calls cannot be stopped on this machine; the text says why."""


class Notification(NamedTuple):
    """A system call that waits."""

    id: int
    thread: int  #: id of the thread that makes it
    is_bind: bool  #: else it is `connect`
    fd: int  #: of the socket, in the caller
    address: int  #: where the socket address is in the caller's memory
    size: int  #: of the socket address in bytes, as the caller says


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def check_support() -> None:
    """Check that system calls can be stopped on this machine, as far as that can be known before the attempt.

    Raises:
        UnavailableError: they cannot.
    """
    _machine()
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None or tuple(map(int, numbers.groups())) < _KERNEL_MIN:
        raise UnavailableError(f"that needs Linux 5.5, and this is {release}")


def install_filter() -> int:
    """Stop every `bind` and `connect` from now on; return the descriptor (the listener) that notifies of them.

    Where the process has no privileges, it and its descendants give up gaining any by running set-uid programs.

    Raises:
        UnavailableError: the system does not allow it.
    """
    program = _filter(_machine())
    code = ctypes.create_string_buffer(program, len(program))
    ours = _Program(len(program) // 8, ctypes.addressof(code))
    flags = _NEW_LISTENER | _SPEC_ALLOW | _WAIT_KILLABLE
    listener = _install(flags, ours)
    if listener == -errno.EACCES:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        listener = _install(flags, ours)
    if listener == -errno.EINVAL:
        listener = _install(flags & ~_WAIT_KILLABLE, ours)
    if listener == -errno.EBUSY:
        raise UnavailableError("system calls of this process are watched by another program already")
    if listener < 0:
        raise UnavailableError(f"the kernel refuses a seccomp filter: {os.strerror(-listener)}")
    return listener


def receive(listener: int) -> Notification | None:
    """Return the next notification; None if its caller is gone, or all callers are."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _IOCTL_RECEIVE, buffer)
    except (FileNotFoundError, InterruptedError):
        return None
    number, thread, _, call, _, _, fd, address, size, *_ = _NOTIFICATION.unpack(buffer)
    return Notification(
        id=number, thread=thread, is_bind=call == _machine().bind, fd=fd, address=address, size=size & 0xFFFF_FFFF
    )


def is_valid(listener: int, notification: Notification) -> bool:
    """Return whether a call still waits: if so, its thread id has not come to mean another thread."""
    try:
        fcntl.ioctl(listener, _IOCTL_IS_VALID, struct.pack("=Q", notification.id))
    except FileNotFoundError:
        return False
    return True


def duplicate_socket(notification: Notification) -> socket.socket:
    """Return a duplicate of the socket that a call is about.

    Raises:
        OSError: the caller is gone, or the system does not allow it: some sandboxes do not.
    """
    with open(f"/proc/{notification.thread}/status", "rb") as file:
        leader = next(int(line.split()[1]) for line in file if line.startswith(b"Tgid:"))
    pidfd = os.pidfd_open(leader)
    try:
        fd = _libc.syscall(_PIDFD_GETFD, pidfd, notification.fd, 0)
    finally:
        os.close(pidfd)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return socket.socket(fileno=fd)


def continue_call(listener: int, notification: Notification) -> None:
    """Let a call continue, with what is in its caller's memory now."""
    try:
        fcntl.ioctl(listener, _IOCTL_SEND, _RESPONSE.pack(notification.id, 0, 0, _CONTINUE))
    except FileNotFoundError:
        return  # its caller is gone


def connect_unfiltered(connection: socket.socket, address: tuple[str, int]) -> int:
    """Connect a socket past the filter; return 0, or the number of the error: EINPROGRESS for a non-blocking one."""
    family = connection.family
    host, port = address
    packed = struct.pack("=H", family) + struct.pack(">H", port)
    packed += b"" if family == socket.AF_INET else bytes(4)
    packed += socket.inet_pton(family, host)
    if _libc.connect(connection.fileno(), packed.ljust(_UNFILTERED_LENGTH, b"\0"), _UNFILTERED_LENGTH) == 0:
        return 0
    return ctypes.get_errno()


def _machine() -> _Machine:
    name = os.uname().machine
    machine = _MACHINES.get(name) if sys.maxsize > 1 << 32 else None
    if machine is None:
        raise UnavailableError(f"the numbers of system calls are not known for {name}")
    return machine


def _install(flags: int, program: _Program) -> int:
    """Return the listener, or the negative number of the error."""
    listener = _libc.syscall(_machine().seccomp, _SET_MODE_FILTER, flags, ctypes.byref(program))
    return -ctypes.get_errno() if listener < 0 else listener


def _filter(machine: _Machine) -> bytes:
    """Return the program that the kernel runs for each system call.

    Everything that it reads is in `struct seccomp_data`: the call's number at 0, the machine at 4, the low half of the
    third argument at 32. Jumps are counted from the next instruction.
    """
    load, equal, answer = 0x20, 0x15, 0x06
    return b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 4),
            (equal, 0, 6, machine.audit_arch),
            (load, 0, 0, 0),
            (equal, 3, 0, machine.bind),
            (equal, 0, 3, machine.connect),
            (load, 0, 0, 32),
            (equal, 1, 0, _UNFILTERED_LENGTH),
            (answer, 0, 0, _RET_USER_NOTIF),
            (answer, 0, 0, _RET_ALLOW),
        )
    )
