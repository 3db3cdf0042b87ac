"""Every error a user can cause. A message names the value, the place and the remedy.

All of them are `GanzooError`; each also inherits the builtin a caller would expect to catch.
"""

from __future__ import annotations

import difflib
import errno
import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_SECRET = re.compile(r"\bhf_\w{20,}|(?<=://)[^/@\s]+(?=@)|(?<=Bearer )[^\s'\"]+")  # tokens, a password in an address
_PLAIN = re.compile(r"[\w.:=/\\+-]+")  # what means nothing to a shell of Windows
_known_secrets: set[str] = set()
_REMEDIES = {
    errno.ENOSPC: "free disk space there",
    errno.EFBIG: "files are not allowed to be so large there: choose another place",
    errno.EDQUOT: "your quota is used up: free disk space there",
    errno.EACCES: "this user has no right to do that there: choose another place, or ask for the right",
    errno.EPERM: "this user has no right to do that there: choose another place, or ask for the right",
    errno.EROFS: "nothing can be written there: choose another place",
}
_SHORT = re.compile(r"can't allocate memory|(out of|not enough) memory|ALLOC_FAILED", re.IGNORECASE)


class GanzooError(Exception):
    """Base of all errors raised on purpose by ganzoo; the command line prints it as one line.

    Its message is safe to print: see `clean`.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(clean(each) if isinstance(each, str) else each for each in args))


class ConfigError(GanzooError, ValueError):
    """A setting or network config has an unknown key, a wrong type or a value out of bounds."""


class ShapeError(GanzooError, ValueError):
    """A tensor does not have the shape that a block, model or function wants."""


class BlockError(GanzooError):
    """A block breaks the block contract (raised by `ganzoo.blocks.check_block`)."""


class ModelError(GanzooError):
    """A network breaks the contract of models (raised by `ganzoo.models.check_model`)."""


class UnknownNameError(GanzooError, KeyError):
    """A name is not registered."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return str(self.args[0]) if self.args else ""


class DuplicateNameError(GanzooError, ValueError):
    """A name is registered twice."""


class PluginError(GanzooError):
    """A plug-in is broken, badly named, or not installed."""


class DataError(GanzooError, ValueError):
    """Images cannot be found, read or used."""


class SeveralSizesError(DataError):
    """The images of a set have several sizes, and none was chosen."""


class SourceError(GanzooError, FileNotFoundError):
    """No model is found where one was asked for."""


class NoDiscriminatorError(SourceError):
    """A saved model holds a generator alone, and its discriminator was asked for."""


class WeightsError(GanzooError, ValueError):
    """A saved model is damaged, incomplete, or does not fit its config."""


class HubError(GanzooError, OSError):
    """The Hugging Face Hub cannot be reached or refuses what was asked; the client's own error is the cause."""


class HubMissingError(HubError):
    """The Hub has no such repository, file or revision, or hides it from this user."""


class HubAbsentError(HubMissingError):
    """The Hub has no such repository at all, or hides it from this user."""


class HubAccessError(HubError):
    """The Hub wants a token, another token, or a consent for what was asked."""


class HubConflictError(HubError):
    """Somebody else changed the repository in the meantime."""


class HubConnectionError(HubError):
    """The Hub can't be reached, and the cache doesn't have it."""


class HubDamagedError(HubError):
    """What came has another size or hash than the Hub says."""


class TrainingError(GanzooError, RuntimeError):
    """A run cannot start, go on, or be written."""


class MissingExtraError(GanzooError, ImportError):
    """An optional package is needed and not installed."""


def quote(value: object, limit: int = 80) -> str:
    """`value` as a short piece of a one-line message: JSON if it can be, else Python's repr."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        try:
            text = " ".join(repr(value).split())
        except Exception:  # a stranger's __repr__, a list in itself too deep, an int of 5,000 digits
            text = f"<{type(value).__name__}>"
    return _cut(printable(text), limit)


def printable(text: str) -> str:
    """`text` with an escape in place of all that a terminal would not show, or obey; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text
    )


