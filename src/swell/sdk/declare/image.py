"""Images: the environment that a Function requests, as a recorded recipe.

Containers run in the client's own Python environment, so the steps that install are recorded and shown, not executed.
`env` and `workdir` do take effect; so do, in deployed versions and on nodes, the files that `add_local_…` names. This
module must not know how a container is started.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Concatenate, Final, ParamSpec

from swell.errors import InvalidError
from swell.sdk.declare.ignore import Ignore

__all__ = ["Image"]

P = ParamSpec("P")
Step = tuple[str, tuple[Any, ...], dict[str, Any]]  #: name of the builder, its arguments


class Image:
    """A recipe for an environment. Every builder returns a new Image; an Image is never changed.

    Example:
        `image = swell.Image.debian_slim().pip_install("numpy").env({"OMP_NUM_THREADS": "1"})`
    """

    def __init__(self) -> None:
        self.steps: Final[list[Step]] = []

    def _then(self, name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Image:
        image = Image()
        image.steps.extend([*self.steps, (name, args, dict(options))])
        return image

    # ------------------------------------------------------------ starting points

    @staticmethod
    def debian_slim(python_version: str | None = None, **options: Any) -> Image:
        """Start from Debian with Python."""
        return Image()._then("debian_slim", () if python_version is None else (python_version,), options)

    @staticmethod
    def micromamba(python_version: str | None = None, **options: Any) -> Image:
        """Start from a micromamba environment."""
        return Image()._then("micromamba", () if python_version is None else (python_version,), options)

    @staticmethod
    def from_registry(tag: str, **options: Any) -> Image:
        """Start from a public image."""
        return Image()._then("from_registry", (tag,), options)

    @staticmethod
    def from_dockerfile(path: str, **options: Any) -> Image:
        """Start from the image that a Dockerfile builds."""
        return Image()._then("from_dockerfile", (str(path),), options)

    # ------------------------------------------------------------ packages

    def pip_install(self, *packages: str | list[str], **options: Any) -> Image:
        """Add Python packages with pip."""
        return self._then("pip_install", packages, options)

    def uv_pip_install(self, *packages: str | list[str], **options: Any) -> Image:
        """Add Python packages with uv."""
        return self._then("uv_pip_install", packages, options)

    def uv_sync(self, uv_project_dir: str = "./", **options: Any) -> Image:
        """Add the locked packages of a uv project."""
        return self._then("uv_sync", (uv_project_dir,), options)

    def pip_install_from_requirements(self, requirements_txt: str, **options: Any) -> Image:
        """Add the packages of a requirements file."""
        return self._then("pip_install_from_requirements", (str(requirements_txt),), options)

    def pip_install_from_pyproject(self, pyproject_toml: str, **options: Any) -> Image:
        """Add the dependencies of a pyproject file."""
        return self._then("pip_install_from_pyproject", (str(pyproject_toml),), options)

    def micromamba_install(self, *packages: str | list[str], **options: Any) -> Image:
        """Add conda packages."""
        return self._then("micromamba_install", packages, options)

    def apt_install(self, *packages: str | list[str], **options: Any) -> Image:
        """Add Debian packages."""
        return self._then("apt_install", packages, options)

    # ------------------------------------------------------------ commands and files

    def run_commands(self, *commands: str | list[str], **options: Any) -> Image:
        """Run shell commands while building."""
        return self._then("run_commands", commands, options)

    def run_function(self, raw_f: Callable[..., Any], **options: Any) -> Image:
        """Run a Python function while building."""
        return self._then("run_function", (getattr(raw_f, "__qualname__", repr(raw_f)),), options)

    def dockerfile_commands(self, *commands: str | list[str], **options: Any) -> Image:
        """Add lines of a Dockerfile."""
        return self._then("dockerfile_commands", commands, options)

    def entrypoint(self, entrypoint_commands: list[str]) -> Image:
        """Set the image's entrypoint."""
        return self._then("entrypoint", (entrypoint_commands,), {})

    def cmd(self, cmd: list[str]) -> Image:
        """Set the image's default command."""
        return self._then("cmd", (cmd,), {})

    def shell(self, shell_commands: list[str]) -> Image:
        """Set the shell of later commands."""
        return self._then("shell", (shell_commands,), {})

    def add_local_file(self, local_path: str | PathLike[str], remote_path: str, **options: Any) -> Image:
        """Include a file of this machine in deployed versions, and for containers on other machines.

        Else, runs of `app.run()` copy nothing. Give the file the place beside the code that it has here, and read it by
        a path relative to `__file__`: then both runs and deployed versions find it.

        Args:
            local_path: The file; read when the App is deployed.
            remote_path: Its path, relative to the top directory of the bundle, which has scripts and top-level modules;
                with a `/` at the end, the directory for it. Absolute paths, which are places outside of the bundle,
                are refused when it is made.
            **options: Recorded.
        """
        return self._then("add_local_file", (os.fspath(local_path), str(remote_path)), options)

    def add_local_dir(self, local_path: str | PathLike[str], remote_path: str, **options: Any) -> Image:
        """Include a directory of this machine likewise; see `add_local_file`.

        Hidden files, byte code and virtual environments are excluded.

        Args:
            local_path: The directory; read when the App is deployed.
            remote_path: Its path, relative to the top directory of the bundle; "." is the top directory.
            **options: `ignore`: patterns of files to exclude, relative to the directory, as in `.dockerignore`:
                `["*.bin", "**/test_*.py", "data"]`. Others are recorded.

        Raises:
            InvalidError: `ignore` is not a list of str.
        """
        Ignore(options.get("ignore", ()))
        return self._then("add_local_dir", (os.fspath(local_path), str(remote_path)), options)

    def add_local_python_source(self, *modules: str, **options: Any) -> Image:
        """Include modules and packages likewise, beyond those that the App's code imports by name.

        For modules whose names are known at run time only, for an installed module whose present state a version must
        keep, and to exclude a part of a package.

        Args:
            *modules: Names of modules; a module of a package includes the whole top-level package.
            **options: `ignore`: patterns of files to exclude from a package, as for `add_local_dir`. Others are
                recorded.

        Raises:
            InvalidError: a name is not a str, or `ignore` is not a list of str.
        """
        for module in modules:
            if not isinstance(module, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidError(f"Image.add_local_python_source takes names of modules, not {module!r}")
        Ignore(options.get("ignore", ()))
        return self._then("add_local_python_source", modules, options)

    # ------------------------------------------------------------ what takes effect here

    def env(self, vars: Mapping[str, str]) -> Image:
        """Set environment variables of the container.

        Raises:
            InvalidError: it is not a mapping of str to str.
        """
        for key, value in vars.items():
            if not isinstance(key, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidError(f"Image.env takes str keys and str values, not {key!r}: {value!r}")
        return self._then("env", (dict(vars),), {})

    def workdir(self, path: str) -> Image:
        """Set the working directory of the container: it must exist, and may be relative to the client's own.

        On another machine it is a place there, or relative to the bundle.
        """
        return self._then("workdir", (str(path),), {})

    def pipe(self, func: Callable[Concatenate[Image, P], Image], *args: P.args, **kwargs: P.kwargs) -> Image:
        """Return `func(self, *args, **kwargs)`, so that a function of images can be used as a builder."""
        return func(self, *args, **kwargs)

    @contextmanager
    def imports(self) -> Generator[None]:
        """Ignore ImportErrors in the block on the client; in a container they are raised as usual."""
        from swell.wire.context import is_local

        try:
            yield
        except ImportError:
            if not is_local():
                raise

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables set by `env`; later steps replace earlier ones."""
        return Image.variables_of(self.steps)

    @property
    def working_directory(self) -> str:
        """Working directory set by the last `workdir`; "" if there is none."""
        return next((args[0] for name, args, _ in reversed(self.steps) if name == "workdir"), "")

    @staticmethod
    def variables_of(steps: Sequence[Sequence[Any]]) -> dict[str, str]:
        """Return the environment variables that a recipe, or its description, sets."""
        merged: dict[str, str] = {}
        for name, args, _ in steps:
            if name == "env":
                merged.update(args[0])
        return merged

    def describe(self) -> list[Any]:
        """Return the recipe as plain values that can be sent and shown."""
        return [
            [name, [_plain(arg) for arg in args], {k: _plain(v) for k, v in o.items()}] for name, args, o in self.steps
        ]


def _plain(value: Any) -> Any:
    """Return a value that msgpack can encode; other values become their repr, which is enough to be shown."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return repr(value)
