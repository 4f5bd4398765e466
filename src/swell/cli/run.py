"""`swell run`: loads the user's file, chooses the target in it, and runs that while its App runs.

This module must not know how a reference is resolved, options are parsed, or a run is shown.
"""

from __future__ import annotations

import inspect
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from swell.cli import exit_codes, reference
from swell.cli.backend_choice import backend_options, chosen, prefer
from swell.cli.show.display import Display
from swell.config import Settings
from swell.errors import Error, InvalidError
from swell.sdk.connection.client import PRIVATE, daemon_address
from swell.sdk.connection.output import enable_output

if TYPE_CHECKING:
    from swell.cli.arguments import Arguments
    from swell.cli.target import Target
    from swell.sdk.app import App

__all__ = ["run"]

EXAMPLES: Final = """\b
Examples:
  swell run hello.py                      the local entrypoint, or the only function
  swell run hello.py --name Ada           with an option of its own: one for each parameter
  swell run hello.py --help               which options it has
  swell run hello.py::greet --name Ada    a certain function, in a container
  swell run models.py::Model.predict --size large --text hi
  swell run -m package.module::main       in a module, by its dotted name
  swell run --backend ray hello.py        on the nodes of a Ray cluster, or on a Ray that starts and ends with it
  swell run -q -w result.txt report.py::summary
"""


