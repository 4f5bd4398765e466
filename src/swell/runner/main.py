"""The life of a container: connect, load the user's code, run inputs, exit.

`run_container` is called in a process that was just forked, or by `python -m swell.runner.main ADDRESS CONTAINER_ID`
with the token in SWELL_TOKEN. This module must not know who started the container.
"""

from __future__ import annotations

import os
import signal
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Final

from swell.bounds import TEXT_MAX
from swell.runner.channel import Channel, die
from swell.runner.child import leave, write_by_line
from swell.runner.concurrency import ConcurrencyLimit
from swell.runner.control import ControlListener
from swell.runner.executor import Executor, choose_executor
from swell.runner.hooks import HookCaller
from swell.runner.in_flight import InFlight
from swell.runner.leases import Leases
from swell.runner.lifecycle import Program, load_program
from swell.runner.loader import enter_command_line, enter_environment, reseed
from swell.runner.result_codec import HIDDEN, ResultCodec, print_exception
from swell.runner.shutdown import limit_time, run_exit_hooks
from swell.runner.slot import SlotContext
from swell.signals import reset_signals
from swell.wire import payload
from swell.wire.codec import FrameError
from swell.wire.context import enter_container
from swell.wire.messages import Load, Ready, StartFailed
from swell.wire.shelf import Shelf
from swell.wire.template import RUN_DIR

if TYPE_CHECKING:
    from swell.runner.web.front import Front
    from swell.runner.web.isolation.ports import Ports

__all__ = ["run_container"]

#: Variables of this process that neither the client's environment nor the function's may change.
IMPOSED: Final = ("CUDA_VISIBLE_DEVICES", RUN_DIR)


def run_container(address: str, container_id: str, token: str, program: Program | None = None) -> int:
    """Run as a container until the server drains or interrupts it; return the exit code of the process.

    After a start that failed or was interrupted it does not return, but ends the process: what the user's code has
    begun is not waited for.

    Args:
        address: Address of the server, as unix:/path.
        container_id: The id that the server gave this container.
        token: Proves to the server that this is the container it started.
        program: The user's code, if this process inherited it from a snapshot: loaded, and its snapshot hooks run.
    """
    _begin_process(program)
    try:
        return Container(address, container_id, token, program).serve()
    except KeyboardInterrupt:  # during the start: there is nothing to finish, and no exit hooks
        leave(0, waits=False)


def _begin_process(program: Program | None) -> None:
    """Reset what this process inherited from the process that forked it: signals, random numbers, streams."""
    for number in range(1, signal.NSIG):  # valid_signals() makes an enum member of each
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if program is None or program.generators is None:
        reseed()
    else:
        program.generators.tell_apart()
    for stream in (sys.stdout, sys.stderr):
        write_by_line(stream)


class Container:
    """One container: its connections, its program and its executor."""

    def __init__(self, address: str, container_id: str, token: str, inherited: Program | None) -> None:
        self._began = perf_counter()
        self._address = address
        self._id = container_id
        self._token = token
        self._inherited = inherited
        self._in_flight = InFlight()
        self._hooks = HookCaller()
        self._channel = Channel.open(address, container_id, token)

    def serve(self) -> int:
        """Load, run inputs, exit; return the exit code."""
        load = self._receive_load()
        self._channel.allow(load.frame_max)
        control = ControlListener(self._channel, self._in_flight, load.exit_grace_s)
        try:
            ports = self._isolate_ports(load)  # first: it may fork, and this process has one thread so far
            control.start()
            slots = ConcurrencyLimit(self._channel, self._in_flight, load.spec.concurrency)
            enter_container(control.stop_fetching, load.function_ids, load.function_id, slots)
            program = self._load(load)
            front = self._open_front(load, program, ports, control)
        except KeyboardInterrupt:
            limit_time(control.grace_s)  # for exit functions of the user's code
            raise
        except BaseException as error:
            self._report_failed_start(error)
            limit_time(control.grace_s)
            leave(1, waits=False)
        leases = self._take_calls(load, program)
        executor = self._executor(load, program, front, leases)
        control.attach(executor.wake, leases)
        self._channel.send(Ready(os.getpid(), perf_counter() - self._began, leases is not None))
        executor.run()
        limit_time(control.grace_s)
        control.return_unstarted()
        last = [] if front is None else front.stops
        return run_exit_hooks([*last, *program.exit], self._hooks.call)

    def _receive_load(self) -> Load:
        while True:
            try:
                frames = self._channel.data.receive()
            except (FrameError, OSError):
                die()
            if frames is None:
                die()
            for message, _ in frames:
                if not isinstance(message, Load):
                    die()
                return message

    def _isolate_ports(self, load: Load) -> Ports | None:
        ports = {web.port for web in load.spec.web_methods.values() if web.kind == "server"}
        if not ports:
            return None
        from swell.runner.web.isolation.supervisor import isolate_ports

        return isolate_ports(ports, self._channel)

    def _load(self, load: Load) -> Program:
        spec = load.spec
        own = {
            "SWELL_SERVER": self._address,
            "SWELL_TOKEN": self._token,
            "SWELL_TASK_ID": self._id,
            "SWELL_IS_REMOTE": "1",
        }
        if self._inherited is not None:
            os.environ.update(own)
            program = self._inherited
        else:
            imposed = {name: os.environ[name] for name in IMPOSED if name in os.environ}
            enter_environment(load.environment, spec, {**own, **imposed})
            enter_command_line(load.environment, spec)
            program = load_program(spec, load.environment.bundle_dir)
            for hook in program.enter_snap:
                self._hooks.call(hook)
        for hook in program.enter:
            self._hooks.call(hook)
        return program

    def _open_front(self, load: Load, program: Program, ports: Ports | None, control: ControlListener) -> Front | None:
        if not program.web:
            return None
        from swell.runner.web.front import Front

        front = Front(self._hooks, lambda: control.grace_s)
        front.open(load.spec, program.web, load.web_dir, self._id, ports)
        return front

    def _take_calls(self, load: Load, program: Program) -> Leases | None:
        """Listen for clients that have a lease, if the server and the program allow for any."""
        if not load.calls_at or program.is_async or load.spec.concurrency.max_inputs > 1:
            return None
        return Leases(self._channel, self._in_flight, load.calls_at, load.function_id)

    def _report_failed_start(self, error: BaseException) -> None:
        print_exception(error)
        text = payload.format_exception(error, hide=HIDDEN)[:TEXT_MAX]
        self._channel.send(StartFailed(text), payload.encode_exception(error, where=self._id, hide=HIDDEN))

    def _executor(self, load: Load, program: Program, front: Front | None, leases: Leases | None) -> Executor:
        codec = ResultCodec(self._id, load.payload_inline_max, Shelf(load.blob_dir, load.shelf), load.payload_max)
        context = SlotContext(self._channel, self._in_flight, codec, program.entries)
        return choose_executor(
            context,
            self._hooks,
            is_async=program.is_async,
            max_inputs=load.spec.concurrency.max_inputs,
            web=front,
            leases=leases,
        )


if __name__ == "__main__":
    reset_signals()
    sys.exit(run_container(sys.argv[1], sys.argv[2], os.environ.get("SWELL_TOKEN", "")))
