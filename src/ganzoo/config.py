"""Configs: frozen dataclasses that check themselves, and go to and from plain JSON types, strictly."""

from __future__ import annotations

import builtins
import dataclasses
import math
import operator
import types
import typing
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, TypeVar, Union

from ganzoo.errors import ConfigError, did_you_mean, nearest, quote

C = TypeVar("C", bound="Config")
LARGEST = 2**63 - 1  # int that other programs and files can hold


class Bounds(NamedTuple):
    """The least and the largest that a number may be; None: any."""

    low: float | None = None
    high: float | None = None


POSITIVE = Bounds(1e-6, 10**6)  # of what must be above 0 and has no bounds of its own


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A field of a config: its default, one line of help, and the bounds of its numbers (or of a tuple's)."""
    return dataclasses.field(default=default, metadata={"help": help, "bounds": Bounds(low, high)})


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float, as JSON has them: no bool, none of NumPy's."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # by its type


def checked_int(name: str, value: Any, low: int, high: int = LARGEST) -> int:
    """`value`, the argument `name`, as an int from `low` to `high`, NumPy's and tensors' too; ConfigError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        bounds = f"of at least {low}" if high == LARGEST and low else f"from {low} to {high}"
        raise ConfigError(f"{name} must be an int {bounds}, got {quote(value)}")
    return number


def check_counts(place: str, low: int = 1, /, **counts: object) -> None:
    """Raise ConfigError unless all `counts`, arguments of `place` by their names, are ints of at least `low`."""
    for name, value in counts.items():
        if type(value) is not int or value < low:
            raise ConfigError(f"{place}: {name} must be an int of at least {low}, got {quote(value)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of all configs. Fields are int, float, bool, str, Literal, tuples, nested configs, or None.

    Every field is checked against its annotation and bounds when an object is made, by hand or from a file;
    `check` adds what concerns several fields. Errors are `ConfigError` and name the field's path.
    """

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in dataclasses.fields(self):
            bounds = field.metadata.get("bounds", Bounds())
            value = convert_value(getattr(self, field.name), hints[field.name], field.name, bounds)
            object.__setattr__(self, field.name, value)
        self.check()

    def check(self) -> None:
        """Raise ConfigError if fields do not go together. The message starts with a field's name."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types; `from_dict` makes an equal object of it."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls: type[C], values: Any, path: str = "") -> C:
        """Make a config of a dict; unknown keys and wrong types are errors that name their path below `path`."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path or cls.__name__} must be a mapping, got {quote(values)}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        place = f"{path}." if path else ""
        for key in values:
            if key not in fields:
                shown = key if isinstance(key, str) and key.isidentifier() and len(key) <= 80 else quote(key)
                raise ConfigError(f"{place}{shown} is unknown.{did_you_mean(key, fields)}")
        for name, field in fields.items():
            if name not in values and field.default is field.default_factory is dataclasses.MISSING:
                raise ConfigError(f"{place}{name} is missing; it has no default")
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"{place}{error}") from None

    def replace(self: C, changes: Mapping[Any, Any] | None = None, /, **more: Any) -> C:
        """A copy with some fields changed, given as a dict or by keyword; a nested config takes a dict of its own."""
        values: dict[Any, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, change in {**(changes or {}), **more}.items():
            old: Any = values.get(name)
            merge = isinstance(old, Config) and isinstance(change, Mapping)
            try:
                values[name] = old.replace(change) if merge else change
            except ConfigError as error:
                raise ConfigError(f"{name}.{error}") from None
        return type(self).from_dict(values)

    def resized(self: C, image_size: int) -> C:
        """A network's config for images of `image_size` pixels a side; a family of networks overrides it to offer that.

        Raises:
            ConfigError: it is not offered, or not for this size; the message starts with "image_size".
        """
        raise ConfigError(f"image_size can't be changed: {type(self).__name__} does not offer it; give its own options")

    def varied(self: C, changes: Mapping[str, Any], image_size: int | None = None) -> C:
        """A network's config with some fields changed, and then resized; a family overrides it if the fields given
        decide how a size is reached."""
        changed = self.replace(changes)
        return changed if image_size is None else changed.resized(image_size)

    @classmethod
    def described(cls, prefix: str = "") -> list[tuple[str, str, str]]:
        """Each field: name (behind `prefix`), default, meaning with a Literal's choices."""
        rows, hints = [], _hints(cls)
        for field in dataclasses.fields(cls):
            default = field.default
            shown = (",".join(map(str, default)) or "none") if isinstance(default, tuple) else default
            shown = "required" if default is dataclasses.MISSING else shown
            meaning, hint = field.metadata.get("help", ""), hints[field.name]
            choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
            if not all(f"{choice}:" in meaning for choice in choices):
                meaning += f" ({', '.join(choices)})"
            rows.append((f"{prefix}{field.name}", str(shown), meaning))
        return rows

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """The value that `text` from a command line stands for in field `name`.

        A tuple's items are separated by commas (those in parentheses do not count); `none` is None.
        """
        hints = _hints(cls)
        if name not in hints:
            raise ConfigError(f"{name} is unknown.{did_you_mean(name, hints)}")
        return parse_value(text, hints[name])


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_WORDS = {int: "an int", float: "a float", bool: "true or false", str: "a string", type(None): "null"}


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types that the annotation `kind` allows: the parts of a union, or `kind` alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else (kind,)


def _describe(kind: Any) -> str:
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Literal:
            return f"one of {', '.join(map(str, arguments))}"
        case builtins.tuple:
            return "a list, each item " + describe(arguments[0])
    return _WORDS.get(kind) or f"a mapping or a {kind.__name__}"


def describe(kind: Any) -> str:
    """What a value of the annotation `kind` is, for messages."""
    return " or ".join(map(_describe, alternatives(kind)))


def convert_value(value: Any, kind: Any, path: str, bounds: Bounds) -> Any:
    """`value` as the annotation `kind` wants it (lists become tuples, ints floats), or ConfigError."""
    part = next((part for part in alternatives(kind) if _looks_like(value, part)), None)
    if part is None:
        choices = typing.get_args(kind) if typing.get_origin(kind) is Literal and isinstance(value, str) else ()
        hint = nearest(value, map(str, choices))
        raise ConfigError(f"{path} must be {describe(kind)}, got {quote(value)}{hint and '.' + hint}")
    if part in (int, float):
        return part(_check_bounds(value, part, path, bounds))
    if part is str or typing.get_origin(part) is tuple:
        most, unit = (1000, "characters") if part is str else (64, "items")
        if len(value) > most:
            raise ConfigError(f"{path} must have at most {most} {unit}, got {len(value)}")
    if typing.get_origin(part) is tuple:
        item = typing.get_args(part)[0]
        return tuple(convert_value(each, item, f"{path}[{i}]", bounds) for i, each in enumerate(value))
    return part.from_dict(value, path) if isinstance(value, Mapping) else value


def _check_bounds(value: float, kind: type, path: str, bounds: Bounds) -> float:
    largest = LARGEST if kind is int else 1e300
    low, high = (-largest if bounds.low is None else bounds.low), (largest if bounds.high is None else bounds.high)
    if not (-largest <= value <= largest and low <= value <= high):  # written so that NaN is refused too
        ends = [f"at {end} {bound}" for end, bound in zip(("least", "most"), bounds, strict=True) if bound is not None]
        raise ConfigError(f"{path} must be {' and '.join(ends) or f'within ±{largest:g}'}, got {quote(value)}")
    return value


def _looks_like(value: Any, kind: Any) -> bool:
    """Whether `value` has the type, not yet the bounds, that the annotation `kind` (no union) wants."""
    match typing.get_origin(kind) or kind:
        case builtins.tuple:
            return isinstance(value, (list, tuple))
        case typing.Literal:
            return any(value == each and type(value) is type(each) for each in typing.get_args(kind))
        case builtins.int | builtins.float:  # NumPy's too
            return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind) or (issubclass(kind, Config) and isinstance(value, Mapping))


def parse_value(text: str, kind: Any) -> Any:
    """The value of the annotation `kind` that `text` stands for, or `text` if it stands for none."""
    text, kinds = text.strip(), alternatives(kind)
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    # a comma means a list, unless parentheses enclose it; without one, a single item is tried first
    several = "," in text and split_commas(text) != [text]
    ordered = sorted(kinds, key=lambda part: (typing.get_origin(part) is tuple) != several)
    parsed = ((_parse(text, part), part) for part in ordered if part is not type(None))
    return next((value for value, part in parsed if _looks_like(value, part)), text)


def _parse(text: str, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        items = [] if text.lower() in ("", "none") else split_commas(text)
        return [parse_value(item, typing.get_args(kind)[0]) for item in items]
    if typing.get_origin(kind) is Literal:
        return next((each for each in typing.get_args(kind) if str(each) == text), text)
    if kind is bool and text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return text.lower() in ("true", "yes", "on", "1")
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text  # the config's own check says what is wrong, with the field's path


def split_commas(text: str) -> list[str]:
    """The parts of `text` between commas that no parentheses enclose; one comma may end the last part."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if parts[-1].strip() else parts[:-1]
