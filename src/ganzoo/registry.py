"""Names for everything: built-ins register with a decorator, plug-ins with an entry point."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, overload

from ganzoo.errors import ConfigError, DuplicateNameError, PluginError, UnknownNameError, did_you_mean, quote

T = TypeVar("T")
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

    Plug-ins are found by their entry points: listing names and `in` import nothing, asking for one
    loads it. `GANZOO_PLUGINS=0` in the environment turns discovery off.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}
        self._found: dict[str, list[EntryPoint]] | None = None

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...
    @overload
    def register(self, name: str, item: T) -> T: ...
    def register(self, name: str, item: Any = None) -> Any:
        """Register `item` under `name`; without `item`, return a decorator that does.

        Raises:
            DuplicateNameError: the name is taken, by a built-in, an earlier call or a plug-in.
        """
        if item is None:
            return lambda later: self.register(name, later)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{quote(name)} can't name a {self.kind}: letters and digits joined by single '-', '_' or '.' can."
            )
        if name in self._items:
            raise DuplicateNameError(f'{self.kind} "{name}" is registered already; choose another name.')
        self._items[name] = item
        return item

    @contextmanager
    def temporarily(self, name: str, item: T) -> Iterator[T]:
        """Register `item` for the length of a `with` block (for tests and experiments)."""
        self.register(name, item)
        try:
            yield item
        finally:
            del self._items[name]

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        if name in self._plugins():
            return self._load(name)
        raise UnknownNameError(f"Unknown {self.kind} {quote(name)}.{did_you_mean(name, self)}")

    def __contains__(self, name: object) -> bool:
        return name in self._items or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        yield from self._items
        yield from sorted(name for name in self._plugins() if name not in self._items)

    def __len__(self) -> int:
        return len(set(self._items) | set(self._plugins()))

    def __repr__(self) -> str:
        return f"<{self.kind} registry: {', '.join(self)}>"

    def origin(self, name: str) -> Origin | None:
        """The package that `name` was loaded from, or None for a built-in or a name registered by hand."""
        self[name]
        return self._origins.get(name)

    def broken(self) -> dict[str, str]:
        """Load every plug-in, and say of each that fails why: {name: message}."""
        problems = {}
        for name in self._plugins():
            try:
                self[name]
            except PluginError as error:
                problems[name] = str(error)
        return problems

    def _plugins(self) -> dict[str, list[EntryPoint]]:
        if os.environ.get("GANZOO_PLUGINS") == "0":
            return {}
        if self._found is None:
            self._found = {}
            for entry in entry_points(group=self.group):
                self._found.setdefault(entry.name, []).append(entry)
        return self._found

    def _load(self, name: str) -> T:
        entry, *others = self._plugins()[name]
        owner = entry.dist.name if entry.dist else "an unknown package"
        if others:
            owners = ", ".join(str(each.dist and each.dist.name) for each in (entry, *others))
            raise PluginError(f'{self.kind} "{name}" is offered by {owners}: uninstall all but one of them.')
        prefix = name.partition(".")[0]
        if "." not in name or _plain(prefix) not in {_plain(owner), _plain(entry.value.split(".")[0].split(":")[0])}:
            raise PluginError(
                f'{self.kind} "{name}" of the package {owner} must be named after its package: '
                f'"{_plain(owner)}.{name.rpartition(".")[2]}".'
            )
        try:
            item = entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f'{self.kind} "{name}" of the package {owner} fails to import ({type(error).__name__}: {error}); '
                f"update or uninstall {owner}."
            ) from error
        if self._items.setdefault(name, item) is not item:
            raise PluginError(f'{owner} registers {self.kind} "{name}" by hand and, as another object, by entry point.')
        if entry.dist:
            self._origins[name] = Origin(owner, entry.dist.version)
        return item


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
