"""The container environment of a Function: its image, secrets, volumes and environment variables.

Checks these options, and computes the variables to set and the facts to record. This module must not know how a
container gets them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from swell.errors import InvalidError, NotFoundError
from swell.model import FunctionSpec
from swell.sdk.declare.image import Image
from swell.sdk.declare.secret import Secret, check_variables
from swell.sdk.declare.volume import Volume

__all__ = ["ContainerEnv", "check_container_env", "missing_secret", "parse_container_env"]


class ContainerEnv(NamedTuple):
    """Image, secrets and volumes of an App, of a function, or of a variant."""

    image: Image | None = None
    secrets: tuple[Secret, ...] = ()
    volumes: Mapping[str, Volume] = {}

    def under(self, own: ContainerEnv) -> ContainerEnv:
        """Return the environment of a function, under these values of its App: its image, all secrets, both volumes."""
        return ContainerEnv(own.image or self.image, (*self.secrets, *own.secrets), {**self.volumes, **own.volumes})

    def variables(self) -> dict[str, str]:
        """Return the environment variables to set; later secrets replace earlier ones, and all replace the image's."""
        merged = {} if self.image is None else self.image.variables
        for secret in self.secrets:
            merged.update(secret.variables)
        return merged

    def recorded(self) -> dict[str, Any]:
        """Return what is recorded about them, as plain values; empty ones are left out."""
        facts: dict[str, Any] = {
            "image": None if self.image is None else self.image.describe(),
            "secrets": [secret.name for secret in self.secrets if secret.name],
            "required_keys": sorted({key for secret in self.secrets for key in secret.required_keys}),
            "volumes": {path: volume.name for path, volume in self.volumes.items()},
        }
        return {name: fact for name, fact in facts.items() if fact}


def parse_container_env(
    *, image: object = None, secrets: object = None, volumes: object = None, env: object = None
) -> ContainerEnv:
    """Return these options, checked; `env` becomes one more secret at the end.

    Raises:
        InvalidError: an option is not an Image, a list of Secret, a dict of Volume, or a dict of str.
    """
    if image is not None and not isinstance(image, Image):
        raise InvalidError(f"image must be a swell.Image, not {image!r}")
    extra = (Secret(check_variables(cast("Mapping[str, str | None]", env), "env")),) if env else ()
    return ContainerEnv(image, (*_check_secrets(secrets), *extra), _check_volumes(volumes))


def _check_secrets(secrets: object) -> tuple[Secret, ...]:
    if secrets is None:
        return ()
    if not isinstance(secrets, (list, tuple)):
        raise InvalidError(f"secrets must be a list of swell.Secret, not {secrets!r}")
    for secret in cast("Sequence[object]", secrets):
        if not isinstance(secret, Secret):
            raise InvalidError(f"secrets must be a list of swell.Secret, and holds {secret!r}")
    return tuple(cast("Sequence[Secret]", secrets))


def _check_volumes(volumes: object) -> dict[str, Volume]:
    if volumes is None:
        return {}
    if not isinstance(volumes, Mapping):
        raise InvalidError(f"volumes must be a dict from path to swell.Volume, not {volumes!r}")
    checked: dict[str, Volume] = {}
    for path, volume in cast("Mapping[object, object]", volumes).items():
        if not isinstance(path, (str, os.PathLike)) or not isinstance(volume, Volume):
            raise InvalidError(f"volumes must be a dict from path to swell.Volume, and holds {path!r}: {volume!r}")
        checked[os.fspath(cast("str", path))] = volume
    return checked


def check_container_env(spec: FunctionSpec) -> None:
    """Refuse options that no container could have; warn of those that containers on this machine do not have.

    Raises:
        InvalidError: one Volume at two paths.
        NotFoundError: an environment variable that a Secret requires is not set.
    """
    volumes: dict[str, str] = spec.recorded.get("volumes", {})
    paths: dict[str, str] = {}
    for path, name in volumes.items():
        if name in paths:
            raise InvalidError(f"{spec.name}: the Volume {name!r} cannot be at two paths, {paths[name]} and {path}")
        paths[name] = path
    if missing := missing_secret(spec):
        raise NotFoundError(missing)
    if volumes:
        warnings.warn(
            f"{spec.name}: Volumes are recorded, not mounted; its containers see the directories of this machine at "
            f"{', '.join(volumes)}",
            UserWarning,
            stacklevel=2,
        )


def missing_secret(spec: FunctionSpec) -> str:
    """Return which environment variable is not set that a Secret requires; "" if all are."""
    for key in spec.recorded.get("required_keys", []):
        if key not in os.environ and key not in spec.variables:
            return f"{spec.name}: a Secret requires the environment variable {key}, which is not set"
    return ""
