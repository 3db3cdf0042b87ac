"""Names with options: one grammar, checked against what the name's maker takes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, PluginError, UnknownNameError
from ganzoo.options import options_of, split_call
from ganzoo.registry import Registry

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Thing:
    """What makers here make."""

    value: Any


def thing(count: int = 1, share: Annotated[float, Bounds(0, 1)] = 0.5, name: str | None = None) -> Thing:
    """Make a thing."""
    return Thing((count, share, name))


def sized(sizes: tuple[int, ...], inner: str = "thing") -> Thing:
    return Thing((sizes, inner))


def untyped(times=3, on=False, text="a") -> Thing:
    return Thing((times, on, text))


def unreadable(amount: Decimal = 0.5) -> Thing:  # the annotation's name is not there when the program runs
    return Thing(amount)


def half_readable(sizes: tuple[int, ...] = (1, 2), limit: Optional[int] = None) -> Decimal:  # noqa: UP045
    return Thing((sizes, limit))


def chosen(side: Literal[1, 2] = 1, how: Literal["up", "down"] = "down") -> Thing:
    return Thing((side, how))


def function(images, random=None, *, strength: float = 1.0):
    return images * strength


class Counting:
    """A function with state."""

    def __init__(self, *, start: int = 0) -> None:
        self.count = start

    def __call__(self, images, random=None):
        self.count += 1
        return images


class NoFunction:
    """A class whose objects can't be called."""


@dataclass
class Weighted:
    held: Any
    weight: Annotated[float, Bounds(0, 10)] = 1.0


@pytest.fixture
def things():
    registry = Registry("thing", "ganzoo.no-such-group", "a function that makes a Thing", callable, makes=Thing)
    for maker in (thing, sized, untyped, unreadable, half_readable, chosen):
        registry.register(maker.__name__, maker)
    return registry


@pytest.fixture
def functions():
    registry = Registry("function", "ganzoo.no-such-group", functions=True, wrapper=Weighted)
    registry.register("function", function)
    registry.register("counting", Counting)
    return registry


@pytest.mark.parametrize(
    "text, value",
    [
        ("thing", (1, 0.5, None)),
        ("thing()", (1, 0.5, None)),
        (" thing( count = 2 , share=1 ) ", (2, 1.0, None)),
        ("thing(name=blue)", (1, 0.5, "blue")),
        ("thing(name=none)", (1, 0.5, None)),
        ("sized(sizes=(2,3))", ((2, 3), "thing")),
        ("sized(sizes=(2,),inner=thing(count=2,share=1))", ((2,), "thing(count=2,share=1)")),
        ("untyped(times=4,on=true,text=5)", (4, True, "5")),
        ("unreadable(amount=0.25)", 0.25),
        ("half_readable(sizes=(3,4))", ((3, 4), None)),  # one annotation that can't be read hides no other
        ("half_readable(limit=7)", ((1, 2), 7)),
        ("half_readable(limit=none)", ((1, 2), None)),
        ("chosen(side=2,how=up)", (2, "up")),
        ("thing:2", (2, 0.5, None)),
        (" thing:2?share=1&name=a%26b ", (2, 1.0, "a&b")),
        ("sized:(2,3)?inner=thing:2", ((2, 3), "thing:2")),
    ],
)
def test_a_name_with_options_becomes_what_it_says(things, text, value):
    assert things.make(text).value == value


@pytest.mark.parametrize(
    "text, error, said",
    [
        ("thnig", UnknownNameError, 'Unknown thing "thnig". Did you mean "thing"'),
        ("thing(cuont=2)", ConfigError, 'thing has no option "cuont". Did you mean "count"'),
        ("thing(count=x)", ConfigError, 'thing: count must be an int, got "x"'),
        ("thing(count=1.5)", ConfigError, "thing: count must be an int"),
        ("thing(share=2)", ConfigError, "thing: share must be at least 0 and at most 1, got 2"),
        ("thing(count=1,count=2)", ConfigError, "count is given twice"),
        ("thing(2)", ConfigError, '"2" must look like option=value'),
        ("thing(count=1", ConfigError, "must look like name or name"),
        ("chosen(side=3)", ConfigError, "chosen: side must be one of 1, 2"),
        ("half_readable(sizes=(1,x))", ConfigError, r"half_readable: sizes\[1\] must be an int"),
        ("sized", ConfigError, "sized needs sizes; write it as sizes=VALUE"),
        ("thing:2?count=3", ConfigError, "thing:2: count is given twice"),
        ("thing:x", ConfigError, 'thing: count must be an int, got "x"'),
        ("thing:2?share", ConfigError, '"share" must look like option=value'),
        (3, ConfigError, "must look like name or name"),
    ],
)
def test_a_wrong_option_names_itself_its_place_and_the_remedy(things, text, error, said):
    with pytest.raises(error, match=said.replace("(", r"\(")):
        things.make(text)
    if error is ConfigError:
        with pytest.raises(error, match=r"^things\[1\]"):
            things.make(text, "things[1]")


