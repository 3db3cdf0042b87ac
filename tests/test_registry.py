"""The registry: a read-only mapping with `register`, that says plainly what is wrong with a name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import ganzoo
from ganzoo.blocks import NORMS
from ganzoo.errors import ConfigError, DuplicateNameError, GanzooError, PluginError, UnknownNameError
from ganzoo.registry import Registry


@pytest.fixture
def colours():
    registry = Registry("colour", "ganzoo.no-such-group")
    registry.register("red", "#f00")
    registry.register("dark-green", "#030")
    return registry


def test_it_is_a_mapping_in_order_of_registration(colours):
    assert isinstance(colours, Mapping)
    assert list(colours) == ["red", "dark-green"]
    assert dict(colours) == {"red": "#f00", "dark-green": "#030"}
    assert len(colours) == 2 and "red" in colours and "blue" not in colours
    assert colours.get("blue") is None and colours.get("blue", "?") == "?"
    assert repr(colours) == "<colour registry: red, dark-green>"


@pytest.mark.parametrize("method", ["__setitem__", "__delitem__", "pop", "clear", "update", "setdefault"])
def test_it_is_read_only(colours, method):
    assert not hasattr(colours, method)


def test_two_registries_are_never_equal_and_can_be_keys(colours):
    other = Registry("colour", "ganzoo.no-such-group")
    assert colours == colours and colours != other
    assert {colours: 1, other: 2}[colours] == 1


def test_the_decorator_registers_and_gives_the_object_back(colours):
    @colours.register("blue")
    def blue():
        return "#00f"

    assert blue() == "#00f" and colours["blue"] is blue


def test_direct_registration_gives_the_object_back(colours):
    item = object()
    assert colours.register("blue", item) is item and colours["blue"] is item


def test_nothing_is_not_registered_in_silence():
    with pytest.raises(ConfigError, match="must be"):
        NORMS.register("nothing", None)
    assert "nothing" not in NORMS


@pytest.mark.parametrize("falsy", [0, "", ()])
def test_a_falsy_object_can_be_registered(colours, falsy):
    colours.register("nothing", falsy)
    assert colours["nothing"] == falsy


def test_a_second_registration_of_a_name_is_refused_and_changes_nothing(colours):
    said = (
        r'^colour "red" is registered already; choose another name, or replace it: register\(\.\.\., replace=True\)\.$'
    )
    with pytest.raises(DuplicateNameError, match=said):
        colours.register("red", "#e00")
    with pytest.raises(DuplicateNameError):
        colours.register("red")("#e00")
    assert colours["red"] == "#f00"


def test_code_that_runs_twice_replaces_its_own_class_or_function_and_other_items_if_asked(colours):
    def cell():
        names = {"__name__": "__main__", "colours": colours}
        exec("@colours.register('blue')\ndef blue(): ...", names)
        return names["blue"]

    assert cell() is not (second := cell()) and colours["blue"] is second
    assert colours.register("blue", second) is second
    with pytest.raises(DuplicateNameError):
        colours.register("blue", lambda: ...)
    assert colours.register("red", "#e00", replace=True) == colours["red"] == "#e00"
    colours.register("red", replace=True)("#d00")
    assert colours["red"] == "#d00" and list(colours) == ["red", "dark-green", "blue"]


def test_what_shares_its_name_with_others_replaces_nothing_in_silence(colours):
    def made(tone):
        return lambda: tone

    for number, (one, other) in enumerate([(made(1), made(2)), ([].append, [].append)]):
        colours.register(f"tone-{number}", one)
        with pytest.raises(DuplicateNameError, match="or replace it"):
            colours.register(f"tone-{number}", other)
        assert colours[f"tone-{number}"] is one


def test_a_function_of_ganzoo_s_own_is_not_replaced():
    before = ganzoo.LOSSES["hinge"]
    with pytest.raises(DuplicateNameError, match='"hinge" is registered already; choose another name.$'):
        ganzoo.LOSSES.register("hinge", lambda: before(), replace=True)
    assert ganzoo.LOSSES["hinge"] is before


@pytest.mark.parametrize("name", ["a", "A1", "dcgan-up", "acme.up", "acme_gan.up-2x", "0"])
def test_good_names(colours, name):
    assert colours.register(name, 1) == 1 and name in colours


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "-a", "a-", "a--b", "a..b", "a/b", "../a", "a\n", "ä", "a=b", "a,b", "a(b)", None, 3, ["a"]],
)
def test_bad_names_are_refused(colours, name):
    with pytest.raises(ConfigError, match="can't name a colour: letters and digits"):
        colours.register(name, 1)
    assert len(colours) == 2


@pytest.mark.parametrize("typo", ["dark-gren", "dark_green", "Dark-Green", "DARK-GREEN"])
def test_a_typo_is_an_error_with_the_nearest_name(colours, typo):
    with pytest.raises(UnknownNameError) as caught:
        colours[typo]
    wanted = f'Unknown colour "{typo}". Did you mean "dark-green"? Known: red, dark-green.'
    assert str(caught.value) == wanted  # the text itself, where a KeyError would show its repr


def test_nothing_near_means_no_suggestion(colours):
    with pytest.raises(UnknownNameError) as caught:
        colours["zzzzzz"]
    assert str(caught.value) == 'Unknown colour "zzzzzz". Known: red, dark-green.'


def test_an_empty_registry_says_that_it_knows_none():
    with pytest.raises(UnknownNameError, match=r'^Unknown colour "red"\. Known: none\.$'):
        Registry("colour", "ganzoo.no-such-group")["red"]


def test_an_unknown_name_with_a_dot_asks_for_its_package(colours, monkeypatch):
    monkeypatch.delenv("GANZOO_PLUGINS", raising=False)
    said = r"Known: red, dark-green\. Names with a dot come from packages: is the one of this name installed\?$"
    with pytest.raises(UnknownNameError, match=said):
        colours["acme.red"]
    with pytest.raises(UnknownNameError, match=said):
        colours.read("acme.red", "settings.colour")


def test_an_unknown_name_is_a_keyerror_and_a_ganzoo_error(colours):
    for kind in (KeyError, GanzooError):
        with pytest.raises(kind):
            colours["blue"]


ODD_KEYS = [None, 3, ["red"], {"a": 1}, 10**5000, "x" * 100_000, "a\nb\x1b[31m"]


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: type(key).__name__)
def test_any_key_gives_a_short_printable_message(colours, key):
    assert key not in colours
    with pytest.raises(UnknownNameError) as caught:
        colours[key]
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


def test_the_message_lists_no_more_than_forty_names():
    registry = Registry("number", "ganzoo.no-such-group")
    for number in range(1000):
        registry.register(f"n{number}", number)
    with pytest.raises(UnknownNameError, match=r"n39 and 960 more\.$"):
        registry["zzzzzz"]


def test_temporarily_registers_for_a_with_block_and_takes_back(colours):
    with colours.temporarily("blue", "#00f") as item:
        assert item == "#00f" and colours["blue"] == "#00f"
    assert "blue" not in colours

    with pytest.raises(RuntimeError, match="in the block"), colours.temporarily("blue", "#00f"):
        raise RuntimeError("in the block")
    assert "blue" not in colours


def test_what_a_package_offers_is_not_replaced_by_hand(plugged):
    plugged.register("acme.up", 1)
    with pytest.raises(DuplicateNameError, match=r"registered already; choose another name\.$"):
        plugged.register("acme.up", 2, replace=True)


def test_temporarily_brings_back_what_the_same_code_registered(colours):
    item = colours.register("blue", lambda: ...)
    with colours.temporarily("blue", item):
        pass
    assert colours["blue"] is item


def test_temporarily_does_not_replace(colours):
    with pytest.raises(DuplicateNameError), colours.temporarily("red", "#e00"):
        pass
    assert colours["red"] == "#f00"


def test_a_name_is_found_for_an_object_by_identity(colours):
    item = [1]
    colours.register("blue", item)
    assert colours.name_of(item) == "blue"
    assert colours.name_of([1]) is None


def test_what_is_registered_by_hand_has_no_origin(colours):
    assert colours.origin("red") is None
    with pytest.raises(UnknownNameError):
        colours.origin("blue")


class FakeEntry:
    """An entry point that must not be loaded."""

    dist = None
    value = "acme:up"

    def __init__(self, name):
        self.name = name

    def load(self):
        raise AssertionError("loaded")


@pytest.fixture
def plugged(monkeypatch):
    monkeypatch.delenv("GANZOO_PLUGINS", raising=False)
    monkeypatch.setattr("ganzoo.registry.entry_points", lambda group: [FakeEntry("acme.up"), FakeEntry("acme.down")])
    registry = Registry("block", "ganzoo.blocks")
    registry.register("own", 1)
    return registry


def test_listing_len_in_repr_and_equality_load_nothing(plugged):
    assert list(plugged) == ["own", "acme.down", "acme.up"] and len(plugged) == 3
    assert "acme.up" in plugged and "acme.left" not in plugged
    assert repr(plugged) == "<block registry: own, acme.down, acme.up>"
    assert plugged != Registry("block", "ganzoo.blocks")
    with pytest.raises(UnknownNameError, match=r'Did you mean "acme\.down"'):
        plugged["acme.dwn"]
    assert plugged["own"] == 1 and plugged.name_of(1) == "own"
    with pytest.raises(PluginError, match="loaded"):
        plugged["acme.up"]


def test_a_built_in_is_had_without_looking_for_plugins(monkeypatch):
    def fail(group):
        raise AssertionError("looked for plug-ins")

    monkeypatch.setattr("ganzoo.registry.entry_points", fail)
    registry = Registry("block", "ganzoo.blocks")
    registry.register("own", 1)
    assert registry["own"] == 1 and "own" in registry


def test_unreadable_entry_points_are_a_warning_and_leave_the_built_ins(monkeypatch):
    def fail(group):
        raise TypeError("a line without =")

    monkeypatch.setattr("ganzoo.registry.entry_points", fail)
    registry = Registry("block", "ganzoo.blocks")
    registry.register("own", 1)
    with pytest.warns(UserWarning, match="finds no plug-ins.*a line without ="):
        assert list(registry) == ["own"]
    assert list(registry) == ["own"] and "x" not in registry
