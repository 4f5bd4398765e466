"""`swell deploy`: makes an App the live version of its name on the daemon.

This module must not know how source files are gathered, or what the server does with a version.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from swell.cli import reference
from swell.cli.app_choice import choose_app
from swell.cli.logs import Reading, print_logs
from swell.cli.options import environment_option, strategy_option
from swell.cli.rpc import ask
from swell.cli.show import terminal
from swell.cli.show.addresses import web_addresses
from swell.cli.show.describe import schedule_text
from swell.cli.show.times import duration_text
from swell.errors import InvalidError, ServiceError
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import daemon_client
from swell.sdk.deploy.deploying import deploy as deploy_version
from swell.wire.queries import AppDescription, DescribeApp

if TYPE_CHECKING:
    from swell.model import MethodSpec, WebSpec
    from swell.sdk.app import App
    from swell.sdk.connection.client import Client
    from swell.wire.apps import Deployed
    from swell.wire.queries import FunctionRow

__all__ = ["deploy"]

EXAMPLES: Final = """\b
Examples:
  swell deploy jobs.py                    the App that the variable app holds
  swell deploy jobs.py::reports           the one in another variable
  swell deploy -m package.jobs            in a module, by its dotted name
  swell deploy jobs.py --name jobs-staging --tag 1.4.2
  swell deploy jobs.py --strategy recreate --stream-logs
"""

_WEB: Final = {"asgi": "ASGI app", "wsgi": "WSGI app", "endpoint": "web endpoint", "server": "web server"}


@click.command(epilog=EXAMPLES, short_help="Make an App of a file live, on the daemon.")
@click.option("-m", "is_module", is_flag=True, help="APP_REF names a module, as in package.module::app.")
@click.option("-n", "--name", help="Name to deploy it under; by default its own.")
@click.option("--tag", default="", help="A label of this version, such as a release: at most 50 characters.")
@strategy_option
@click.option("--stream-logs", is_flag=True, help="Then show what its containers print, until Ctrl-C.")
@click.option("--timestamps", is_flag=True, help="Begin every log line with its time.")
@environment_option
@click.argument("app_ref", metavar="APP_REF")
def deploy(
    *, app_ref: str, is_module: bool, name: str | None, tag: str, strategy: str, stream_logs: bool, timestamps: bool
) -> None:
    """Make an App, as it is in a file now, the live version of its name on the daemon.

    Its source files are copied, so editing them later changes nothing. Its functions can then be called by name
    from any program, and run by themselves if they have a schedule. Deploying again without a change makes no version.

    APP_REF is path.py or path.py::variable; the variable is app if none is named.
    """
    meant = reference.parse(app_ref, is_module=is_module, command="swell deploy")
    client = daemon_client()  # before the user's imports, which may take long: in vain if no server runs
    sys.argv = [meant.source]
    app = choose_app(meant, reference.load(meant))
    began = time.time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        version = deploy_version(client.blocking_link(), app.describe(), name=name, tag=tag, strategy=strategy)
        deployed = run_blocking(version)
    for warning in caught:
        terminal.warning(str(warning.message))
    _print(app, deployed, client, time.time() - began)
    if stream_logs:
        print_logs(deployed.app_id, Reading(follow=True, since=began, timestamps=timestamps))


def _print(app: App, deployed: Deployed, client: Client, took_s: float) -> None:
    found = ask(AppDescription, lambda request: DescribeApp(request, deployed.app_id))
    name = found.app.name
    terminal.line(f"{name} ({deployed.app_id})")
    rows = {row.name: row for row in found.functions if not row.is_retired}
    lines = list(_objects(app, rows, _urls(app, client, rows)))
    for number, line in enumerate(lines, start=1):
        terminal.line(f"{'└──' if number == len(lines) else '├──'} {line}")
    if deployed.deployed_at:
        terminal.line(f"App deployed in {duration_text(took_s)}: {name} v{deployed.version} is live", colour="green")
    else:
        terminal.line(f"Deployment skipped: no changes, {name} v{deployed.version} is live", colour="green")


def _urls(app: App, client: Client, rows: dict[str, FunctionRow]) -> dict[str, str]:
    """Return where web functions answer, by name; warns if nothing does."""
    try:
        return web_addresses(app, client, {name: row.function_id for name, row in rows.items()})
    except (InvalidError, ServiceError) as error:
        terminal.warning(f"no web function can be reached: {error}")
        return {}


def _objects(app: App, rows: dict[str, FunctionRow], urls: dict[str, str]) -> Iterator[str]:
    """Yield a line for each function and class of the App."""
    for name, function in app.registered_functions.items():
        row = rows.get(name)
        spec = function.spec
        kind = _web_text(spec.web) if spec.web else "generator function" if spec.is_generator else "function"
        schedule = f", {schedule_text(row)}" if row is not None and row.schedule else ""
        yield f"{name}: {kind}{schedule}{_url_text(urls, name)}"
    for name, cls in app.registered_classes.items():
        methods = () if cls.spec.cls is None else cls.spec.cls.methods
        told = (f"{_method_text(method)}{_url_text(urls, f'{name}.{method.name}')}" for method in methods)
        yield f"{name}: class, {', '.join(told) or 'without methods'}"


def _url_text(urls: dict[str, str], name: str) -> str:
    return f" => {urls[name]}" if name in urls else ""


def _method_text(method: MethodSpec) -> str:
    return f"{method.name} ({_WEB[method.web.kind]})" if method.web else f"{method.name}()"


def _web_text(web: WebSpec) -> str:
    method = f" ({web.method})" if web.kind == "endpoint" else ""
    return f"{_WEB[web.kind]}{method}"
