"""Where a model is: a path, a bundled name, a folder, or the Hub, in this order."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from ganzoo.errors import ConfigError, SourceError, nearest, quote, shell
from ganzoo.files import expand_user, recover, written_as_path
from ganzoo.saving.format import CONFIG, WEIGHTS

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def bundled_models() -> dict[str, Path]:
    """The models that come with the package: {name: folder}."""
    zoo = Path(str(files("ganzoo"))) / "zoo"
    return {path.parent.name: path.parent for path in sorted(zoo.glob(f"*/{CONFIG}"))}


def source_of(folder: str | Path) -> str:
    """What `from_pretrained` takes for `folder`: ./ stands before a relative path that is a bundled model's name."""
    text = Path(folder).as_posix()
    return f"./{text}" if text in bundled_models() else text


def local_source(source: str | Path) -> Path | None:
    """The folder, or the single weights file, that `source` names here; None for a model of the Hub.

    Raises:
        SourceError: it names neither; the message names all that was tried.
    """
    text = str(source)
    if not text.strip() or "\0" in text or len(text) > 4096:
        raise SourceError(f"{quote(text)} names no model; give a path, a bundled name or a Hub id owner/name.")
    if written_as_path(source):
        return local_model(text)
    bundled = bundled_models()
    if text in bundled:
        return bundled[text]
    try:
        recover(Path(text))
        exists = Path(text).exists()
    except OSError:
        exists = False
    if exists:
        return local_model(Path(text))
    if _HUB_ID.fullmatch(text) and ".." not in text:
        _check_no_path(text)
        return None
    tried = f"no bundled model, no folder here ({Path.cwd()}), no Hub id owner/name"
    raise SourceError(f"No model {quote(text)}: {tried}.{nearest(text, bundled)} Bundled models: {', '.join(bundled)}.")


def _check_no_path(text: str) -> None:
    """Raise SourceError if owner/name looks like a mistyped path: the owner is a folder here. Nothing is sent."""
    first, _, rest = text.partition("/")
    if Path(first).is_dir():
        near = nearest(rest, sorted(entry.name for entry in Path(first).iterdir()))
        raise SourceError(
            f"No model {quote(text)}: the folder {first} is here ({Path.cwd()}), but holds no {quote(rest)}.{near} "
            f"Nothing was asked of the Hub; for its model of this name, work in another folder."
        )


def local_folder(path: str | Path) -> Path:
    """As `local_model`, but only for folders; ConfigError if `path` is a single file."""
    root = local_model(path)
    if root.is_file():
        raise ConfigError(f"{root} is a single file; name the folder of a saved model")
    return root


def local_model(path: str | Path) -> Path:
    """The saved model at `path`: a weights file, its folder, or a run's `model/`; SourceError says what is there."""
    try:
        return _model_at(expand_user(path))
    except SourceError:
        raise
    except ConfigError as error:  # ~name of an unknown user
        raise SourceError(f"{error}.") from error
    except OSError as error:
        raise SourceError(f"{quote(str(path))} can't be read ({error.strerror}); name a saved model.") from error
    except UnicodeError as error:
        raise SourceError(f"{quote(str(path))} can't name a file ({quote(str(error))}); name a saved model.") from error


def _model_at(path: Path) -> Path:
    if path.is_file():
        if (path.parent / "state.json").is_file() and path.parent.parent.name == "checkpoints":
            raise SourceError(_of_checkpoint(path.parent))
        if path.suffix != ".safetensors":
            raise SourceError(f"{path} is a file, but not .safetensors; name a model's folder or weights file.")
        return path
    folders = path, path / "model"
    for folder in folders:
        recover(folder)
    if found := next((folder for folder in folders if (folder / CONFIG).is_file()), None):
        return found
    if not path.exists():
        raise SourceError(f"{path} does not exist; a path names a saved model, a run folder or a .safetensors file.")
    if (path / "state.json").is_file() and path.parent.name == "checkpoints":
        raise SourceError(_of_checkpoint(path))
    names = sorted(entry.name for entry in path.iterdir())[:5]
    looks = ", ".join(name if name.isprintable() else quote(name) for name in names) or "nothing"
    raise SourceError(f"{path} holds no saved model ({CONFIG} and {WEIGHTS}, or model/ of a run); it holds {looks}.")


def _of_checkpoint(path: Path) -> str:
    """What to do with the checkpoint at `path`, which holds the state of training and no saved model."""
    run, step = path.resolve().parent.parent, path.name.removeprefix("step-").lstrip("0") or "0"
    sample, resume = shell("ganzoo", "sample", run), shell("ganzoo", "train", "--resume", run)
    return (
        f"{path} is a checkpoint, to resume from, and no saved model. The run's model: {sample}; this one's images: "
        f"add --at {step}. To go back to this one: {resume} --at {step}."
    )