class _How(NamedTuple):
    """Options of the command that shape the run."""

    name: str | None
    quiet: bool
    detach: bool
    interactive: bool
    environment: str | None
    timestamps: bool


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog=EXAMPLES,
    options_metavar="[OPTIONS]",
    short_help="Run a function, or a local entrypoint, of a file.",
)
@click.option("-m", "is_module", is_flag=True, help="FUNC_REF names a module, as in package.module::name.")
@click.option("-n", "--name", help="What to call this run.")
@click.option(
    "-w",
    "--write-result",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what the function returns, a str or bytes, to this file.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress; logs and errors only.")
@click.option("-d", "--detach", is_flag=True, help="Let the App go on when this command ends or loses its connection.")
@click.option("-i", "--interactive", is_flag=True, help="Leave the terminal to the program: nothing is redrawn.")
@click.option("--timestamps", is_flag=True, help="Begin every log line with the local time.")
@click.option("-e", "--env", "environment", help="Accepted for compatibility.")
@backend_options
@click.argument("func_ref", metavar="FUNC_REF")
@click.argument("arguments", metavar="[OPTIONS OF THE FUNCTION]...", nargs=-1, type=click.UNPROCESSED)
def run(  # one parameter for each option
    *,
    func_ref: str,
    arguments: tuple[str, ...],
    is_module: bool,
    write_result: Path | None,
    backend: str | None,
    address: str | None,
    **how: Any,
) -> None:
    """Run a function, or a local entrypoint, of a file, with its App around it.

    FUNC_REF is path.py or path.py::name. Without a name, the local entrypoint is run, or else the only function. A
    local entrypoint runs here; a function, or a method as Class.method, runs in a container. What comes after FUNC_REF
    are options of the function: one for each parameter.
    """
    if how["interactive"] and how["quiet"]:
        raise InvalidError("--interactive and --quiet cannot go together: an interactive session is output")
    if write_result is not None and not write_result.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no directory {str(write_result.parent)!r}", param_hint="--write-result")
    _choose_backend(chosen(backend, address))
    meant = reference.parse(func_ref, is_module=is_module)
    sys.argv = [meant.source, *arguments]  # what the program would see if Python ran it
    module = reference.load(meant)

    # Only now: the user's imports come first, and a bad path is told without loading these.
    from swell.cli.arguments import command_for
    from swell.cli.target import choose

    target = choose(meant, module)
    command = command_for(
        f"swell run {func_ref}",
        target.raw,
        is_method=bool(target.method),
        of_class=target.class_parameters,
    )
    try:
        with command.make_context(command.name, list(arguments)) as context:
            given = command.invoke(context)
    except click.NoSuchOption as unknown:
        if not any(unknown.option_name in option.opts for option in run.params):
            raise
        hint = f"{unknown.option_name} is an option of swell run: write it before {func_ref}."
        raise click.UsageError(f"{unknown.format_message()} {hint}", unknown.ctx) from None
    target.app.set_description(" ".join((func_ref, *arguments)))
    result = _run(target, given, _How(**how))
    if write_result is not None:
        _write(write_result, result)


def _choose_backend(settings: dict[str, str]) -> None:
    """Have this run start a server of its own for the backend that was asked for."""
    if not settings:
        return
    server = Settings.load().server
    if server not in ("", PRIVATE):
        raise InvalidError(f"--backend is that of a server of this run, and SWELL_SERVER names another: {server}")
    prefer({**settings, "server": PRIVATE})


def _run(target: Target, given: Arguments, how: _How) -> Any:
    """Call the target while its App runs; leave the process when the user presses Ctrl-C."""
    title = how.name or target.app.description
    with (
        Display(title, quiet=how.quiet or how.interactive, timestamps=how.timestamps) as display,
        enable_output(display),
    ):
        _warn_of_detaching(target, how, display)
        running = target.app.run(
            name=how.name, detach=how.detach, interactive=how.interactive, environment_name=how.environment
        )
        entered = False
        try:
            with running:
                entered = True
                if not how.quiet:
                    _tell_urls(target.app, display)
                return _call(target, given, detach=how.detach)
        except KeyboardInterrupt:
            if entered:  # a second Ctrl-C, while the App was being stopped
                raise
            display.notice("Aborting app initialization")
    sys.exit(exit_codes.INTERRUPTED)  # the App has told of the first Ctrl-C itself


def _tell_urls(app: App, display: Display) -> None:
    """Show the URLs of web functions once the edge listens; the run does not wait for that."""
    session = app.session
    if session is None or not app.registered_web_endpoints:
        return

    def tell() -> None:
        from swell.cli.show.addresses import created_line, web_addresses

        try:
            found = web_addresses(app, session.client, session.function_ids)
        except Error:  # the run is over; or nothing listens, which matters to who asks for a URL, and is told then
            return
        for name, url in found.items():
            display.notice(created_line(name, url))

    threading.Thread(target=tell, name="swell-urls", daemon=True).start()


def _warn_of_detaching(target: Target, how: _How, display: Display) -> None:
    if not how.detach:
        return
    settings = Settings.load()
    if settings.server == PRIVATE or not (settings.server or daemon_address(settings)):
        display.notice(
            "--detach has no effect: this run has a server of its own, which ends with it; `swell start` starts one "
            "that stays"
        )
    elif target.is_local:
        display.notice(
            "--detach: when this command ends, what the local entrypoint has spawned goes on; what it waits for, by "
            "remote() or map(), ends"
        )


def _call(target: Target, given: Arguments, *, detach: bool) -> Any:
    """Call a local entrypoint here, everything else in a container."""
    if target.is_local:
        outcome: Any = target.raw(*given.positional, **given.named)
        if not inspect.iscoroutine(outcome):
            return outcome
        import asyncio

        return asyncio.run(outcome)
    handle: Any = target.handle
    function = getattr(handle(**given.of_class), target.method) if target.method else handle
    if detach:  # a spawned call goes on without its caller
        return function.spawn(*given.positional, **given.named).get()
    return function.remote(*given.positional, **given.named)


def _write(path: Path, result: object) -> None:
    if not isinstance(result, str | bytes):
        raise InvalidError(
            f"--write-result writes a str or bytes, and the function returned {type(result).__name__}; "
            "convert it in the function"
        )
    try:
        path.write_bytes(result.encode() if isinstance(result, str) else result)
    except OSError as error:
        raise InvalidError(f"the result cannot be written to {path}: {error.strerror}") from None
