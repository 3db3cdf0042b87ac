"""How help reads: options in groups, commands in groups, and examples behind them, in plain text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer import Abort, Context
from typer.core import TyperCommand, TyperGroup


def _write(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:
    for name, rows in groups.items():
        with formatter.section(name):
            formatter.write_dl(rows)


def _write_examples(self: Any, ctx: Context, formatter: Any) -> None:
    """Write the examples of a command, its epilog, none of them broken into lines."""
    with formatter.section("Examples"):
        formatter.write("".join(f"  {line}\n" for line in self.epilog.splitlines()))


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Make an Abort of Ctrl-C in the block: after a KeyboardInterrupt Typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Abort from error


class Command(TyperCommand):
    """A command whose options stand in groups (`rich_help_panel`); its epilog is a list of examples, a line each."""

    format_epilog = _write_examples  # type: ignore[assignment]

    def format_options(self, ctx: Context, formatter: Any) -> None:  # type: ignore[override]  # Typer's own are private
        """Write arguments, then each group of options, in the order of the signature."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                plain = "Arguments" if parameter.param_type_name == "argument" else "Options"
                groups.setdefault(parameter.rich_help_panel or plain, []).append(record)  # type: ignore[attr-defined]
        _write(formatter, groups | {"Options": groups.pop("Options")})  # last, and never empty: --help is there


class Group(TyperGroup):
    """The whole command line, its commands in groups."""

    format_epilog = _write_examples  # type: ignore[assignment]

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the arguments."""
        with _ctrl_c():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _ctrl_c():
            return super().invoke(ctx)

    def format_commands(self, ctx: Context, formatter: Any) -> None:  # type: ignore[override]
        """Write each group of commands, with a line for each."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            groups.setdefault(command.rich_help_panel, []).append((name, command.get_short_help_str(limit=200)))
        _write(formatter, groups)
