"""Runs simulations from the command line: `python -m swell.sim seeds 0 200`, `story 17`, `replay trace.csv`, and more.

This module must not know how a simulation works.
"""

from __future__ import annotations

from pathlib import Path

import click

from swell.engine.events import Effect, Event
from swell.sim.extremes import play
from swell.sim.large import CHECK_EVERY, draw_large
from swell.sim.replay import Costs, read_trace, replay
from swell.sim.swarm import draw
from swell.sim.swarm_lasting import draw_lasting
from swell.sim.swarm_leases import draw_leases
from swell.sim.swarm_web import draw_web
from swell.sim.transcript import Transcript
from swell.sim.world import World

lasting_option = click.option(
    "--lasting", is_flag=True, help="With durable apps, and a server that is killed now and again."
)
web_option = click.option("--web", is_flag=True, help="With requests over HTTP.")
leases_option = click.option("--leases", is_flag=True, help="With programs that hold call leases.")
large_option = click.option("--large", is_flag=True, help="With thousands of containers or functions, or many nodes.")


def _world(seed: int, *, lasting: bool, web: bool, leases: bool, large: bool) -> World:
    if lasting + web + leases + large > 1:
        raise click.UsageError("--lasting, --web, --leases and --large are kinds of scenarios: choose one")
    if leases:
        return World(draw_leases(seed), seed)
    if large:
        return World(draw_large(seed), seed, check_every=CHECK_EVERY)
    return World(draw_lasting(seed) if lasting else draw_web(seed) if web else draw(seed), seed)


@click.group()
def main() -> None:
    """Run the real engine in virtual time."""


@main.command()
@click.argument("first", type=int)
@click.argument("count", type=int, default=1)
@click.option("--digest", is_flag=True, help="Print a fingerprint of each history.")
@lasting_option
@web_option
@leases_option
@large_option
def seeds(first: int, count: int, *, digest: bool, lasting: bool, web: bool, leases: bool, large: bool) -> None:
    """Run COUNT seeds from FIRST on; stop at the first that breaks a rule."""
    for seed in range(first, first + count):
        world, transcript = _world(seed, lasting=lasting, web=web, leases=leases, large=large), Transcript()
        if digest:
            world.listeners.append(lambda event, effects, w=world, t=transcript: t.write(w.clock.now, event, effects))
        try:
            world.finish()
        except Exception as error:
            click.echo(f"seed {seed} at {world.clock.now:.6f} s: {error!r}", err=True)
            raise
        if digest:
            click.echo(f"{seed} {transcript.digest}")
    click.echo(f"{count} seeds from {first} on: every rule held")


@main.command()
@click.argument("seed", type=int)
@click.option("--about", default="", help="Only what mentions this.")
@lasting_option
@web_option
@leases_option
@large_option
def story(seed: int, about: str, *, lasting: bool, web: bool, leases: bool, large: bool) -> None:
    """Tell everything that happens in SEED."""
    world = _world(seed, lasting=lasting, web=web, leases=leases, large=large)

    def tell(event: Event | None, effects: list[Effect]) -> None:
        lines = [f"{world.clock.now:.6f} {event or 'tick'}", *(f"    -> {effect}" for effect in effects)]
        if any(about in line for line in lines):
            click.echo("\n".join(line[:400] for line in lines))

    world.listeners.append(tell)
    world.finish()


@main.command()
@click.argument("first", type=int)
@click.argument("count", type=int, default=1)
def extremes(first: int, count: int) -> None:
    """Send messages with extreme values to an engine, for COUNT seeds from FIRST on; stop at the first that raises."""
    handled = 0
    for seed in range(first, first + count):
        try:
            handled += play(seed)
        except Exception as error:
            click.echo(f"seed {seed}: {error!r}", err=True)
            raise
    click.echo(f"{count} seeds from {first} on: {handled} messages were handled, and every rule held")


@main.command(name="replay")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit", type=int, default=None, help="Only so many requests.")
@click.option("--max-inputs", type=int, default=1, show_default=True)
@click.option("--target-inputs", type=int, default=1, show_default=True)
@click.option("--start-s", type=float, default=1.0, show_default=True, help="Seconds a container takes to start.")
@click.option("--scaledown-window", type=int, default=60, show_default=True)
@click.option("--buffer-containers", type=int, default=0, show_default=True)
def replay_command(
    *,
    trace: Path,
    limit: int | None,
    max_inputs: int,
    target_inputs: int,
    start_s: float,
    scaledown_window: int,
    buffer_containers: int,
) -> None:
    """Let the autoscaler serve the requests of a recorded TRACE, and print what it cost."""
    report = replay(
        read_trace(trace, Costs(), limit=limit),
        start_s=start_s,
        max_inputs=max_inputs,
        target_inputs=target_inputs,
        scaledown_window=scaledown_window,
        buffer_containers=buffer_containers,
    )
    click.echo(str(report))


if __name__ == "__main__":
    main()
