"""Names with options: `r1(weight=10,every=4)`, read by one grammar and checked against what the name's maker takes.

    text     = name | name(option, option, ...)
    option   = key=value
    value    = a number, true, false, none, a word, (value, value), or again a name with options

Commas nest: in `counter(stop_at=25),scale(by=(2,3))` there are two names, and `by` is a tuple.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ganzoo.config import Bounds, convert_value, parse_value, split_commas
from ganzoo.errors import ConfigError, PluginError, did_you_mean, quote

_CALL = re.compile(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_REQUIRED = inspect.Parameter.empty


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
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def split_call(text: Any, place: str) -> tuple[str, dict[str, str]]:
    """The name in `text` and the text of its options, before anybody knows what they mean.

    Raises:
        ConfigError: `text` does not keep the grammar; the message begins with `place`.
    """
    match = _CALL.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ConfigError(f"{place} must look like name or name(option=value,...), got {quote(text)}")
    given: dict[str, str] = {}
    for part in split_commas(match[2] or ""):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and key.isidentifier()):
            raise ConfigError(f"{place}: {quote(part.strip())} must look like option=value, in {quote(text)}")
        if key in given:
            raise ConfigError(f"{place}: {key} is given twice, in {quote(text)}")
        given[key] = value
    return match[1], given


def options_of(maker: Callable[..., Any], *, keyword_only: bool) -> dict[str, Option]:
    """The options of `maker`, a function or class: its parameters, or those that can be given by keyword alone.

    Types come from annotations (also where those are strings), else from defaults; bounds from
    `Annotated[float, Bounds(0, 1)]`.

    Raises:
        PluginError: a parameter can't be an option.
    """
    try:
        parameters = inspect.signature(maker).parameters.values()
    except (TypeError, ValueError) as error:
        raise PluginError(f"{maker!r} does not say what it takes ({error}); write it as a function") from error
    try:
        hints = typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker, include_extras=True)
    except Exception:  # a stranger's annotation names what is imported for type checkers alone
        hints = {}
    found = {}
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY or (
            not keyword_only and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ):
            kind, bounds = hints.get(parameter.name, Any), Bounds()
            if typing.get_origin(kind) is Annotated:
                kind, *extras = typing.get_args(kind)
                bounds = next((extra for extra in extras if isinstance(extra, Bounds)), bounds)
            if kind is Any:
                kind = type(parameter.default) if isinstance(parameter.default, (bool, int, float)) else str
            found[parameter.name] = Option(parameter.name, kind, parameter.default, bounds)
    return found


def read_options(given: Mapping[str, str], known: Mapping[str, Option], place: str) -> dict[str, Any]:
    """The values of `given` texts, each checked against the option of its name.

    Raises:
        ConfigError: one is unknown, missing, of another type or out of bounds; the message begins with `place`.
    """
    for key in given:
        if key not in known:
            takes = did_you_mean(key, known) if known else " It takes none."
            raise ConfigError(f"{place} has no option {quote(key)}.{takes}")
    for option in known.values():
        if option.default is _REQUIRED and option.name not in given:
            raise ConfigError(f"{place} needs {option.name}; write it as {option.name}=VALUE in the parentheses")
    return {
        key: convert_value(
            parse_value(_bare(text), known[key].kind), known[key].kind, f"{place}: {key}", known[key].bounds
        )
        for key, text in given.items()
    }


def _bare(text: str) -> str:
    """`text` without the parentheses around a tuple."""
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text
