"""Handles of classes: `Cls` in place of the user's class, `Obj` in place of an instance with its parameters.

This module must not know how parameters select a pool, nor how a Function finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Unpack, cast

from swell.model import FunctionSpec
from swell.names import shown_name
from swell.sdk.declare.function_spec import marked_methods
from swell.sdk.declare.options import VariantOptions
from swell.sdk.declare.variants import with_batching, with_concurrency, with_options
from swell.sdk.function import Function
from swell.sdk.handle import Lookup, check_version
from swell.sdk.instance import Instance
from swell.sdk.method import Method

if TYPE_CHECKING:
    from swell.sdk.connection.client import Client
    from swell.sdk.deployable import DeployableApp

__all__ = ["Cls", "Obj", "install_methods"]

T = TypeVar("T")

_INTERFACES: Final = {"method", "batched", "web"}


class Cls(Generic[T]):
    """A class whose methods run remotely; made by `@app.cls()`.

    Calling it returns an instance: `Model(size="large").predict.remote(x)`. Plain class attributes can be read from it.

    Attributes:
        service: The Function of the pool of instances with default parameters.
    """

    def __init__(self, service: Function[..., Any]) -> None:
        self.service = service
        raw = service.__swell_raw__
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            if hasattr(raw, name):
                setattr(self, name, getattr(raw, name))

    @classmethod
    def from_name(
        cls,
        app_name: str,
        name: str,
        *,
        version: int | None = None,
        environment_name: str | None = None,
        client: Client | None = None,
    ) -> Cls[Any]:
        """Return a handle of a class of a deployed App. It is looked up when it is first used.

        Args:
            app_name: Name of the App.
            name: Name of the class.
            version: Use this version of the App only, in pools of its own; default: the live version.
            environment_name: Accepted for compatibility.
            client: How to reach the server; by default the daemon on this machine.

        Raises:
            InvalidError: the version is not a version number.
        """
        lookup = Lookup(app_name, f"{name}.*", check_version(version), client)
        return Cls(Function[..., Any](None, None, None, lookup=lookup))

    @property
    def hydrate(self) -> Any:
        """Look up its id and its spec, if they are not known; see `Function.hydrate`."""
        return self.service.hydrate

    def __reduce__(self) -> tuple[Any, ...]:
        return Cls, (self.service,)

    @property
    def spec(self) -> FunctionSpec:
        """Spec of the pool of instances with default parameters."""
        return self.service.spec

    @property
    def app(self) -> DeployableApp | None:
        """The App in which it is registered."""
        return self.service.app

    @property
    def __swell_raw__(self) -> type[T]:
        return cast("type[T]", self.service.__swell_raw__)

    def __call__(self, *args: Any, **kwargs: Any) -> T:
        """Return an instance with these parameters; they are checked when the instance is first used."""
        return cast("T", Obj(Instance(self.service, args, kwargs)))

    def with_options(self, **options: Unpack[VariantOptions]) -> Cls[T]:
        """Return this class with other options. The variant has pools of its own.

        Omitted options are kept; `secrets` and `volumes` replace the former ones as a whole; `min_containers` is not
        inherited.

        Raises:
            InvalidError: as for `@app.cls`.
        """
        return self._variant(lambda spec: with_options(spec, options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Cls[T]:
        """Return this class with other concurrency; see `swell.concurrent`."""
        return self._variant(lambda spec: with_concurrency(spec, max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Cls[T]:
        """Return this class with other batching; see `swell.batched`."""
        return self._variant(lambda spec: with_batching(spec, max_batch_size, wait_ms))

    def _variant(self, derive: Callable[[FunctionSpec], FunctionSpec]) -> Cls[T]:
        return Cls(self.service.variant(derive))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "service":
            raise AttributeError(name)
        if not self.service.is_known:
            raise AttributeError(
                f"{self!r} was looked up by name: make an instance, as in {self.service.name}().{name}"
            )
        if name in _interfaces(self.spec):
            owner = shown_name(self.spec.name)
            raise AttributeError(
                f"{owner}.{name} needs an instance: did you forget to instantiate the class, as in {owner}().{name}?"
            )
        return getattr(self.service.get_raw_f(), name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self.__swell_raw__,)  # `class Child(Model)` derives from the plain class

    def __repr__(self) -> str:
        return f"<Cls {self.service.name}>"


class Obj:
    """An instance of a `Cls` with its parameters; made by calling the Cls.

    A method is a `Function`; any other attribute is that of a local object, made at first use, without enter hooks.
    """

    __slots__ = ("_instance",)

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def __reduce__(self) -> tuple[Any, ...]:
        return Obj, (self._instance,)

    @property
    def autoscaler(self) -> Any:
        """The autoscaler of this instance's pool; see `Function.autoscaler`."""
        return self._instance.function().autoscaler

    @property
    def update_autoscaler(self) -> Any:
        """Changes the settings of this instance's pool; see `Function.update_autoscaler`."""
        return self._instance.function().update_autoscaler

    @property
    def get_current_stats(self) -> Any:
        """Numbers of this instance's pool; see `Function.get_current_stats`."""
        return self._instance.function().get_current_stats

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        if not self._instance.service.is_known:
            return self._instance.function(name)  # whether the class has such a method is checked at first use
        if name in _interfaces(self._instance.service.spec):
            return self._instance.function(name)
        return getattr(self._instance.local(), name)

    def __repr__(self) -> str:
        instance = self._instance
        given = [*map(repr, instance.args), *(f"{name}={value!r}" for name, value in instance.kwargs.items())]
        return f"<Obj {instance.name}({', '.join(given)})>"


def _interfaces(spec: FunctionSpec) -> set[str]:
    methods = () if spec.cls is None else spec.cls.methods
    return {method.name for method in methods}


def install_methods(cls: Cls[Any]) -> None:
    """Make the methods of the user's class return Functions, so that `self.other.remote(x)` works inside a method."""
    raw = cls.__swell_raw__
    binding = _Binding(cls.service)
    for name, (function, marks) in list(marked_methods(raw)):
        if marks.keys() & _INTERFACES:
            setattr(raw, name, Method(function, name, binding))


class _Binding:
    """Makes the Functions of an object's methods. A pickled class includes it, without the App."""

    def __init__(self, service: Function[..., Any]) -> None:
        self._service = service

    def __call__(self, live: object, name: str) -> Function[..., Any]:
        return Instance.of(self._service, live).function(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _binding_elsewhere, (self._service.spec,)


def _binding_elsewhere(spec: FunctionSpec) -> _Binding:
    return _Binding(Function(None, spec, None))
