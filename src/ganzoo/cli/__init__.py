"""The command `ganzoo`: thin commands over what Python offers, and one place for what mistakes look like."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import typer

from ganzoo.cli.data_command import data
from ganzoo.cli.doctor_command import doctor
from ganzoo.cli.evaluate_command import evaluate
from ganzoo.cli.explore_commands import arithmetic, directions, invert, probe, walk
from ganzoo.cli.help import Command, Group
from ganzoo.cli.list_command import list_names
from ganzoo.cli.run_commands import card, compare
from ganzoo.cli.sample_command import sample
from ganzoo.cli.share_commands import convert, demo, export, pull, push
from ganzoo.cli.show_command import show
from ganzoo.cli.train_command import train
from ganzoo.errors import GanzooError, clean, is_out_of_memory, nearest, quote, reason, shell
from ganzoo.text import own_version

LOOK, TRAIN, SAMPLE, SHARE = "Look around", "Train and measure", "Sample and explore", "Share"
app = typer.Typer(
    name="ganzoo",
    cls=Group,
    help="A model zoo and a box of building blocks for GANs.",
    epilog="ganzoo sample fashion-mnist\nganzoo train fashion-mnist-quick --steps 200 --name first",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
COMMANDS: dict[str, list[tuple[Callable[..., None], str]]] = {  # by group, each with its examples
    LOOK: [
        (list_names, "ganzoo list presets\nganzoo list zoo --json"),
        (doctor, "ganzoo doctor"),
        (show, "ganzoo show pokemon-64\nganzoo show runs/garments --json"),
        (data, "ganzoo data fashion-mnist-mini\nganzoo data drawings/ --size 64 -o first.png"),
    ],
    TRAIN: [
        (
            train,
            "ganzoo train fashion-mnist-quick --name garments\n"
            "ganzoo train --from pokemon-64 --data drawings/ --name creatures --steps 2000\n"
            "ganzoo train --resume runs/garments --steps 8000",
        ),
        (evaluate, "ganzoo evaluate fashion-mnist --data fashion-mnist-mini --samples 1000"),
        (compare, "ganzoo compare runs/garments runs/other -o compare.html"),
        (card, "ganzoo card runs/garments"),
    ],
    SAMPLE: [
        (
            sample,
            "ganzoo sample fashion-mnist -n 16 -o grid.png\nganzoo sample runs/garments --folder samples/ -n 1000",
        ),
        (walk, "ganzoo walk fashion-mnist -o walk.gif"),
        (directions, "ganzoo directions fashion-mnist --count 4"),
        (arithmetic, "ganzoo arithmetic fashion-mnist --plus 3,17,40 --minus 5,9"),
        (invert, "ganzoo sample fashion-mnist -n 1 -s 7 -o one.png\nganzoo invert fashion-mnist one.png"),
        (probe, "ganzoo probe fashion-mnist --images 2000"),
    ],
    SHARE: [
        (export, "ganzoo export fashion-mnist garments.onnx"),
        (demo, "ganzoo demo fashion-mnist\nganzoo demo runs/garments --export-space space/"),
        (push, "ganzoo push runs/garments owner/name --private"),
        (pull, "ganzoo pull owner/name garments/"),
        (convert, "ganzoo convert netG.pth faces/\nganzoo sample faces/"),
    ],
}
_LESS = {  # what takes less memory, by command
    "train": "compute a batch in parts, with --set accumulate=4 (--resume RUN --set accumulate=4 for a run that has "
    "begun), or begin a new run with a smaller --batch-size or --size",
    "evaluate": "take fewer --samples, or another --device",
    "sample": "reduce --batch-size or --count",
    "walk": "reduce --points or --steps",
    "directions": "reduce --count",
    "invert": "give fewer pictures, or reduce --starts",
    "probe": "reduce --images",
    "data": "reduce --size",
}
for group, commands in COMMANDS.items():
    for function, examples in commands:
        name = "list" if function is list_names else None
        app.command(name, cls=Command, rich_help_panel=group, epilog=examples)(function)


def _version(asked: bool) -> None:
    if asked:
        print(own_version())
        raise typer.Exit


@app.callback()
def _options(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print only results and errors."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True, callback=_version),
) -> None:
    """`run` takes --quiet and --debug out of the arguments, wherever they stand; they are here for the help."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 2 after a user's mistake, 1 after one of ours, 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    # a line, without its place in the code
    warnings.formatwarning = lambda message, *_, **__: f"ganzoo: {clean(str(message))}\n"
    if os.environ.get("LOCAL_RANK", "0") != "0":  # of several processes of a machine the first one says it
        warnings.simplefilter("ignore")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on damaged EXIF data and the like, which name no file
    raise SystemExit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status. A mistake is one line on stderr, with `--debug` a traceback too."""
    words, switches = _without_switches(arguments)
    stderr = sys.stderr
    try:
        with contextlib.ExitStack() as stack:
            # without a stdout, as services may start us, what is printed goes nowhere
            clean_output = _CleanOutput(sys.stdout) if sys.stdout else io.StringIO()
            stack.enter_context(contextlib.redirect_stdout(clean_output))
            if switches & {"--quiet", "-q"}:
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            status = app(args=words, standalone_mode=False, prog_name="ganzoo") or 0
            clean_output.flush()  # or Python would do it when it ends, and nobody would see an error
            return status
    except _ReaderLeft:
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, typer.TyperException) and not words:  # its message is the whole help
            print(clean(error.format_message()), file=stderr)
            return 2
        message, status = _told(error, words)
        if "--debug" in switches:
            print(clean("".join(traceback.format_exception(error))), file=stderr)
        print(f"ganzoo: {clean(' '.join(message.split()))}", file=stderr)
        return status


def _without_switches(arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """The arguments without --quiet and --debug, which may stand anywhere before a `--`; and those that were there."""
    end = [*arguments, "--"].index("--")
    switches = {"--quiet", "-q", "--debug"} & {*arguments[:end]}
    return [word for word in arguments[:end] if word not in switches] + [*arguments[end:]], switches


def _told(error: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """What a person is told of `error`, and the exit status."""
    if isinstance(error, GanzooError):
        return str(error), 2
    if isinstance(error, typer.TyperException):
        return _with_value(error.format_message(), arguments) + _as_setting(error.format_message(), arguments), 2
    if isinstance(error, (typer.Abort, KeyboardInterrupt)):
        return "interrupted.", 130
    if is_out_of_memory(error):
        less = _LESS.get("".join(arguments[:1]), "close other programs, or take a computer with more memory")
        return f"Out of memory: {less}.", 2
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {reason(error)}.", 2
    report = "a defect of ganzoo: please report it with the traceback of `ganzoo --debug ...`"
    return f"{type(error).__name__}: {error} ({report})", 1


class _ReaderLeft(Exception):
    """Nobody reads our output any more: `head` has its lines. Typer would end with status 1 after a BrokenPipeError."""


class _CleanOutput(io.TextIOBase):
    """Writes to `stream` what is safe on a terminal, and in letters that it knows: names in files may hold anything.

    Raises:
        _ReaderLeft: the pipe is closed. OSError: something else is wrong; it names the output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        letters = self._stream.encoding or "utf-8"
        with self._failing():
            self._stream.write(clean(text).encode(letters, "backslashreplace").decode(letters))
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # a notebook's stream is no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is still held when Python ends
            closed = sys.platform == "win32" and error.errno == errno.EINVAL  # as Windows says it
            if closed or isinstance(error, BrokenPipeError):
                raise _ReaderLeft from error
            error.filename = "the output"
            raise

    def fileno(self) -> int:
        return self._stream.fileno()


