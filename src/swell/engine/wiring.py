"""How the rules are put together: each gets the others that it calls. This module must not know what a rule does."""

from __future__ import annotations

from swell.engine.rules.admission import Admission
from swell.engine.rules.apps import Apps
from swell.engine.rules.attempts import Attempts
from swell.engine.rules.call_leases import CallLeasing
from swell.engine.rules.calls import Calls
from swell.engine.rules.cancelling import Cancelling
from swell.engine.rules.completion import Completion
from swell.engine.rules.container_requests import ContainerRequests
from swell.engine.rules.containers import Containers
from swell.engine.rules.deployments import Deployments
from swell.engine.rules.direct_calls import DirectCalls
from swell.engine.rules.dispatch import Dispatcher
from swell.engine.rules.draining import Draining
from swell.engine.rules.elastic import Elastic
from swell.engine.rules.leases import Leases
from swell.engine.rules.lookups import Lookups
from swell.engine.rules.losses import Losses
from swell.engine.rules.nodes import Nodes
from swell.engine.rules.paging import Pager
from swell.engine.rules.placing import Placing
from swell.engine.rules.questions import Questions
from swell.engine.rules.results import ResultPublisher
from swell.engine.rules.scale import Scaler
from swell.engine.rules.schedules import Schedules
from swell.engine.rules.timeouts import Timeouts
from swell.engine.rules.variants import Variants
from swell.engine.rules.web import Web
from swell.engine.state.engine_state import EngineState

__all__ = ["Rules"]


class Rules:
    """All rules of one engine, by name."""

    def __init__(self, state: EngineState) -> None:
        results = ResultPublisher(state)
        attempts = Attempts(state, results)
        self.leases = Leases(state, results)
        self.completion = Completion(state, results, attempts)
        losses = Losses(state, results, attempts, self.leases)
        self.containers = Containers(state, losses, results)
        self.call_leases = CallLeasing(state, self.containers)
        self.nodes = Nodes(state)
        self.draining = Draining(state, self.containers)
        self.elastic = Elastic(state)
        self.scaler = Scaler(
            state,
            containers=self.containers,
            nodes=self.nodes,
            placing=Placing(state),
            draining=self.draining,
            leasing=self.call_leases,
        )
        self.timeouts = Timeouts(state, self.completion, attempts, self.containers)
        self.dispatcher = Dispatcher(state, self.leases)
        self.web = Web(state)
        self.pager = Pager(state, results)
        self.lookups = Lookups(state, self.pager)
        self.cancelling = Cancelling(state, self.completion, results)
        self.admission = Admission(state, attempts, self.cancelling, results, self.lookups)
        self.schedules = Schedules(state, self.admission)
        self.apps = Apps(state, self.cancelling, self.containers, self.schedules)
        self.variants = Variants(state, self.apps, self.admission)
        self.deployments = Deployments(state, self.apps, self.variants, self.containers, self.schedules)
        self.container_requests = ContainerRequests(state, self.leases, self.containers)
        self.calls = Calls(state, self.admission, self.cancelling, self.variants, self.lookups)
        self.direct_calls = DirectCalls(
            state,
            results=results,
            attempts=attempts,
            completion=self.completion,
            cancelling=self.cancelling,
            losses=losses,
            admission=self.admission,
            calls=self.calls,
        )
        self.questions = Questions(state, self.lookups)
