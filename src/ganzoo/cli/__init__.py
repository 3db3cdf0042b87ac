"""The command `ganzoo`: thin commands over what Python offers, and one place for what mistakes look like."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TextIO

import typer

from ganzoo.cli.card_command import card
from ganzoo.cli.convert_command import convert
from ganzoo.cli.data_command import data
from ganzoo.cli.evaluate_command import evaluate
from ganzoo.cli.explore_commands import arithmetic, directions, invert, probe, walk
from ganzoo.cli.export_command import export
from ganzoo.cli.hub_commands import pull, push
from ganzoo.cli.list_command import list_names
from ganzoo.cli.sample_command import sample
from ganzoo.cli.train_command import train
from ganzoo.errors import GanzooError, clean, is_out_of_memory, quote, reason

app = typer.Typer(
    name="ganzoo",
    help="A model zoo and a box of building blocks for GANs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(list_names)
app.command()(data)
app.command()(train)
app.command()(sample)
app.command()(evaluate)
for command in (walk, directions, arithmetic, invert, probe):
    app.command()(command)
app.command()(export)
app.command()(push)
app.command()(pull)
app.command()(card)
app.command()(convert)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("ganzoo-torch"))
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True, callback=_version),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 2 after a user's mistake, 1 after one of ours, 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    # a line, without its place in the code
    warnings.formatwarning = lambda message, *_, **__: f"ganzoo: {clean(str(message))}\n"
    raise SystemExit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status. A mistake is one line on stderr, with `--debug` a traceback too."""
    caught: BaseException
    try:
        with contextlib.redirect_stdout(_CleanOutput(sys.stdout)):
            return app(args=[*arguments], standalone_mode=False, prog_name="ganzoo") or 0
    except GanzooError as error:
        caught, message, status = error, str(error), 2
    except typer.TyperException as error:
        if not arguments:  # its message is the whole help
            print(clean(error.format_message()), file=sys.stderr)
            return 2
        caught, message, status = error, _with_value(error.format_message(), arguments), 2
    except typer.Exit as end:
        return end.exit_code
    except (typer.Abort, KeyboardInterrupt) as error:
        caught, message, status = error, "interrupted.", 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        caught, message, status = error, f"{error.filename or 'a file'}: {reason(error)}.", 2
    except Exception as error:
        caught, status = error, 1
        report = "a defect of ganzoo: please report it with the traceback of `ganzoo --debug ...`"
        message = f"{type(error).__name__}: {error} ({report})"
        if is_out_of_memory(error):
            message, status = "memory is short; take a smaller --count, batch_size or image size.", 2
    if "--debug" in arguments:
        print(clean("".join(traceback.format_exception(caught))), file=sys.stderr)
    print(f"ganzoo: {clean(' '.join(message.split()))}", file=sys.stderr)
    return status


class _CleanOutput(io.TextIOBase):
    """Writes to `stream` what is safe on a terminal, and in letters that it knows: names in files may hold anything."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        letters = self._stream.encoding or "utf-8"
        self._stream.write(clean(text).encode(letters, "backslashreplace").decode(letters))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _with_value(message: str, arguments: Sequence[str]) -> str:
    """Typer's message on an option's bad value, with the value that it leaves out."""
    named = re.search(r"'(--[\w-]+)'", message)
    if message.startswith("Invalid value") and named and named[1] in arguments[:-1]:
        return f"{message.rstrip('.')}, got {quote(arguments[arguments.index(named[1]) + 1])}"
    return message
