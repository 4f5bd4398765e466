"""Containers as processes of this machine, forked from templates."""

from swell.backends.process.backend import ProcessBackend

__all__ = ["ProcessBackend"]
