"""Containers on other machines, each of which has an agent. Nothing here may know why they are launched."""

from swell.backends.agents.backend import AgentBackend

__all__ = ["AgentBackend"]
