"""A Ray cluster, as far as agents need one. The only module that loads Ray, in a process that does nothing else.

Ray has no types, and of some things that are needed here no public name: which machines are draining, and what is free
on each. Everything of Ray's that is used is in this file.

An agent is a **detached actor with a name** in the server's namespace: it outlives the process that made it, and the
next one finds it. `ray.util.list_named_actors` tells also those that wait for their resources.

This module must not know servers, or which agents there should be.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from swell.backends.ray.host import AgentHost
from swell.backends.ray.messages import Begin, Connected, Gone, RayNode, Scaling, Started
from swell.errors import Error
from swell.slices import Slice

__all__ = ["ClusterError", "RayCluster", "scaling_of", "words_of"]

ANSWERS_S: Final = 5.0  #: how long connecting to the head may take
STORE_BYTES: Final = 100 << 20  #: of the object store of a Ray that is started here: nothing passes through it
WORDS_MAX: Final = 500  #: characters of what Ray says that are passed on
_OURS: Final = re.compile(r"swell\.errors\.\w+: ")
_ERROR: Final = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): .+")  #: a line that ends a traceback


class ClusterError(Error):
    """The cluster cannot be used; the text says why, and what helps."""


class _Actor:
    """An agent, and what is awaited of it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.begun: Any = handle.pid.remote()  #: None once it has come
        self.ended: Any = handle.ended.remote()