def _with_value(message: str, arguments: Sequence[str]) -> str:
    """Typer's message on an option's bad value, with the value that it leaves out."""
    for flag in re.findall(r"'(-[\w-]+)'", message.partition(":")[0]):
        joined = f"{flag}=" if flag.startswith("--") else flag  # --count=x, -nx
        for word, after in zip(arguments, [*arguments[1:], None]):
            value = after if word == flag else word[len(joined) :] if word.startswith(joined) else None
            if value is not None and message.startswith("Invalid value"):
                return f"{message.rstrip('.')}, got {quote(value)}"
    return message


def _as_setting(message: str, arguments: Sequence[str]) -> str:
    """The end of Typer's message on an unknown option of `train` that is a setting's name, or near one."""
    unknown = re.match(r"No such option: --([\w.-]+)", message)
    if arguments[0] != "train" or not unknown:
        return ""
    from ganzoo.settings import Settings

    name = unknown[1].replace("-", "_")
    if name == "image_size":
        return ". Pixels a side are set with --size"
    if name in Settings.__dataclass_fields__ or name.startswith(("generator.", "discriminator.")):
        after = [*arguments, ""][arguments.index(f"--{unknown[1]}") + 1] if f"--{unknown[1]}" in arguments else ""
        return ". It is a setting: " + shell("--set", f"{name}={after or 'VALUE'}")
    longer = [field for field in Settings.__dataclass_fields__ if field.startswith(name)]
    return f".{nearest(longer[0] if longer else name, Settings.__dataclass_fields__)}"
