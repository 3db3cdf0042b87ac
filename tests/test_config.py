"""Configs: strict about types, bounds and names; every error is one short line that names the field's path."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from types import MappingProxyType
from typing import Literal

import pytest
import torch

from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, quote


@dataclass(frozen=True, kw_only=True)
class Net(Config):
    widths: tuple[int, ...] = option((8, 4), "channels", low=1, high=512)
    head: Literal["doubling", "same"] = option("same", "how it ends")
    block: str | tuple[str, ...] = option("dcgan-up", "one name, or several")
    slope: float | None = option(None, "of the leaky side", low=0, high=1)
    rate: float = option(1e-3, "any number")
    count: int = option(0, "any int")

    def check(self) -> None:
        if len(self.widths) > 5:
            raise ConfigError(f"widths must have at most 5 items, got {len(self.widths)}")


@dataclass(frozen=True, kw_only=True)
class Pair(Config):
    name: str = option("pair", "a name")
    flip: bool = option(False, "mirror")
    generator: Net = Net()
    extra: Net | None = None
    several: tuple[Net, ...] = ()
    limit: int | Literal["auto"] = option("auto", "a limit", low=1)


@dataclass(frozen=True, kw_only=True)
class Needy(Config):
    size: int
    net: Net = Net()


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def in_itself():
    value: list = []
    value.append(value)
    return value


class Loud:
    def __repr__(self):
        raise RuntimeError("no repr")


class Size(IntEnum):
    SMALL = 4


BAD = [
    # types
    ({"generator": {"widths": [8, "x"]}}, 'generator.widths[1] must be an int, got "x"'),
    ({"generator": {"widths": [8, 4.0]}}, "generator.widths[1] must be an int, got 4.0"),
    ({"generator": {"widths": [True]}}, "generator.widths[0] must be an int, got true"),
    ({"generator": {"widths": [None]}}, "generator.widths[0] must be an int, got null"),
    ({"generator": {"widths": 8}}, "generator.widths must be a list, each item an int, got 8"),
    ({"generator": {"widths": "8,4"}}, 'generator.widths must be a list, each item an int, got "8,4"'),
    ({"generator": {"widths": {"0": 8}}}, 'generator.widths must be a list, each item an int, got {"0": 8}'),
    ({"generator": {"widths": [[8]]}}, "generator.widths[0] must be an int, got [8]"),
    ({"generator": {"count": True}}, "generator.count must be an int, got true"),
    ({"generator": {"count": 1.0}}, "generator.count must be an int, got 1.0"),
    ({"generator": {"count": "1"}}, 'generator.count must be an int, got "1"'),
    ({"generator": {"count": None}}, "generator.count must be an int, got null"),
    ({"generator": {"rate": False}}, "generator.rate must be a float, got false"),
    ({"generator": {"rate": "0.1"}}, 'generator.rate must be a float, got "0.1"'),
    ({"generator": {"slope": [0.1]}}, "generator.slope must be a float or null, got [0.1]"),
    ({"generator": {"slope": True}}, "generator.slope must be a float or null, got true"),
    ({"generator": {"block": 3}}, "generator.block must be a string or a list, each item a string, got 3"),
    ({"generator": {"block": ["a", 3]}}, "generator.block[1] must be a string, got 3"),
    ({"flip": 1}, "flip must be true or false, got 1"),
    ({"flip": "true"}, 'flip must be true or false, got "true"'),
    ({"name": 1}, "name must be a string, got 1"),
    ({"name": b"x"}, "name must be a string, got b'x'"),
    ({"name": None}, "name must be a string, got null"),
    ({"limit": "all"}, 'limit must be an int or one of auto, got "all"'),
    ({"limit": 1.5}, "limit must be an int or one of auto, got 1.5"),
    # closed sets
    (
        {"generator": {"head": "doublin"}},
        'generator.head must be one of doubling, same, got "doublin". Did you mean "doubling"?',
    ),
    ({"generator": {"head": "zzz"}}, 'generator.head must be one of doubling, same, got "zzz"'),
    ({"generator": {"head": 1}}, "generator.head must be one of doubling, same, got 1"),
    ({"generator": {"head": ["same"]}}, 'generator.head must be one of doubling, same, got ["same"]'),
    # bounds
    ({"generator": {"widths": [0]}}, "generator.widths[0] must be at least 1 and at most 512, got 0"),
    ({"generator": {"widths": [8, 513]}}, "generator.widths[1] must be at least 1 and at most 512, got 513"),
    ({"generator": {"slope": -0.1}}, "generator.slope must be at least 0 and at most 1, got -0.1"),
    ({"generator": {"slope": float("nan")}}, "generator.slope must be at least 0 and at most 1, got NaN"),
    ({"generator": {"rate": float("nan")}}, "generator.rate must be within ±1e+300, got NaN"),
    ({"generator": {"rate": float("inf")}}, "generator.rate must be within ±1e+300, got Infinity"),
    ({"generator": {"rate": float("-inf")}}, "generator.rate must be within ±1e+300, got -Infinity"),
    ({"generator": {"rate": 1.5e308}}, "generator.rate must be within ±1e+300, got 1.5e+308"),
    ({"generator": {"rate": 10**400}}, f"generator.rate must be within ±1e+300, got 1{'0' * 76}..."),
    ({"generator": {"count": 10**400}}, f"generator.count must be within ±9.22337e+18, got 1{'0' * 76}..."),
    ({"generator": {"count": -(2**63)}}, "generator.count must be within ±9.22337e+18, got -9223372036854775808"),
    ({"generator": {"count": 10**5000}}, "generator.count must be within ±9.22337e+18, got <int>"),
    ({"limit": 0}, "limit must be at least 1, got 0"),
    ({"limit": 10**400}, f"limit must be at least 1, got 1{'0' * 76}..."),
    # lengths
    ({"generator": {"widths": [8] * 65}}, "generator.widths must have at most 64 items, got 65"),
    ({"generator": {"widths": [8] * 6}}, "generator.widths must have at most 5 items, got 6"),
    ({"generator": {"block": ["a"] * 10**6}}, "generator.block must have at most 64 items, got 1000000"),
    ({"several": [{}] * 65}, "several must have at most 64 items, got 65"),
    ({"name": "x" * 1001}, "name must have at most 1000 characters, got 1001"),
    # nesting
    ({"generator": None}, "generator must be a mapping or a Net, got null"),
    ({"generator": []}, "generator must be a mapping or a Net, got []"),
    ({"extra": 1}, "extra must be a mapping or a Net or null, got 1"),
    ({"extra": {"widths": ["x"]}}, 'extra.widths[0] must be an int, got "x"'),
    ({"several": [{}, {"count": "x"}]}, 'several[1].count must be an int, got "x"'),
    ({"several": [{}, {"widhts": 1}]}, 'several[1].widhts is unknown. Did you mean "widths"?'),
    # keys
    ({"generatr": {}}, 'generatr is unknown. Did you mean "generator"? Known: name, flip, generator, '),
    ({"generator": {"widht": [1]}}, 'generator.widht is unknown. Did you mean "widths"? Known: widths, head, '),
    ({"generator": {"zzzz": 1}}, "generator.zzzz is unknown. Known: widths, head, "),
    ({1: 2}, "1 is unknown. Known: name"),
    ({None: 2}, "null is unknown. Known: name"),
    ({("a", 1): 2}, '["a", 1] is unknown. Known: name'),
    ({10**5000: 2}, "<int> is unknown. Known: name"),
    ({"a b": 2}, '"a b" is unknown. Known: name'),
    ({"__class__": "x"}, "__class__ is unknown. Known: name"),
    ({"self": "x"}, "self is unknown. Known: name"),
    ({"check": 1}, "check is unknown. Known: name"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_bad_value_names_its_path_and_itself(number):
    values, message = BAD[number]
    with pytest.raises(ConfigError) as caught:
        Pair.from_dict(values)
    text = str(caught.value)
    if "Known: " in text:  # the list of all names is long
        assert text.startswith(message)
    else:
        assert text == message
    assert text.isprintable() and len(text) < 300


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_bad_value_below_a_path_names_the_whole_path(number):
    values, message = BAD[number]
    with pytest.raises(ConfigError) as caught:
        Pair.from_dict(values, "config.json")
    assert str(caught.value).startswith(f"config.json.{message}")


@pytest.mark.parametrize(
    "number", [n for n, (values, _) in enumerate(BAD) if all(isinstance(key, str) for key in values)]
)
def test_replace_judges_as_from_dict_does(number):
    values, message = BAD[number]
    with pytest.raises(ConfigError) as caught:
        Pair().replace(values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "values", [None, 1, "x", [], [("name", "x")], True, nested(10_000), b"{}"], ids=lambda value: type(value).__name__
)
def test_only_a_mapping_makes_a_config(values):
    with pytest.raises(ConfigError, match=r"^Pair must be a mapping, got "):
        Pair.from_dict(values)
    with pytest.raises(ConfigError, match=r"^run\.json must be a mapping, got "):
        Pair.from_dict(values, "run.json")


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda values: MappingProxyType(dict(values))])
def test_any_mapping_makes_a_config(kind):
    assert Pair.from_dict(kind({"generator": kind({"widths": [1]})})) == Pair(generator=Net(widths=(1,)))


HUGE = "y" * 100_000
GIANTS = {
    "string": HUGE,
    "list": list(range(100_000)),
    "dict": {HUGE: HUGE},
    "int": 10**5000,
    "deep": nested(100_000),
    "in itself": in_itself(),
    "tensor": torch.zeros(100, 100),
    "no repr": Loud(),
    "lines": "a\nb\r\x1b[31m\u2028\ud800",
    "class": torch.nn.ReLU,
}


PLACES = {
    **{field.name: lambda value, name=field.name: {"generator": {name: value}} for field in dataclasses.fields(Net)},
    "whole": lambda value: {"generator": value},
    "item": lambda value: {"generator": {"widths": [1, value]}},
}


@pytest.mark.parametrize("giant, place", [pair for pair in product(GIANTS, PLACES) if pair != ("lines", "block")])
def test_a_giant_value_gives_a_short_printable_line(giant, place):
    with pytest.raises(ConfigError) as caught:
        Pair.from_dict(PLACES[place](GIANTS[giant]))
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("key", [HUGE, HUGE.encode(), "a\nb\x1b[31m", (HUGE,) * 10], ids=lambda key: type(key).__name__)
def test_a_giant_key_gives_a_short_printable_line(key):
    for values in ({key: 1}, {"generator": {key: 1}}):
        with pytest.raises(ConfigError, match="is unknown") as caught:
            Pair.from_dict(values)
        assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("giant", GIANTS)
def test_quote_is_short_and_printable_whatever_it_is_given(giant):
    for limit in (20, 80):
        assert len(quote(GIANTS[giant], limit)) <= limit and quote(GIANTS[giant], limit).isprintable()


def test_quote_shows_json_where_it_can():
    shown = [quote(value) for value in ("x", None, True, [1, 2.5], (1,), {"a": 1}, "größe", {1}, int)]
    assert shown == ['"x"', "null", "true", "[1, 2.5]", "[1]", '{"a": 1}', '"größe"', "{1}", "<class 'int'>"]


GOOD = [
    ({}, Pair()),
    ({"generator": {"widths": [1, 2]}}, Pair(generator=Net(widths=(1, 2)))),
    ({"generator": {"widths": []}}, Pair(generator=Net(widths=()))),
    ({"generator": {"slope": 1}}, Pair(generator=Net(slope=1.0))),
    ({"generator": {"slope": None}}, Pair()),
    ({"generator": {"block": ["a", "b"]}}, Pair(generator=Net(block=("a", "b")))),
    ({"generator": {"count": 2**63 - 1}}, Pair(generator=Net(count=2**63 - 1))),
    ({"generator": {"count": Size.SMALL}}, Pair(generator=Net(count=4))),
    ({"generator": Net(count=3)}, Pair(generator=Net(count=3))),
    ({"extra": {}}, Pair(extra=Net())),
    ({"several": [{}, Net(count=1)]}, Pair(several=(Net(), Net(count=1)))),
    ({"limit": 3}, Pair(limit=3)),
    ({"name": "x" * 1000}, Pair(name="x" * 1000)),
]


@pytest.mark.parametrize("values, config", GOOD)
def test_good_values_are_taken_as_the_fields_types(values, config):
    made = Pair.from_dict(values)
    assert made == config and hash(made) == hash(config)
    assert type(made.generator.widths) is tuple and type(made.generator.count) is int
    assert made.generator.slope is None or type(made.generator.slope) is float
    assert type(made.generator.rate) is float


def test_making_one_by_hand_is_as_strict_as_from_a_dict():
    assert Net(widths=[1, 2]).widths == (1, 2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r'^widths\[1\] must be an int, got "x"$'):
        Net(widths=(1, "x"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^generator must be a mapping or a Net, got "):
        Pair(generator=Pair())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Net((1, 2))  # type: ignore[misc]  # keyword-only


def test_a_config_is_frozen_and_can_be_a_key():
    config = Pair()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.name = "other"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.generator.count = 1  # type: ignore[misc]
    assert {config: 1}[Pair()] == 1


def test_a_field_without_default_is_asked_for():
    with pytest.raises(ConfigError, match=r"^size is missing; it has no default$"):
        Needy.from_dict({})
    with pytest.raises(ConfigError, match=r"^run\.size is missing"):
        Needy.from_dict({"net": {}}, "run")
    assert Needy.from_dict({"size": 3}).replace(net={"count": 1}) == Needy(size=3, net=Net(count=1))


def test_replace_changes_a_copy_and_merges_into_nested_configs():
    config = Pair(name="a", generator=Net(widths=(1, 2), count=5))
    changed = config.replace(flip=True, generator={"widths": [3]})
    assert changed == Pair(name="a", flip=True, generator=Net(widths=(3,), count=5))
    assert config.generator.widths == (1, 2)
    assert config.replace({"name": "b"}, flip=True) == config.replace({"name": "b", "flip": True})
    assert config.replace(generator=Net()) == Pair(name="a")
    assert config.replace(extra={"count": 1}).extra == Net(count=1)  # where there was none, the rest is default
    assert config.replace() == config and config.replace({}) == config
    with pytest.raises(ConfigError, match=r"^generator\.1 is unknown"):
        config.replace(generator={1: 2})


PARSED = [
    ("name", " x ", "x"),
    ("name", "none", "none"),
    ("flip", "true", True),
    ("flip", "Yes", True),
    ("flip", "on", True),
    ("flip", "1", True),
    ("flip", "False", False),
    ("flip", "no", False),
    ("flip", "off", False),
    ("flip", "0", False),
    ("limit", "3", 3),
    ("limit", "auto", "auto"),
]
NET_PARSED = [
    ("widths", "1,2", (1, 2)),
    ("widths", " 1 , 2 ", (1, 2)),
    ("widths", "1", (1,)),
    ("widths", "1,", (1,)),
    ("widths", "", ()),
    ("widths", "none", ()),
    ("head", "doubling", "doubling"),
    ("block", "a", "a"),
    ("block", "a,b", ("a", "b")),
    ("block", "a,", ("a",)),
    ("block", "r1(weight=1,every=4),r2", ("r1(weight=1,every=4)", "r2")),
    ("block", "a,f(g(1,2),h(3)),b", ("a", "f(g(1,2),h(3))", "b")),
    ("slope", "none", None),
    ("slope", "None", None),
    ("slope", "null", None),
    ("slope", "0.25", 0.25),
    ("slope", "1", 1.0),
    ("rate", "1e-4", 1e-4),
    ("count", "-7", -7),
]


@pytest.mark.parametrize(
    "kind, name, text, value", [(Pair, *row) for row in PARSED] + [(Net, *row) for row in NET_PARSED]
)
def test_command_line_text_becomes_the_fields_value(kind, name, text, value):
    config = kind().replace({name: kind.parse(name, text)})
    assert getattr(config, name) == value and type(getattr(config, name)) is type(value)


@pytest.mark.parametrize(
    "kind, name, text, message",
    [
        (Net, "widths", "1,x", 'widths[1] must be an int, got "x"'),
        (Net, "widths", "1,,2", 'widths[1] must be an int, got ""'),
        (Net, "widths", "1.5", 'widths[0] must be an int, got "1.5"'),
        (Net, "widths", "(1,2)", 'widths[0] must be an int, got "(1,2)"'),
        (Net, "widths", ",", 'widths[0] must be an int, got ""'),
        (Net, "widths", "8," * 100, "widths must have at most 64 items, got 100"),
        (Net, "count", "1e3", 'count must be an int, got "1e3"'),
        (Net, "count", "", 'count must be an int, got ""'),
        (Net, "count", "none", 'count must be an int, got "none"'),
        (Net, "count", "9" * 5000, f'count must be an int, got "{"9" * 76}...'),
        (Net, "rate", "nan", "rate must be within ±1e+300, got NaN"),
        (Net, "rate", "1e999", "rate must be within ±1e+300, got Infinity"),
        (Net, "slope", "steep", 'slope must be a float or null, got "steep"'),
        (Net, "head", "sme", 'head must be one of doubling, same, got "sme". Did you mean "same"?'),
        (Pair, "flip", "maybe", 'flip must be true or false, got "maybe"'),
        (Pair, "limit", "all", 'limit must be an int or one of auto, got "all"'),
        (Pair, "generator", "x", 'generator must be a mapping or a Net, got "x"'),
    ],
)
def test_bad_command_line_text_is_the_fields_own_error(kind, name, text, message):
    with pytest.raises(ConfigError) as caught:
        kind().replace({name: kind.parse(name, text)})
    assert str(caught.value) == message


def test_parse_refuses_an_unknown_field_with_a_near_match():
    with pytest.raises(ConfigError, match=r'^widht is unknown\. Did you mean "widths"\?'):
        Net.parse("widht", "1")


def random_net(rng):
    block = rng.choice(["a", "größe", 'quo"te', "", ("a",), (), ("a", "b")])
    return Net(
        widths=tuple(rng.randint(1, 512) for _ in range(rng.randint(0, 5))),
        head=rng.choice(["doubling", "same"]),
        block=block,
        slope=rng.choice([None, 0, 1, rng.random()]),
        rate=rng.choice([0.0, -1, 1e-300, 1e300, rng.gauss(0, 1e6)]),
        count=rng.choice([0, -(2**63) + 1, 2**63 - 1, rng.randint(-100, 100)]),
    )


def random_pair(rng):
    return Pair(
        name=rng.choice(["", "x", "\n\t\x00", "\U0001f600"]),
        flip=rng.random() < 0.5,
        generator=random_net(rng),
        extra=rng.choice([None, random_net(rng)]),
        several=tuple(random_net(rng) for _ in range(rng.randint(0, 3))),
        limit=rng.choice(["auto", 1, 10**6]),
    )


@pytest.mark.parametrize("seed", range(100))
def test_a_round_trip_by_json_gives_an_equal_config(seed):
    config = random_pair(random.Random(seed))
    text = json.dumps(config.to_dict(), allow_nan=False)
    back = Pair.from_dict(json.loads(text))
    assert back == config and json.dumps(back.to_dict()) == text
    assert config.replace() == config and config.replace(config.to_dict()) == config