class RayCluster:
    """The connection of this process to a cluster, and the actors that it follows."""

    def __init__(self) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ModuleNotFoundError:
            raise ClusterError('Ray is not installed here: pip install "swell[ray]"') from None
        self._services: Any = importlib.import_module("ray._private.services")
        self._state: Any = importlib.import_module("ray._private.state")
        self._strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        self._worker: Any = importlib.import_module("ray._private.worker")
        self._autoscaler: Any = importlib.import_module("ray.core.generated.autoscaler_pb2")
        self._runtime_env: dict[str, Any] = {}
        self._actors: dict[str, _Actor] = {}
        self._former: set[str] = set()  # agents of former servers, of whatever version: they are ended, and not asked

    # ------------------------------------------------------------ the cluster

    def connect(self, begin: Begin) -> Connected:
        """Connect to a cluster, and follow the agents of the namespace that are there.

        Raises:
            ClusterError: it cannot be reached, or this process does not fit it.
        """
        self._runtime_env = self._checked(begin.runtime_env)
        address = self._find(begin)
        how: dict[str, Any] = {"address": address} if address else _small()
        try:
            self._ray.init(namespace=begin.namespace, log_to_driver=False, logging_level="ERROR", **how)
        except (ConnectionError, RuntimeError, ValueError, AssertionError, OSError) as error:
            raise ClusterError(_why_not(error, address)) from None
        names: list[str] = self._ray.util.list_named_actors()
        for name in names:
            if name.startswith(begin.run):
                self._follow(name)
            else:
                self._former.add(name)
        return Connected(
            host=self._ray.util.get_node_ip_address(),
            version=self._ray.__version__,
            agents=(*self._actors, *self._former),
            is_own=not address,
        )

    def _checked(self, text: str) -> dict[str, Any]:
        """Return a runtime environment, if it is one for this version of Ray."""
        environment: dict[str, Any] = msgspec.json.decode(text) if text else {}
        try:
            self._ray.runtime_env.RuntimeEnv(**environment)
            return environment
        except (TypeError, ValueError) as error:
            raise ClusterError(f"ray_runtime_env is none that Ray takes: {_short(str(error))}") from None

    def _find(self, begin: Begin) -> str:
        """Return the address of the cluster; "" if one is to be started."""
        address = begin.address
        if address == "local":
            if not begin.may_start:
                raise ClusterError("a Ray of its own is for `swell run`: `ray start --head` starts one that stays")
            return ""
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS", "")
        if not address or address == "auto":
            running: set[str] = self._services.find_gcs_addresses()
            if len(running) > 1:
                found = ", ".join(sorted(running))
                raise ClusterError(f"several Rays run on this machine ({found}): name one by --address HOST:PORT")
            if not running and not begin.may_start:
                raise ClusterError(
                    "no Ray runs on this machine: `ray start --head` starts one, and --address HOST:PORT names another"
                )
            return running.pop() if running else ""
        _check(address)
        return address

    def nodes(self) -> tuple[RayNode, ...]:
        """Return the machines that are alive."""
        free: dict[str, dict[str, float]] = self._state.available_resources_per_node()
        draining: dict[str, int] = self._state.state.get_draining_nodes()
        alive: list[dict[str, Any]] = [node for node in self._ray.nodes() if node["Alive"]]
        return tuple(
            _node(node, free.get(node["NodeID"], {}), draining.get(node["NodeID"]))
            for node in sorted(alive, key=lambda node: node["NodeID"])
        )

    def scaling(self) -> Scaling:
        """Return what the autoscaler does for agents that wait; nothing if none does, or there is no autoscaler."""
        if all(actor.begun is None for actor in self._actors.values()):
            return Scaling()
        client = self._worker.global_worker.gcs_client
        reply = self._autoscaler.GetClusterStatusReply.FromString(client.get_cluster_status())
        return scaling_of(reply.autoscaling_state)

    def close(self) -> None:
        """Leave the cluster; end it, if it was started here."""
        self._ray.shutdown()

    # ------------------------------------------------------------ agents

    def start(self, agent: str, order: bytes, held: Slice, node: str = "", *, elsewhere: bool = False) -> None:
        """Have an agent started where there is room for its slice, as soon as there is.

        Args:
            agent: its name.
            order: what it is told.
            held: its slice.
            node: a machine on which it is to be; "" for any.
            elsewhere: if that machine has no room any more, another one will do.

        Raises:
            ClusterError: Ray does not take the runtime environment.
        """
        how: dict[str, Any] = {"memory": held.memory_bytes} if held.memory_bytes else {}
        if node:
            how["scheduling_strategy"] = self._strategies.NodeAffinitySchedulingStrategy(node, soft=elsewhere)
        if self._runtime_env:
            how["runtime_env"] = self._runtime_env
        actor = self._ray.remote(AgentHost).options(
            name=agent,
            lifetime="detached",
            num_cpus=held.cpu,
            num_gpus=held.gpus,
            max_restarts=0,
            **how,
        )
        try:
            self._actors[agent] = _Actor(actor.remote(order, held.cpu, held.memory_bytes, held.gpus))
        except (TypeError, ValueError) as error:
            self._follow(agent)
            if agent not in self._actors:
                raise ClusterError(f"ray_runtime_env is none that Ray takes: {_short(str(error))}") from None
            # The name was taken: it was started a moment before another broker ended.

    def _follow(self, agent: str) -> None:
        try:
            self._actors[agent] = _Actor(self._ray.get_actor(agent))
        except ValueError:  # it has ended meanwhile
            self._actors.pop(agent, None)

    def end(self, agent: str) -> None:
        """End an actor, and with it its agent; or have it not started."""
        actor = self._actors.pop(agent, None)
        if actor is not None:
            self._ray.kill(actor.handle)
        elif agent in self._former:
            self._former.discard(agent)
            with contextlib.suppress(ValueError):  # it has ended meanwhile
                self._ray.kill(self._ray.get_actor(agent))

    def take_news(self) -> list[Started | Gone]:
        """Return which agents have started since the last call, and which have ended."""
        awaited = {ref: name for name, actor in self._actors.items() for ref in _awaited(actor)}
        if not awaited:
            return []
        ready, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        return [news for ref in ready for news in self._news(awaited[ref], ref)]

    def _news(self, agent: str, ref: Any) -> Iterable[Started | Gone]:
        actor = self._actors.get(agent)
        if actor is None:  # its other message has told its end
            return
        try:
            value = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            yield self._gone(agent, actor, words_of(error))
            return
        if ref is actor.ended:
            yield self._gone(agent, actor, value)
        else:
            actor.begun = None
            yield Started(agent, self._node_of(actor))

    def _gone(self, agent: str, actor: _Actor, why: str) -> Gone:
        node = self._node_of(actor)
        self.end(agent)
        return Gone(agent, why, node)

    def _node_of(self, actor: _Actor) -> str:
        """Return the machine that Ray has chosen for an actor; "" if it has chosen none."""
        known: dict[str, Any] | None = self._state.actors(actor.handle._actor_id.hex())
        return known["Address"]["NodeID"] if known else ""


