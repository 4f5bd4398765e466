"""Local entrypoints: functions that `swell run` calls on this machine, and that call the App's functions.

This module must not know command-line options, or how an App is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from swell.sdk.deployable import DeployableApp

__all__ = ["LocalEntrypoint"]

P = ParamSpec("P")
R = TypeVar("R")


class LocalEntrypoint(Generic[P, R]):
    """A function registered by `@app.local_entrypoint()`; a call of it calls the function in this process.

    Attributes:
        app: The App that it belongs to.
        name: Its name on the command line.
    """

    def __init__(self, app: DeployableApp, raw: Callable[P, R], name: str) -> None:
        self.app: Final = app
        self.name: Final = name
        self._raw = raw
        self.__doc__ = raw.__doc__

    @property
    def __swell_raw__(self) -> Callable[P, R]:
        return self._raw

    @property
    def raw(self) -> Callable[P, R]:
        """The plain function."""
        return self._raw

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, on this machine."""
        return self._raw(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<LocalEntrypoint {self.name}>"
