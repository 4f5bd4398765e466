"""Turns the parameters of a user's function into command-line options, and the options into its arguments.

Every parameter becomes an option named after it. The text form of each type is defined here and nowhere else. This
module must not know Apps, or how the function is called.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import click

from swell.errors import ExecutionError, InvalidError
from swell.model import ParameterSpec

__all__ = ["Arguments", "command_for"]

VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Arguments(NamedTuple):
    """The arguments of a function and, for a method, the parameters of its instance."""

    positional: tuple[Any, ...]
    named: dict[str, Any]
    of_class: dict[str, Any]


class _Moment(click.ParamType[datetime]):
    """A date, or a date and time, in ISO 8601."""

    name = "datetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date and time such as 2026-05-01 or 2026-05-01T14:30:00", param, ctx)


_TYPES: Final[Mapping[Any, click.ParamType[Any]]] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
    datetime: _Moment(),
}
_OF_CLASS: Final = {"str": str, "int": int, "bool": bool}


def command_for(
    name: str, function: Callable[..., Any], *, is_method: bool = False, of_class: Sequence[ParameterSpec] = ()
) -> click.Command:
    """Return a command that parses the options of a function and returns its `Arguments`.

    Args:
        name: What the usage line calls it.
        function: The user's function.
        is_method: Its first parameter is `self`.
        of_class: Parameters of its class, which become options, too.

    Raises:
        InvalidError: a parameter cannot be given on a command line; says which, and what can.
        ExecutionError: the annotations cannot be evaluated.
    """
    parameters = _parameters(function, is_method=is_method)
    if any(parameter.kind in VARIADIC for parameter in parameters):
        if len(parameters) > 1 or of_class or parameters[0].kind is inspect.Parameter.VAR_KEYWORD:
            raise InvalidError(
                f"{_name(function)}: on a command line *args must be the only parameter, and **kwargs is not possible"
            )
        return _Verbatim(name, help=inspect.getdoc(function))
    options = [*_class_options(function, of_class), *(_option(function, parameter) for parameter in parameters)]
    names = [str(option.name) for option in options]
    if twice := {known for known in names if names.count(known) > 1}:
        raise InvalidError(
            f"{_name(function)}: {twice.pop()!r} is a parameter of the class and of the method; rename one of them"
        )

    def collect(**values: Any) -> Arguments:
        by_position = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        class_names = {spec.name for spec in of_class}
        return Arguments(
            tuple(values[known] for known in by_position),
            {known: value for known, value in values.items() if known not in by_position and known not in class_names},
            {known: value for known, value in values.items() if known in class_names},
        )

    return click.Command(
        name,
        params=list[click.Parameter](options),
        callback=collect,
        help=inspect.getdoc(function),
        context_settings={"help_option_names": ["-h", "--help"]},
    )


class _Verbatim(click.Command):
    """Passes every word to a function's `*args`; only a lone `--help` is its own."""

    def __init__(self, name: str, help: str | None) -> None:
        super().__init__(name, help=help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args == ["--help"]:
            return super().parse_args(ctx, args)
        ctx.args = list(args)
        return ctx.args

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[ARGS]..."]

    def invoke(self, ctx: click.Context) -> Arguments:
        return Arguments(tuple(ctx.args), {}, {})


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _parameters(function: Callable[..., Any], *, is_method: bool) -> list[inspect.Parameter]:
    """Return the parameters, with annotations evaluated."""
    parameters = list(inspect.signature(function).parameters.values())[int(is_method) :]
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise ExecutionError(
            f"Unable to generate command line interface for {_name(function)}: "
            f"its annotations cannot be evaluated: {error}"
        ) from error
    return [parameter.replace(annotation=hints.get(parameter.name, parameter.empty)) for parameter in parameters]


# ---------------------------------------------------------------- one option


def _class_options(function: Callable[..., Any], specs: Sequence[ParameterSpec]) -> list[click.Option]:
    options: list[click.Option] = []
    for spec in specs:
        if spec.kind not in _OF_CLASS:
            if not spec.has_default:
                raise InvalidError(f"{_name(function)}: {spec.name} is {spec.kind}, which no command line can give")
            continue
        default = spec.default if spec.has_default else inspect.Parameter.empty
        kind = inspect.Parameter.KEYWORD_ONLY
        parameter = inspect.Parameter(spec.name, kind, default=default, annotation=_OF_CLASS[spec.kind])
        options.append(_option(function, parameter))
    return options


def _option(function: Callable[..., Any], parameter: inspect.Parameter) -> click.Option:
    """Return `--kebab-name` for a parameter, required if it has no default; `--x/--no-x` for a bool."""
    flag = parameter.name.strip("_").replace("_", "-")
    annotation = _without_none(parameter.annotation)
    required = parameter.default is parameter.empty
    declared = f"--{flag}/--no-{flag}" if annotation is bool else f"--{flag}"
    attributes: dict[str, Any] = {"required": True} if required else {"default": parameter.default}
    return click.Option(
        [parameter.name, declared],
        type=_type(function, parameter, annotation),
        show_default=not required and parameter.default is not None,
        **attributes,
    )


def _without_none(annotation: Any) -> Any:
    """Return T for `Optional[T]` and `T | None`, everything else as it is."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [member for member in get_args(annotation) if member is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return annotation


def _type(function: Callable[..., Any], parameter: inspect.Parameter, annotation: Any) -> click.ParamType[Any]:
    if annotation is parameter.empty:
        return click.STRING
    if get_origin(annotation) is Literal:
        members = get_args(annotation)
        if all(type(member) is str for member in members) or all(type(member) is int for member in members):
            return click.Choice(members)
    elif annotation in _TYPES:
        return _TYPES[annotation]
    raise InvalidError(
        f"{_name(function)}: parameter {parameter.name} has the unparseable annotation {parameter.annotation!r}; "
        "possible are str, int, float, bool, datetime.datetime, a Literal of str or of int, and `| None` of these"
    )
