"""Names for everything: built-ins register with a decorator, plug-ins with an entry point."""

from __future__ import annotations

import fnmatch
import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, overload

from ganzoo.errors import (
    ConfigError,
    DuplicateNameError,
    PluginError,
    UnknownNameError,
    blame,
    did_you_mean,
    quote,
)
from ganzoo.options import Option, options_of, read_options, split_call

T = TypeVar("T")
Item = TypeVar("Item")  # what is registered keeps its own type, and so its signature
_LATER: Any = object()  # of `register`: the item is what is decorated
_NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Origin:
    """The package that a plug-in's name comes from."""

    distribution: str
    version: str


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from names to objects, with `register` to add one.

    Args:
        kind: what is registered, in the singular, for messages ("block").
        group: the entry-point group whose entries are plug-ins ("ganzoo.blocks").
        wanted: what an item must be, for messages ("a function").
        fits: whether an item is that.
        makes: the type that registered factories make (object for any); what else one makes is a PluginError.
        functions: registered are functions that serve as they are, with keyword-only arguments as their options (or
            classes whose objects serve so), not factories.
        given: registered are functions and classes that are called with two arguments by position and some of these by
            keyword; what else they take are their options.
        wrapper: a dataclass that holds what is made, with fields that are options of every name (a weight).
        describe: one line of what an item is, for lists; None takes the first line of its docstring.

    `make("name(key=value)")` is how a name with options becomes an object.

    Plug-ins are found by their entry points: listing names and `in` import nothing, asking for one
    loads it. `GANZOO_PLUGINS=0` in the environment turns discovery off.

    A plug-in's name is its package's name, a dot, and a name of its own. For the package's name, the distribution's
    or the top module's will do, or whole words of either, `-`, `_`, `.` and case counting the same: `acme.up` may come
    from the distribution `acme`, `acme-gan` or `ganzoo-acme`. Built-ins have no dot, so no plug-in can shadow one.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        wanted: str = "an object",
        fits: Callable[[Any], bool] = lambda item: True,
        *,
        makes: type | None = None,
        functions: bool = False,
        given: tuple[str, ...] | None = None,
        wrapper: Callable[..., Any] | None = None,
        describe: Callable[[Any], str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._wanted, self._fits = wanted, fits
        self._makes, self._functions, self._given, self._wrapper = makes, functions, given, wrapper
        self._describe = describe or (lambda item: (inspect.getdoc(item) or "").split("\n")[0])
        self._items: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}
        self._found: dict[str, list[EntryPoint]] | None = None
        self._options: dict[str, tuple[T, dict[str, Option]]] = {}

    @overload
    def register(self, name: str, *, replace: bool = False) -> Callable[[Item], Item]: ...
    @overload
    def register(self, name: str, item: Item, *, replace: bool = False) -> Item: ...
    def register(self, name: str, item: Any = _LATER, *, replace: bool = False) -> Any:
        """Register `item` under `name`; without `item`, return a decorator that does.

        Code that runs twice, as a notebook's cell, replaces its own item: a class or function of the same module and
        qualified name.

        Args:
            replace: replace any other item too, but no function or class of ganzoo's own, and nothing of a package.

        Raises:
            ConfigError: `name` is no name, or `item` is not what is wanted.
            DuplicateNameError: the name is taken. (If a plug-in not yet loaded offers it, asking for the name is the
                error, unless both are the same object.)
        """
        if item is _LATER:
            return lambda later: self.register(name, later, replace=replace)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{quote(name)} can't name a {self.kind}: letters and digits joined by single '-', '_' or '.' can."
            )
        if name in self._items:
            offered = name in self._origins or name in self._plugins()
            own = not offered and (not hasattr(self._items[name], "__qualname__") or self.by_hand(name))
            if offered or not ((replace and own) or _same_place(self._items[name], item)):
                also = ", or replace it: register(..., replace=True)" if own else ""
                raise DuplicateNameError(f'{self.kind} "{name}" is registered already; choose another name{also}.')
        if not self._fits(item):
            raise ConfigError(f'{self.kind} "{name}" must be {self._wanted}, got {quote(item)}')
        self._items[name] = item
        return item

    @property
    def takes_options(self) -> bool:
        """Whether names of this kind are made by `make`."""
        return self._functions or self._makes is not None or self._given is not None

    @contextmanager
    def temporarily(self, name: str, item: T) -> Iterator[T]:
        """Register `item` for the length of a `with` block (for tests and experiments)."""
        old = {name: self._items[name]} if name in self._items else {}
        self.register(name, item)
        try:
            yield item
        finally:
            del self._items[name]
            self._items |= old

    def __getitem__(self, name: str) -> T:
        if not isinstance(name, str) or name not in self:
            raise self._unknown(name, "Unknown")
        if name in self._items and ("." not in name or name in self._origins or name not in self._plugins()):
            return self._items[name]
        return self._load(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._items or name in self._plugins())

    def __iter__(self) -> Iterator[str]:
        own = [name for name in self._items if name not in self._origins]
        return iter(dict.fromkeys([*own, *sorted({*self._items, *self._plugins()})]))

    def __len__(self) -> int:
        return len({*self._items, *self._plugins()})

    def __eq__(self, other: object) -> bool:  # a Mapping's would compare all items, and load every plug-in
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{self.kind} registry: {', '.join(self)}>"

    def options(self, name: str) -> dict[str, Option]:
        """The options that `name` takes, those that every name takes last."""
        item: Any = self[name]
        if name not in self._options or self._options[name][0] is not item:  # reading annotations takes a while
            if self._given is not None:
                own = options_of(item, keyword_only=False, skip=2, without=self._given)
            else:
                own = options_of(item, keyword_only=self._functions and not inspect.isclass(item))
            common = self._common()
            if twice := own.keys() & common.keys():
                raise PluginError(
                    f"{self.kind} {name}: every {self.kind} has the option {min(twice)}; remove it from this one"
                )
            self._options[name] = item, {**own, **common}
        return self._options[name][1]

    def describe(self, name: str) -> str:
        """One line of what `name` is, and the package of a plug-in's name: for lists."""
        text, origin = self._describe(self[name]), self.origin(name)
        return f"{text} (of {origin.distribution} {origin.version})".strip() if origin else text

    def _common(self) -> dict[str, Option]:
        return options_of(self._wrapper, keyword_only=False, skip=1) if self._wrapper else {}

    def read(self, text: Any, place: str = "") -> tuple[str, dict[str, Any]]:
        """The name in `text`, as "r1(weight=10)", and its options, checked; nothing is made.

        Args:
            place: where `text` stands, for messages ("penalties[0]").

        Raises:
            UnknownNameError, ConfigError: the name or an option is unknown, or a value is wrong.
        """
        name, given = split_call(text, place or f"a {self.kind}")
        if name not in self:
            raise self._unknown(name, f"{place}: unknown" if place else "Unknown")
        return name, read_options(given, self.options(name), f"{place}: {name}" if place else name)

    def make(self, text: Any, place: str = "") -> Any:
        """What `text`, a name with or without options, stands for: `LOSSES.make("hinge")`.

        Raises:
            UnknownNameError, ConfigError: as `read`. PluginError: a plug-in fails, or makes something else.
        """
        name, options = self.read(text, place)
        common = {key: options.pop(key) for key in self._common() if key in options}
        made = self._make(name, options)
        return self._wrapper(made, **common) if self._wrapper else made

    def _unknown(self, name: object, before: str) -> UnknownNameError:
        missing = ""
        if isinstance(name, str) and "." in name:
            off = os.environ.get("GANZOO_PLUGINS") == "0"
            remedy = "GANZOO_PLUGINS=0 turns them off" if off else "is the one of this name installed?"
            missing = f" Names with a dot come from packages: {remedy}"
        return UnknownNameError(f"{before} {self.kind} {quote(name)}.{did_you_mean(name, self)}{missing}")

    def _make(self, name: str, options: dict[str, Any]) -> Any:
        item: Any = self[name]
        if self._given is not None or (self._functions and not inspect.isclass(item)):
            return partial(item, **options) if options else item
        with blame(f"making {self.kind} {name}"):
            made = item(**options)
        if not (callable(made) if self._functions else isinstance(made, self._makes or object)):
            wanted = "function" if self._functions else (self._makes or object).__name__
            raise PluginError(f"{self.kind} {name} makes a {type(made).__name__}, not a {wanted}; tell its author")
        return made

    def origin(self, name: str) -> Origin | None:
        """The package that `name` was loaded from, or None for a built-in or a name registered by hand."""
        self[name]
        return self._origins.get(name)

    def by_hand(self, name: str) -> bool:
        """Whether `name` was registered by somebody's own code: it is no built-in, and no package offers it."""
        return self.origin(name) is None and not f"{self[name].__module__}.".startswith("ganzoo.")

    def name_of(self, item: object) -> str | None:
        """The name that `item` itself is registered under, or None; plug-ins are loaded only if no other has it."""
        for name in [*self._items, *self._plugins()]:
            try:
                if self[name] is item:
                    return name
            except PluginError:
                continue
        return None

    def broken(self) -> dict[str, str]:
        """Load every plug-in, and say of each that is refused or fails why: {name: message}."""
        problems = {}
        for name in self._plugins():
            try:
                self._load(name)
            except PluginError as error:
                problems[name] = str(error)
        return problems

    def _plugins(self) -> dict[str, list[EntryPoint]]:
        if os.environ.get("GANZOO_PLUGINS") == "0":
            return {}
        if self._found is None:
            self._found = {}
            try:
                for entry in entry_points(group=self.group):
                    self._found.setdefault(entry.name, []).append(entry)
            except Exception as error:  # one unreadable entry_points.txt, of whatever package, spoils the list
                warnings.warn(f"ganzoo finds no plug-ins: reading entry points fails ({quote(error)})", stacklevel=4)
        return self._found

    def _load(self, name: str) -> T:
        entry, *others = self._plugins()[name]
        owner, *more = [str(each.dist and each.dist.name) for each in (entry, *others)]
        if more:
            raise PluginError(
                f"{self.kind} {quote(name)} is offered by {', '.join([owner, *more])}; uninstall all but one of them."
            )
        prefix, dot, rest = name.partition(".")
        packages = owner, re.split(r"[.:\s]", entry.value)[0]
        if not (dot and _NAME.fullmatch(name) and any(has_words(package, prefix) for package in packages)):
            raise PluginError(
                f"{self.kind} {quote(name)} of the package {owner} must be named after its package, as in "
                f'"{_plain(owner)}.{_plain(rest or name)[:40]}"; tell its author, or uninstall {owner}.'
            )
        try:
            item = entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f'{self.kind} "{name}" of the package {owner} fails to import: {quote(error, 200)}; '
                f"update or uninstall {owner}."
            ) from error
        if not self._fits(item):
            raise PluginError(
                f'{self.kind} "{name}" of the package {owner} must be {self._wanted}, and is {quote(item)}; '
                f"tell its author, or uninstall {owner}."
            )
        if self._items.setdefault(name, item) is not item:
            raise PluginError(
                f'{self.kind} "{name}" is offered by the package {owner} and registered by hand as another object; '
                f"register yours under another name, or uninstall {owner}."
            )
        if entry.dist:
            self._origins[name] = Origin(owner, entry.dist.version)
        return item


