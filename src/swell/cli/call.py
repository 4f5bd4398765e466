"""`swell call`: shows one call on the daemon, prints its results, and cancels it.

This module must not know how a call is made.
"""

from __future__ import annotations

from typing import Any, Final

import click

from swell.cli.options import environment_option, json_option
from swell.cli.rpc import ask
from swell.cli.show import former, terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.numbers import Seconds, WholeNumber
from swell.cli.show.times import duration_text, local, time_text
from swell.documents.calls import call_detail
from swell.errors import InvalidError
from swell.ids import CALL, INPUT, call_and_index
from swell.names import shown_name
from swell.sdk.call import FunctionCall
from swell.sdk.connection.client import daemon_client
from swell.wire.queries import CallReport, InspectCall

__all__ = ["call"]

EXAMPLES: Final = """\b
Examples:
  swell call show fc-a13b7e7e98442b5b46caf4
  swell call result fc-a13b7e7e98442b5b46caf4 --index 2
  swell call cancel fc-a13b7e7e98442b5b46caf4
"""


@click.group(epilog=EXAMPLES, short_help="Calls: show, result, cancel.")
def call() -> None:
    """Show a call on the daemon, its results, or cancel it.

    ID is the id of a call, FunctionCall.object_id, or of one of its inputs.
    """


@call.command(short_help="Show where its inputs are.")
@click.argument("call_meant_by", metavar="ID")
@json_option
@environment_option
def show(call_meant_by: str, as_json: bool) -> None:
    """Show a call: of which function, since when, and where its inputs are. `swell why ID` tells more."""
    report = _report(_call_id(call_meant_by))
    if as_json:
        print_json(former.call(fields_of(call_detail(report))))
    else:
        _print(report)


@call.command(short_help="Cancel it.")
@click.argument("call_meant_by", metavar="ID")
@click.option(
    "--terminate-containers",
    is_flag=True,
    help="Kill the containers that run it, too; other inputs in them are run again.",
)
@environment_option
def cancel(call_meant_by: str, terminate_containers: bool) -> None:
    """Cancel the inputs of a call that have not ended. Changes nothing if all have."""
    call_id = _call_id(call_meant_by)
    report = _report(call_id)
    if report.ended_at is not None:
        terminal.line(f"{call_id} has ended already, with {report.done:,} inputs")
        return
    FunctionCall.from_id(call_id, daemon_client()).cancel(terminate_containers)
    left = report.pending + report.running
    terminal.line(f"{call_id} is cancelled: {left:,} inputs had not finished")


@call.command(
    epilog="Example: swell call result fc-a13b7e7e98442b5b46caf4 --index 2 --timeout 0",
    short_help="Print the result of one of its inputs.",
)
@click.argument("call_meant_by", metavar="ID")
@click.option("--index", type=WholeNumber(min=0), default=0, show_default=True, help="Which of its inputs.")
@click.option("--timeout", type=Seconds(min=0), metavar="SECONDS", help="How long to wait; by default without end.")
@environment_option
def result(call_meant_by: str, index: int, timeout: float | None) -> None:
    """Print the result of a spawned call, as Python writes it. If the function raised, so does this command.

    A result has the types of the function, so their modules must be importable here.
    """
    call_id = _call_id(call_meant_by)
    count = _report(call_id).num_inputs
    if count is not None and index >= count:
        raise InvalidError(f"{call_id} has no input {index}: it has {count:,}, numbered from 0")
    try:
        value: Any = FunctionCall.from_id(call_id, daemon_client()).get(timeout, index=index)
    except TimeoutError as error:
        raise InvalidError(str(error)) from None
    terminal.text(repr(value))


def _call_id(written: str) -> str:
    """Return the id of the call that is meant."""
    if written.startswith(INPUT):
        return call_and_index(written)[0]
    if not written.startswith(CALL):
        raise InvalidError(f"{written!r} is not the id of a call; those begin with fc-")
    return written


def _report(call_id: str) -> CallReport:
    return ask(CallReport, lambda request: InspectCall(request, call_id))


def _print(report: CallReport) -> None:
    app = f"{report.app_name}." if report.app_name else ""
    terminal.line(f"{report.call_id}: {report.kind} call of {app}{shown_name(report.function_name)}", bold=True)
    terminal.line(f"  opened  {time_text(local(report.opened_at))}")
    if report.parent:
        terminal.line(f"  by      {report.parent}")
    if report.ended_at is not None:
        took = duration_text(report.ended_at - report.opened_at)
        terminal.line(f"  ended   {time_text(local(report.ended_at))}, after {took}")
    total = "" if report.num_inputs is None else f" of {report.num_inputs:,}"
    terminal.line(f"  inputs  {report.pending:,} waiting, {report.running:,} running, {report.done:,}{total} done")
