"""Names with options: `r1(weight=10,every=4)`, read by one grammar and checked against what the name's maker takes.

    text     = name | name(option, option, ...) | name:value?option&option&...
    option   = key=value
    value    = a number, true, false, none, a word, (value, value), or again a name with options

Commas nest: in `counter(stop_at=25),scale(by=(2,3))` there are two names, and `by` is a tuple. The value behind a colon
is the first option's, as in `timm:resnet18?weights=FILE`; there %26 stands for &, as in addresses.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote as escaped
from urllib.parse import unquote

from ganzoo.config import Bounds, alternatives, convert_value, parse_value, split_commas
from ganzoo.errors import ConfigError, PluginError, did_you_mean, quote

_CALL = re.compile(r"\s*([\w.-]+)(?:\s*\((.*)\)|:([^?]*)(?:\?(.*))?)?\s*", re.DOTALL)
_FIRST = ""  # the key of a value that stands behind a colon, until it is known what the name takes
_REQUIRED = inspect.Parameter.empty
_UNKNOWN = object()


@dataclass(frozen=True)
class Option:
    """What a maker takes by `name`: a value of type `kind` within `bounds`, required if it has no default."""

    name: str
    kind: Any
    default: Any
    bounds: Bounds

    def __str__(self) -> str:
        return self.name if self.default is _REQUIRED else f"{self.name}={_shown(self.default)}"


def _shown(value: Any) -> str:
    """`value` as it is written in the grammar."""
    if isinstance(value, tuple):
        return f"({','.join(map(_shown, value))})"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def split_call(text: Any, place: str) -> tuple[str, dict[str, str]]:
    """The name in `text` and the text of its options, before anybody knows what they mean.

    Raises:
        ConfigError: `text` does not keep the grammar; the message begins with `place`.
    """
    match = _CALL.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ConfigError(f"{place} must look like name or name(option=value,...), got {quote(text)}")
    name, options, first, query = match.groups()
    given = {} if first is None else {_FIRST: unquote(first.strip())}
    for part in query.split("&") if query else split_commas(options or ""):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and key.isidentifier()):
            raise ConfigError(f"{place}: {quote(part.strip())} must look like option=value, in {quote(text)}")
        if key in given:
            raise ConfigError(f"{place}: {key} is given twice, in {quote(text)}")
        given[key] = unquote(value) if query else value
    return name, given


def called_name(text: str) -> str:
    """The name in `text`, a name with or without options, whether or not these keep the grammar."""
    return re.split("[(:]", text, maxsplit=1)[0].strip()


def join_call(name: str, given: Mapping[str, str]) -> str:
    """The text that `split_call` takes apart into `name` and `given`.

    A value with a comma or parenthesis can only stand behind the question mark of a text with a colon.
    """
    if _FIRST not in given:
        return f"{name}({','.join(f'{key}={value}' for key, value in given.items())})"
    query = "&".join(f"{key}={escaped(value, safe='/')}" for key, value in given.items() if key != _FIRST)
    return f"{name}:{escaped(given[_FIRST], safe='/')}" + (f"?{query}" if query else "")


def options_of(
    maker: Callable[..., Any], *, keyword_only: bool, skip: int = 0, without: Collection[str] = ()
) -> dict[str, Option]:
    """The options of `maker`, a function or class: its parameters, or those that can be given by keyword alone.

    Types come from annotations (also if those are strings), else from defaults; bounds from
    `Annotated[float, Bounds(0, 1)]`. An option is an int, float, bool, str, Literal, a tuple[X, ...] of those, or None.

    Args:
        skip: so many parameters at the start are no options.
        without: nor are those of these names.

    Raises:
        PluginError: a parameter can't be an option; the message says which and why.
    """
    try:
        parameters = [*inspect.signature(maker).parameters.values()][skip:]
    except (TypeError, ValueError) as error:
        raise PluginError(f"{maker!r} does not say what it takes ({error}); write it as a function") from error
    no_options: set[Any] = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    if keyword_only:
        no_options |= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    wanted = [each for each in parameters if each.kind not in no_options and each.name not in without]
    return {each.name: _option(_target(maker), each) for each in wanted}


def _target(maker: Callable[..., Any]) -> Callable[..., Any]:
    """The function or class whose module and annotations those of `maker` are."""
    while isinstance(maker, partial):
        maker = maker.func
    return maker if inspect.isroutine(maker) or inspect.isclass(maker) else type(maker).__call__


def _option(maker: Callable[..., Any], parameter: inspect.Parameter) -> Option:
    place = f"{quote(parameter.name)} of {maker.__module__}.{maker.__qualname__} can't be an option"
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise PluginError(f"{place}: it is taken by position alone; remove the / behind it")
    default, bounds = parameter.default, Bounds()
    kind = _annotation(maker, parameter)
    if typing.get_origin(kind) is Annotated:
        kind, *extras = typing.get_args(kind)
        bounds = next((extra for extra in extras if isinstance(extra, Bounds)), bounds)
    if kind is _UNKNOWN and isinstance(default, (bool, int, float, str)):
        kind = type(default)
    if not all(map(_can_be_option, alternatives(kind))):
        shown = "not annotated" if kind is _UNKNOWN else f"annotated as {inspect.formatannotation(kind)}"
        raise PluginError(f"{place}: it is {shown}; an int, float, bool, str, Literal, tuple[X, ...] or None can")
    if default is not _REQUIRED:
        try:
            default = convert_value(default, kind, f"its default for {quote(parameter.name)}", bounds)
        except ConfigError as error:
            raise PluginError(f"{place}: {error}; correct the default or the annotation") from None
    return Option(parameter.name, kind, default, bounds)


def _annotation(maker: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The type that `parameter` is annotated with, or _UNKNOWN, also if its name exists for type checkers alone."""
    if parameter.annotation is inspect.Parameter.empty:
        return _UNKNOWN
    function: Any = inspect.unwrap(maker.__init__ if inspect.isclass(maker) else maker)

    def alone() -> None: ...  # so that one annotation that can't be read (the result's, say) does not hide the others

    alone.__annotations__ = {"option": parameter.annotation}
    try:
        return typing.get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)["option"]
    except Exception:
        return _UNKNOWN


def _can_be_option(kind: Any) -> bool:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return arguments[-1] is Ellipsis and all(map(_can_be_option, alternatives(arguments[0])))
    return typing.get_origin(kind) is Literal or kind in (int, float, bool, str, type(None))


def read_options(given: Mapping[str, str], known: Mapping[str, Option], place: str) -> dict[str, Any]:
    """The values of `given` texts, each checked against the option of its name.

    Raises:
        ConfigError: one is unknown, missing, of another type or out of bounds; the message begins with `place`.
    """
    if _FIRST in given:
        first = next(iter(known), "")
        if first in given:
            again = f"{first} is given twice" if first else "it takes no options"
            raise ConfigError(f"{place}:{given[_FIRST]}: {again}")
        given = {first if key == _FIRST else key: value for key, value in given.items()}
    for key in given:
        if key not in known:
            takes = did_you_mean(key, known) if known else " It takes none."
            raise ConfigError(f"{place} has no option {quote(key)}.{takes}")
    for option in known.values():
        if option.default is _REQUIRED and option.name not in given:
            raise ConfigError(f"{place} needs {option.name}; write it as {option.name}=VALUE in the parentheses")
    values = {}
    for key, text in given.items():
        kind, bounds = known[key].kind, known[key].bounds
        values[key] = convert_value(parse_value(_bare(text), kind), kind, f"{place}: {key}", bounds)
    return values


def _bare(text: str) -> str:
    """`text` without the parentheses around a tuple."""
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text
