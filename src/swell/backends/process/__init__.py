"""Containers as processes of this machine, forked from templates. Nothing here may know why they are launched."""

from swell.backends.process.backend import ProcessBackend

__all__ = ["ProcessBackend"]
