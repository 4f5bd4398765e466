"""Checks of autoscaler settings, placement and timeouts.

Pure: values in, `AutoscalerSettings`, `Placement` and seconds out. This module must not know decorators.
"""

from __future__ import annotations

from swell.errors import InvalidError, InvalidTypeError, InvalidValueError
from swell.model import AutoscalerSettings, FunctionSpec, Placement
from swell.option_bounds import SCALEDOWN_WINDOW_S, TIMEOUT_S

__all__ = ["autoscaler_settings", "check_timeouts", "placement", "seconds"]


def autoscaler_settings(
    *,
    min_containers: object = None,
    max_containers: object = None,
    buffer_containers: object = None,
    scaledown_window: object = None,
) -> AutoscalerSettings:
    """Return the autoscaler settings of a decorator; None leaves a setting open, and so does `max_containers=0`.

    Raises:
        InvalidError: a number out of range (a ValueError, too) or no int (a TypeError, too), or min above max.
    """
    least = _containers("min_containers", min_containers)
    most = _containers("max_containers", max_containers) or None
    if least is not None and most is not None and least > most:
        raise InvalidError(f"min_containers={least} cannot be greater than max_containers={most}")
    return AutoscalerSettings(
        min_containers=least,
        max_containers=most,
        buffer_containers=_containers("buffer_containers", buffer_containers),
        scaledown_window=_scaledown_window(scaledown_window),
    )


def placement(value: object) -> Placement:
    """Return the placement that a decorator says; None is the default, pack.

    Raises:
        InvalidError: there is no such placement.
    """
    known = [each.value for each in Placement]
    if value is None:
        return Placement.PACK
    if not isinstance(value, str):
        raise InvalidTypeError(f"placement must be a str, {' or '.join(map(repr, known))}, not {value!r}")
    if value not in known:
        raise InvalidValueError(f"placement must be {' or '.join(map(repr, known))}, not {value!r}")
    return Placement(value)


def _containers(name: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be an int, not {value!r}")
    if value < 0:
        raise InvalidValueError(f"{name} must be 0 or more, not {value}")
    return value


def _scaledown_window(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"scaledown_window must be an int number of seconds, not {value!r}")
    low, high = SCALEDOWN_WINDOW_S
    if value <= 0:
        raise InvalidValueError(f"scaledown_window must be > 0 seconds, from {low} to {high}, not {value}")
    if not low <= value <= high:
        raise InvalidValueError(f"scaledown_window must be from {low} to {high} seconds, not {value}")
    return value


def seconds(name: str, value: object) -> float:
    """Return a number of seconds; its range is checked when the App is loaded.

    Raises:
        InvalidError: it is None, or (a TypeError, too) not a number.
    """
    if value is None:
        raise InvalidError(f"{name} cannot be set to None: give a number of seconds, at most {TIMEOUT_S.most}")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be a number of seconds, not {value!r}")
    return float(value)


def check_timeouts(spec: FunctionSpec) -> None:
    """Refuse time limits out of range.

    Raises:
        InvalidError: names the Function, the limit and its range.
    """
    low, high = TIMEOUT_S
    for name, value in (("timeout", spec.timeout_s), ("startup_timeout", spec.startup_timeout_s)):
        if not low <= value <= high:
            raise InvalidError(f"{spec.name}: {name} must be from {low} to {high} seconds, not {value:g}")
