"""A run's folder: what is written there, and by what rule.

run.json        what was asked and resolved: settings, networks, data and its hash, machine, versions, command
log.jsonl       what follows from the settings alone: losses, scores, remarks; cut back on resume
timing.jsonl    what the clock says; never compared
checkpoints/    samples/    report.html    model/
.ganzoo.json    the process that trained here last; from the first moment on it marks the folder as a run's
.ganzoo.lock    held by that process while it lives
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import Timeout
from PIL import Image

from ganzoo import markup
from ganzoo.errors import GanzooError, TrainingError, WeightsError, masked, quote, reason, shell, words_of, writing
from ganzoo.files import DESKTOP_FILES, expand_user, is_empty, locked, remove_leftovers, write_file
from ganzoo.saving.format import FORMAT, GRID, WEIGHTS, check_format, read_json, read_plugins
from ganzoo.saving.resolve import source_of
from ganzoo.text import number

_OURS = (
    *("run.json", "log.jsonl", "timing.jsonl", "report.html", "checkpoints", "samples", "model", "trackers"),
    *("evaluation.json", "evaluation.html"),
)
_LOCK, _HOLDER = ".ganzoo.lock", ".ganzoo.json"
_LEFTOVER = re.compile(rf"\.({'|'.join(map(re.escape, (*_OURS, _HOLDER)))})\..*\.tmp")
_SECRET_OPTION = re.compile(r"--?\S*(token|secret|password|passwd|api[-_]?key)", re.IGNORECASE)
NOTEBOOK = "a notebook"  # in place of a command: its kernel's tells nothing, and holds the path of the user's home
_PACKAGES = ("ganzoo-torch", "torch", "accelerate", "safetensors")


@dataclass(frozen=True)
class TrainingResult:
    """The result of `Trainer.fit`: where the files are, and the last figures.

    `finished` is False after Ctrl-C, SIGTERM, or a callback's stop: `stopped` is its reason, and `collapsed` is True if
    that was mode collapse. With keep=last `best_score` is the last score, and `best_step` the step of the model.
    """

    run: Path
    model: Path
    step: int
    finished: bool
    stopped: str | None
    collapsed: bool
    figures: dict[str, float]
    best_score: float | None
    best_step: int | None

    def __repr__(self) -> str:
        return f"<TrainingResult {self.run}: {', '.join(self._words())}>"

    def _words(self) -> Iterator[str]:
        yield f"finished at step {self.step:,}" if self.finished else f"stopped at step {self.step:,}"
        if self.stopped:
            yield f"because {self.stopped}"
        if self.best_score is not None:
            at = "" if self.best_step == self.step else f" at step {self.best_step:,}"
            yield f"{'best' if at else 'last'} score {number(self.best_score)}{at}"

    def _repr_html_(self) -> str:
        """What a notebook shows: how the run ended, its last figures, samples of the model."""
        rows = [("run", self.run), ("ended", ", ".join(self._words()))]
        rows += [(name.replace("_", " "), number(value)) for name, value in self.figures.items()]
        grid = self.model / GRID
        samples = markup.image(Image.open(grid), "samples", scale=2) if grid.is_file() else ""
        return markup.summary("Training", rows, samples)


@contextmanager
def damage_said(run: Path) -> Iterator[None]:
    """Raise a WeightsError if what a file of `run` should hold is missing, or of another type."""
    try:
        yield
    except GanzooError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise WeightsError(
            f"{run}: run.json or a log beside it is damaged ({words_of(error)}); restore them."
        ) from error


class RunFolder:
    """The folder of one run, and its logs."""

    def __init__(self, path: str | Path) -> None:
        self.path = expand_user(path)

    def check_free(self, overwrite: bool) -> None:
        """Raise TrainingError if a new run would overwrite a run (unless asked to) or other files."""
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file; name a folder for the run.")
        found = list(self.path.iterdir()) if self.path.is_dir() else []
        begun = any(entry.name == _HOLDER for entry in found)
        if self.exists():
            return self._check_replaced(begun, overwrite)
        if not overwrite and any(self.path.glob("checkpoints/step-*[1-9]*")):
            raise TrainingError(
                f"{self.path} holds a run that has lost its run.json; bring that back, name another folder, or start "
                f"anew with --overwrite (overwrite=True)."
            )
        if others := [entry.name for entry in found if not _is_ours(entry, begun)]:
            raise TrainingError(f"{self.path} is not empty and holds no run ({min(others)}); name another folder.")

    def _check_replaced(self, begun: bool, overwrite: bool) -> None:
        if not begun:  # what stands beside another program's run.json is never deleted
            try:
                self.facts()
            except GanzooError as error:
                raise TrainingError(
                    f"{self.path / 'run.json'} is damaged or no run's of ganzoo; name another folder."
                ) from error
        if not overwrite:
            raise TrainingError(
                f"{self.path} holds a run already; go on with `{resume_command(self.path)}`, "
                f"or start anew with --overwrite (overwrite=True)."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other processes from training in it while the block lasts.

        The lock dies with its process, however that ends.

        Raises:
            TrainingError: another process holds it, or the folder can't be written.
        """
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S %Z")}
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                if not stack.enter_context(locked(self.path / _LOCK, wait=False)):
                    warnings.warn(f"{self.path} offers no locks: let no other process train there", stacklevel=2)
                write_file(self.path / _HOLDER, json.dumps(holder) + "\n")
            except Timeout as error:
                known = self.holder() or {}  # empty: it has begun this very moment
                named = "process {pid} on {host} since {since}" if known.keys() >= holder.keys() else "another process"
                raise TrainingError(
                    f"{named.format_map(known)} trains in {self.path}; wait until it has ended, or stop it."
                ) from error
            except OSError as error:
                raise TrainingError(f"{self.path} can't be written ({reason(error)}).") from error
            yield

    def holder(self) -> dict[str, Any] | None:
        """The process that trains here, or was the last to: its pid, its host, since when; None if there is none."""
        try:
            return read_json(self.path / _HOLDER)
        except GanzooError:
            return None

    def begin(self, overwrite: bool) -> None:
        """Make the folder, empty of an earlier run. It is a run once `record` has written `run.json`.

        Raises:
            TrainingError: as `check_free`, or the folder can't be written.
        """
        self.check_free(overwrite)
        with writing(self.path, TrainingError):
            self.path.mkdir(parents=True, exist_ok=True)
            self.tidy()
            for name in _OURS:
                old = self.path / name
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink(True)
            for name in ("log.jsonl", "timing.jsonl"):
                (self.path / name).touch()

    def record(self, facts: Mapping[str, Any]) -> None:
        """Write `run.json`, when the run's first checkpoint stands: from here on it can be resumed."""
        with writing(self.path, TrainingError):
            write_file(self.path / "run.json", json.dumps({"format": FORMAT, **facts}, indent=2) + "\n")

    def exists(self) -> bool:
        """Whether a run is there."""
        return (self.path / "run.json").is_file()

    def facts(self, check: bool = True) -> dict[str, Any]:
        """What `run.json` says.

        Args:
            check: that its settings, machine, gan and data are mappings.

        Raises:
            TrainingError: no run is there. WeightsError: the file is damaged or of a newer format.
        """
        if not self.exists():
            raise TrainingError(
                f"{self.path} holds no run that can be resumed (no run.json): name a folder that a training wrote; "
                f"one that was killed before its first step is begun again."
            )
        place = self.path / "run.json"
        facts = read_json(place, own=True)
        check_format(facts, str(place))
        for name in ("settings", "machine", "gan", "data") if check else ():
            if not isinstance(facts.get(name), dict):
                raise WeightsError(
                    f"{place}: {name} must be a mapping, got {quote(facts.get(name))}; the file is damaged."
                )
        return facts

    def stretches(self) -> list[dict[str, Any]]:
        """What `run.json` says of the times that the run went on with other settings; WeightsError if damaged."""
        found = self.facts(check=False).get("stretches", []) if self.exists() else []
        with damage_said(self.path):
            for each in found:
                each["step"] = int(each["step"])
                each["changed"] = {name: [before, after] for name, (before, after) in each["changed"].items()}
            return list(found)

    def tidy(self) -> None:
        """Remove what a killed process left half-written."""
        for name in ("", "checkpoints", "samples", "model", "model/samples"):
            remove_leftovers(self.path / name)
        self._cut("timing.jsonl")

    def log(self, **entry: Any) -> int:
        """Add a line to `log.jsonl`; return the file's new length in bytes."""
        return self._append("log.jsonl", entry)

    def time(self, **entry: Any) -> None:
        """Add a line to `timing.jsonl`."""
        self._append("timing.jsonl", entry)

    def cut_log(self, length: int) -> bool:
        """Take lines after `length` bytes away from `log.jsonl`: they will come again. False: some before are lost."""
        (self.path / "log.jsonl").touch()
        self._cut("log.jsonl", length)
        return (self.path / "log.jsonl").stat().st_size == length

    def remove_after(self, step: int) -> None:
        """Remove the sample grids and times of steps after `step`: they will come again."""
        times = whole_lines(self.path / "timing.jsonl")
        kept = [entry for entry in times if not (type(entry.get("step")) is int and entry["step"] > step)]
        with writing(self.path, TrainingError):
            for path in (self.path / "samples").glob("step-*.png"):
                if path.stem[5:].isdecimal() and int(path.stem[5:]) > step:
                    path.unlink()
            if kept != times:
                write_file(self.path / "timing.jsonl", "".join(f"{json.dumps(entry)}\n" for entry in kept))

    def remove_weights(self) -> None:
        """Remove the model's weights, before it becomes that of another step: a run killed meanwhile sees that they are
        missing."""
        with writing(self.path, TrainingError):
            if (path := self.path / "model" / WEIGHTS).is_file():
                path.unlink()

    def _cut(self, name: str, length: int | None = None) -> None:
        """Cut a log to `length` bytes at most, and back to the end of a whole line."""
        if (self.path / name).is_file():
            content = (self.path / name).read_bytes()[:length]
            os.truncate(self.path / name, content.rfind(b"\n") + 1)

    def entries(self, name: str = "log.jsonl") -> list[dict[str, Any]]:
        """The lines of a log; a last one that a crash cut off is left out."""
        lines = (self.path / name).read_text("utf-8").split("\n")[:-1] if (self.path / name).is_file() else []
        return [json.loads(line) for line in lines]

    def _append(self, name: str, entry: dict[str, Any]) -> int:
        try:
            with open(self.path / name, "ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
                return file.tell()
        except OSError as error:
            raise TrainingError(
                f"{self.path / name} can't be written ({reason(error)}). Then: {resume_command(self.path)}"
            ) from error


def _is_ours(entry: Path, begun: bool) -> bool:
    """Whether a run or a file manager wrote `entry`, by its name; where no run has `begun`, what a run writes
    must be empty too."""
    if entry.name in (_LOCK, _HOLDER, *DESKTOP_FILES) or _LEFTOVER.fullmatch(entry.name):
        return True
    return entry.name in _OURS and (begun or (is_empty(entry) if entry.is_dir() else not entry.stat().st_size))


def run_of(model: Path) -> Path | None:
    """The folder of the run that `model` is the saved model of."""
    model = model if model.name else model.resolve()  # "." within the run
    return model.parent if model.name == "model" and RunFolder(model.parent).exists() else None


def run_at(folder: Path) -> Path | None:
    """The run in `folder`, or that whose saved model is there."""
    return run_of(folder) or (folder if RunFolder(folder).exists() else None)


def seconds(times: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> float:
    """Seconds that all steps took; steps that a resumed run made again count once, as they were made last.

    Args:
        times: lines of `timing.jsonl`; those without a speed are left out.
        settings: of the run; 0 seconds without their `batch_size`.
    """
    latest = {entry["step"]: entry["images_per_second"] for entry in times if entry.get("images_per_second", 0) > 0}
    steps, size = sorted(latest), settings.get("batch_size", 0)
    return float(sum((step - before) * size / latest[step] for before, step in zip([0, *steps], steps)))


def recorded_plugins(facts: dict[str, Any], place: str) -> list[dict[str, str]]:
    """Kind, name, package and version of what a run uses from outside: in its settings, and in its networks."""
    of_networks = [each for name in ("generator", "discriminator") for each in facts["gan"][name].get("plugins", [])]
    found = read_plugins([*facts.get("plugins", []), *of_networks], place)
    return [each for number, each in enumerate(found) if each not in found[:number]]


def recorded_registered(facts: dict[str, Any], place: str) -> list[dict[str, str]]:
    """Kind, name and file of what a run uses that somebody's own code registers."""
    found = facts.get("registered", [])
    if not isinstance(found, list) or not all(
        isinstance(each, dict)
        and {"kind", "name", "where"} == {*each}
        and all(isinstance(text, str) for text in each.values())
        for each in found
    ):
        raise TrainingError(
            f"{place}: registered must be a list of kind, name and where, got {quote(found)}; the file is damaged."
        )
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def resume_command(run: Path, at: int | None = None, **changes: Any) -> str:
    """What goes on with `run`, to be pasted: a command, or a Python line if parts of it were given by hand.

    Args:
        at: the step of a checkpoint to go back to. changes: of settings, in JSON types.
    """
    given, registered = _given_by_hand(run)
    if not given and not registered:
        words = ["--at", at] if at is not None else []
        for name, value in changes.items():
            text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            words += ["--steps", text] if name == "steps" else ["--set", f"{name}={text}"]
        return shell("ganzoo", "train", "--resume", run, *words)
    more = {**({} if at is None else {"at": at}), **changes}
    given |= {name: repr(value) for name, value in more.items()}
    options = "".join(f", {name}={value}" for name, value in given.items())
    where = f"  # where {', '.join(registered)} is registered" if registered else ""
    return f"ganzoo.Trainer.resume({str(run)!r}{options}).fit(){where}"


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of the log `path` but those that are damaged."""
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        with suppress(ValueError, RecursionError):
            found.append(json.loads(line))
    return [entry for entry in found if isinstance(entry, dict)]


def model_scores(log: list[dict[str, Any]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores in `log` of which the last is the model's: all if the last state is kept, else those that were best
    when they came, since the best was last lost. The last need not be the least: going back may have lost a better
    one."""
    if settings.get("keep") == "last":
        return [entry for entry in log if "score" in entry]
    lost = max((index for index, entry in enumerate(log) if entry.get("best_lost")), default=-1)
    return [entry for entry in log[lost + 1 :] if "score" in entry and entry.get("best")]


def changed_in_words(changed: Mapping[str, list[Any]]) -> str:
    """What a stretch changed: "steps 6 (before: 3), flip true (before: false)"."""
    return ", ".join(f"{name} {quote(after)} (before: {quote(before)})" for name, (before, after) in changed.items())


def train_on_command(run: Path) -> str:
    """What begins a new run with the networks of `run`: a command to fill in, or a Python line for custom networks."""
    if "gan" in _given_by_hand(run)[0]:
        return f"ganzoo.Trainer(ganzoo.GAN(...).load_weights({str(run)!r}), data=..., output_dir=...).fit()"
    return f"{shell('ganzoo', 'train', '--from', source_of(run))} --data DATA --output NEW_RUN --steps N"


def _given_by_hand(run: Path) -> tuple[dict[str, str], list[str]]:
    """The arguments that `run` was given and no text can give again: images without a name, custom modules, callbacks
    that are objects; and the names that somebody's own code registers."""
    try:
        facts = RunFolder(run).facts()
        networks = [facts["gan"][name]["model"] for name in ("generator", "discriminator")]
        by_hand = {
            "data": facts["data"]["source"] is None,
            "gan": None in networks,
            "callbacks": facts.get("callbacks"),
        }
        shown = {"data": "...", "gan": "...", "callbacks": "[...]"}
        registered = [f"the {each['kind']} {quote(each['name'])}" for each in recorded_registered(facts, str(run))]
        return {name: text for name, text in shown.items() if by_hand[name]}, registered
    except (GanzooError, KeyError, TypeError):  # no run yet, or a damaged file, which is said elsewhere
        return {}, []


def command() -> str:
    """The command of this process, as one would type it, without what looks like a secret: it gets into cards."""
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    if program in ("ipykernel_launcher.py", "colab_kernel_launcher.py"):
        return NOTEBOOK
    words, hide = {"__main__.py": ["ganzoo"], "-c": ["python", "-c", "..."]}.get(program, [program]), False
    for word in sys.argv[1:]:
        option, equals, _ = word.partition("=")
        secret = bool(_SECRET_OPTION.match(option))
        if hide and not word.startswith("-"):
            word = "***"
        elif secret and equals:
            word = f"{option}=***"
        hide = secret and not equals
        words.append(masked(word))
    return shell(*words)
