"""Containers as processes of this machine, forked from templates. Nothing here may know who wants them, or why."""

from swell.backends.process.backend import ProcessBackend

__all__ = ["ProcessBackend"]