def _awaited(actor: _Actor) -> list[Any]:
    return [actor.ended] if actor.begun is None else [actor.begun, actor.ended]


def _small() -> dict[str, Any]:
    """Return how a Ray is started that is this machine's alone: nobody else reaches its ports."""
    return {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
        # A process for each core, which Ray would start although one is needed: the agent's actor.
        "_system_config": {"prestart_worker_first_driver": False},
    }


def _node(node: Mapping[str, Any], free: Mapping[str, float], draining_ms: int | None) -> RayNode:
    has: Mapping[str, float] = node["Resources"]
    return RayNode(
        node=node["NodeID"],
        host=node["NodeManagerAddress"],
        cpu=has.get("CPU", 0.0),
        cpu_free=free.get("CPU", 0.0),
        memory_bytes=int(has.get("memory", 0)),
        memory_free_bytes=int(free.get("memory", 0)),
        gpus=has.get("GPU", 0.0),
        gpus_free=free.get("GPU", 0.0),
        draining_until=None if draining_ms is None else draining_ms / 1000,
    )


def scaling_of(state: Any) -> Scaling:
    """Return what an autoscaler has written down of itself, an AutoscalingState."""
    starting = Counter[str]()
    for each in state.pending_instance_requests:
        starting[each.ray_node_type_name] += each.count
    for each in state.pending_instances:
        starting[each.ray_node_type_name] += 1
    failures: list[Any] = sorted(state.failed_instance_requests, key=lambda each: each.failed_ts)
    return Scaling(
        is_there=state.autoscaler_state_version > 0,
        starting=dict(starting),
        infeasible=tuple(_slice(each.resources_bundle) for each in state.infeasible_resource_requests),
        failure=_short(failures[-1].reason) if failures else "",
    )


def _slice(bundle: Mapping[str, float]) -> Slice:
    return Slice(bundle.get("CPU", 0.0), int(bundle.get("memory", 0.0)), int(bundle.get("GPU", 0.0)))


# ---------------------------------------------------------------- what Ray says, in fewer words


def _check(address: str) -> None:
    """Refuse an address at which nothing answers, before Ray tries that for a minute."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise ClusterError(
            f"{address!r} is no address of a cluster: give HOST:PORT of its head, and run this on one of its machines"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no Ray answers at {address}: {error or 'it takes too long'}") from None


def _why_not(error: Exception, address: str) -> str:
    text = _short(str(error))
    if "Version mismatch" in text:
        return f"this installation does not fit the Ray at {address}: {text}. Install the same versions on both"
    return f"{f'the Ray at {address}' if address else 'a Ray of its own'} does not serve this machine: {text}"


def words_of(error: Exception) -> str:
    """Return why an actor has ended, from an error that may show tracebacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    last = next((line for line in reversed(lines) if _ERROR.fullmatch(line)), lines[-1])
    if "No module named 'swell" in last:
        return "the machine that Ray has chosen has no swell: install it there, or name it in ray_runtime_env"
    if any("failed to import on the worker" in line for line in lines):
        return f"the swell of the machine that Ray has chosen is not this one: {_short(last)}; install the same version"
    if lines[0].startswith("Failed to set up runtime environment"):
        return f"ray_runtime_env cannot be set up on the machine that Ray has chosen: {_short(last)}"
    return _short(_OURS.sub("", last) if "creation task" in lines[0] else lines[0])


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= WORDS_MAX else f"{words[:WORDS_MAX]}…"