def test_options_are_listed_with_their_defaults(things, functions):
    assert [str(each) for each in things.options("thing").values()] == ["count=1", "share=0.5", "name=none"]
    assert [str(each) for each in things.options("sized").values()] == ["sizes", "inner=thing"]
    assert [str(each) for each in functions.options("function").values()] == ["strength=1.0", "weight=1.0"]


def test_a_function_s_keyword_only_arguments_are_its_options_and_a_wrapper_s_fields_everyone_s(functions):
    plain, doubled = functions.make("function"), functions.make("function(strength=2,weight=3)")
    assert plain == Weighted(function) and doubled.weight == 3.0
    assert doubled.held(4) == 8
    with pytest.raises(ConfigError, match="function: weight must be at least 0 and at most 10"):
        functions.make("function(weight=11)")


def test_a_class_gives_each_run_an_object_of_its_own(functions):
    one, other = functions.make("counting(start=5)").held, functions.make("counting").held
    one(0)
    assert (one.count, other.count) == (6, 0)


def test_reading_makes_nothing(things):
    things.register("bomb", lambda fuse=1: pytest.fail("it was made"))
    assert things.read("bomb(fuse=2)") == ("bomb", {"fuse": 2})


def test_a_maker_that_fails_or_makes_something_else_is_a_plugin_error(things):
    things.register("fails", lambda: 1 / 0)
    things.register("else", lambda: "no thing")
    with pytest.raises(PluginError, match="making thing fails fails .*division by zero"):
        things.make("fails")
    with pytest.raises(PluginError, match="thing else makes a str, not a Thing"):
        things.make("else")


def test_what_is_no_maker_is_refused_when_it_is_registered(things):
    with pytest.raises(ConfigError, match='thing "red" must be a function that makes a Thing'):
        things.register("red", Thing(1))


def test_commas_nest():
    assert split_call("a(b=c(d=1,e=2),f=(3,4))", "") == ("a", {"b": "c(d=1,e=2)", "f": "(3,4)"})


def unannotated(margin): ...
def empty_default(margin=None): ...
def wrong_default(margin: float = "high"): ...
def out_of_bounds(margin: Annotated[float, Bounds(0, 1)] = 2.0): ...
def implicit_optional(margin: int = None): ...  # noqa: RUF013
def positional(margin: float = 1.0, /): ...
def listed(margin: list[int] = ()): ...
def pair(margin: tuple[int, int] = (1, 2)): ...
def anything(margin: Any = 1): ...
def dictionary(margin: dict | None = None): ...


@pytest.mark.parametrize(
    "maker, why",
    [
        (unannotated, "not annotated"),
        (empty_default, "not annotated"),
        (wrong_default, 'must be a float, got "high"; correct the default or the annotation'),
        (out_of_bounds, "must be at least 0 and at most 1, got 2.0"),
        (implicit_optional, "must be an int, got null"),
        (positional, "by position alone"),
        (listed, r"annotated as list\[int\]"),
        (pair, r"annotated as tuple\[int, int\]; .*tuple\[X, ...\]"),
        (anything, "annotated as Any"),
        (dictionary, "annotated as dict"),
    ],
)
def test_a_parameter_that_no_text_can_stand_for_is_a_plugin_error_that_names_it(things, maker, why):
    things.register("new", maker)
    with pytest.raises(PluginError, match=f'"margin" of .*{maker.__name__} can\'t be an option: .*{why}'):
        things.make("new")


def test_a_class_of_functions_must_make_a_function(functions):
    functions.register("no-function", NoFunction)
    with pytest.raises(PluginError, match="makes a NoFunction, not a function"):
        functions.make("no-function")


def test_tuples_are_shown_as_they_are_written(things):
    assert str(things.options("half_readable")["sizes"]) == "sizes=(1,2)"


def test_what_a_name_is_comes_from_its_docstring_or_from_the_registry(things):
    assert (things.describe("thing"), things.describe("sized")) == ("Make a thing.", "")
    colours = Registry("colour", "ganzoo.no-such-group", describe=lambda item: f"the colour {item}")
    colours.register("red", "#f00")
    assert colours.describe("red") == "the colour #f00"


def test_annotations_of_a_decorated_function_are_those_of_its_module():
    names = {"functools": functools}
    exec(
        "from __future__ import annotations\nMargin = float\ndef soft(margin: Margin = None): return margin\n"
        "soft.__defaults__ = (1.0,)\nkept = functools.lru_cache(soft)",
        names,
    )
    assert options_of(names["kept"], keyword_only=False)["margin"].kind is float