def matching(names: Iterable[str], pattern: str | Sequence[str], exclude: str | Sequence[str] = ()) -> list[str]:
    """The `names` that one pattern with wildcards matches, and none of `exclude`: "fashion*", or several."""

    def fits(name: str, patterns: str | Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, each) for each in ([patterns] if isinstance(patterns, str) else patterns))

    return [name for name in names if fits(name, pattern) and not fits(name, exclude)]


def used_plugins(used: Iterable[tuple[Registry[Any], str]]) -> list[dict[str, str]]:
    """Kind, name, package and version of each plug-in among `used`, names of registries, as files record them."""
    found = [(registry.kind, name, registry.origin(name)) for registry, name in dict.fromkeys(used)]
    return [
        {"kind": kind, "name": name, "package": origin.distribution, "version": origin.version}
        for kind, name, origin in found
        if origin
    ]


def _same_place(one: Any, other: Any) -> bool:
    """Whether both are the same object, or classes or functions of one name at the top of one module.

    Lambdas and what a function makes share their names with others.
    """
    first, second = ((getattr(each, "__module__", None), getattr(each, "__qualname__", "<")) for each in (one, other))
    bound = hasattr(one, "__self__") or hasattr(other, "__self__")
    return one is other or (first == second and "<" not in first[1] and not bound)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def has_words(package: str, words: str) -> bool:
    """Whether `words` is the name of `package` or whole words of it."""
    return f"-{_plain(words)}-" in f"-{_plain(package)}-"