def masked(text: str) -> str:
    """`text` without the Hub's tokens and without passwords in addresses."""
    text = _SECRET.sub("***", text)
    for secret in _known_secrets:
        text = text.replace(secret, "***")
    return text


def clean(text: str) -> str:
    """`text` as it may be printed: `masked` and `printable`."""
    return printable(masked(text))


def keep_secret(secret: str) -> None:
    """Let `masked` take `secret` out of every text from now on."""
    if len(secret) >= 6:  # a shorter one would take words out of ordinary text
        _known_secrets.add(secret)


def shell(*words: object) -> str:
    """`words` as a command that can be pasted into a shell: POSIX, bash or zsh for words that can't be printed; on
    Windows cmd and PowerShell."""
    if sys.platform == "win32":  # where cmd takes ' for a letter, and each a backslash
        quoted = (word.replace('"', r"\"") for word in map(str, words))
        return " ".join(word if _PLAIN.fullmatch(word) else f'"{word}"' for word in quoted)
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escaped(word)}'" for word in map(str, words))


def _escaped(word: str) -> str:
    """`word` as bash reads it between $' and ': bytes that are no visible ASCII as \\xHH."""
    content = word.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in content)


def reason(error: Exception) -> str:
    """Why the system refused, in its own words, and what to do if that is known.

    Args:
        error: an OSError, or safetensors' own, which holds the system's number in its text.
    """
    number, said = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    if number is None and (found := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(found[1])
    text = str(said or error)
    if number == errno.EACCES and sys.platform == "win32":  # which says so of an open file too
        return f"{text}; close programs that use files there, or choose another place"
    return f"{text}; {_REMEDIES[number]}" if number in _REMEDIES else text


@contextmanager
def writing(
    place: object, kind: type[GanzooError], then: str = ".", also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Raise an OSError of the block, or one of `also`, as `kind`: why `place` can't be written, and `then`."""
    caught: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except caught as error:
        raise kind(f"{place} can't be written ({reason(error)}){then}") from error


@contextmanager
def needs(said: str, extra: str) -> Iterator[None]:
    """Raise an ImportError of the block as a MissingExtraError: what needs what, and the `extra` to install."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f'{said}: pip install "ganzoo-torch[{extra}]"') from error


@contextmanager
def blame(what: str) -> Iterator[None]:
    """Raise what a stranger's code raises as a PluginError that names `what`; our errors and lack of memory pass."""
    try:
        yield
    except GanzooError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(f"{what} fails ({words_of(error)}); tell its author") from error


def _cut(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def shown(text: str, limit: int = 80) -> str:
    """A name that a stranger gave, as it is if it is short and printable, else quoted."""
    return text if len(text) <= limit and text.isprintable() else quote(text, limit)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory is short, as Python or as torch's devices say it."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_SHORT.search(str(error))))


def nearest(name: object, names: Iterable[str]) -> str:
    """A question for the end of a message, if one of `names` is near `name`; else nothing."""
    text = name[:100] if isinstance(name, str) else quote(name)
    lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(text.lower(), lower, n=1, cutoff=0.6)
    return f' Did you mean "{_cut(lower[near[0]])}"?' if near else ""


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """The end of an unknown-name message: the nearest name, if one is near, and all names (the first 40)."""
    known = list(names)
    more = f" and {len(known) - 40} more" if len(known) > 40 else ""
    return f"{nearest(name, known)} Known: {', '.join(map(_cut, known[:40])) or 'none'}{more}."


def first_line(error: BaseException) -> str:
    """The first line of what `error` says, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def words_of(error: BaseException) -> str:
    """The kind of `error` and what it says, short and in one line, without addresses in memory."""
    said = re.sub(r" ?<_io\.\w+ object at 0x\w+>| at 0x\w+(?=>)", "", f"{type(error).__name__}: {error}")
    return _cut(printable(" ".join(said.split())), 300)


def failure(error: Exception, what: str) -> Exception:
    """The error to raise if a plug-in or a custom part fails; memory errors and ConfigErrors stay as they are."""
    if isinstance(error, ConfigError) or is_out_of_memory(error):
        return error
    return ConfigError(f"{what}: {words_of(error)}; mend it or take another")
