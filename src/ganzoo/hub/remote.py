"""A saved model's files from a repository on the Hugging Face Hub: into the client's cache, or a folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ganzoo.errors import (
    ConfigError,
    HubConnectionError,
    HubDamagedError,
    HubError,
    HubMissingError,
    SourceError,
    WeightsError,
    quote,
    writing,
)
from ganzoo.files import expand_user, is_empty, new_folder, sha256_of
from ganzoo.hub.client import bounded_bar, client
from ganzoo.hub_errors import hub_errors
from ganzoo.saving.format import (
    CARD,
    CONFIG,
    GRID,
    LARGEST_CONFIG,
    LOSS_CURVES,
    ONNX,
    UNTOUCHED,
    WEIGHTS,
    check_format,
    read_json,
)
from ganzoo.saving.model import LAYOUT, NETWORKS, SavedModel, holds_model
from ganzoo.saving.weights import LARGEST_WEIGHTS

LARGEST_PART = 100_000_000  # bytes of a picture or card


def fetch(
    repo_id: str,
    discriminator: bool = False,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
) -> SavedModel:
    """Download (or find in the cache) config and weights of `repo_id`, and open them.

    The config comes first: the Hub counts downloads by it. All files are of the commit that it came from.

    Args:
        discriminator: open the discriminator too, and fetch `generator_raw` if the repository has it.

    Raises:
        HubError: the Hub does not give it, or it is not a ganzoo model; the client's own error is its cause.
        SourceError, WeightsError, ConfigError, PluginError: as `SavedModel.open`.
        HubConnectionError: also if the discriminator is not in the cache and the Hub can't be asked whether there is
            one; for `generator_raw`, which many models lack, this is a warning.
    """
    repository = _Repository(repo_id, revision, token, cache_dir, local_files_only, endpoint)
    root, config = repository.open()
    for part in NETWORKS if discriminator else ("",):
        try:
            for name in (CONFIG, WEIGHTS):
                repository.file(str(PurePosixPath(part, name)), root.name)
        except HubMissingError:
            if not part:  # what reads the model says what it misses
                raise
        except HubConnectionError as error:
            online = bool(repository.sizes)
            if not part or online:
                raise
            if repository.known_to_lack(str(PurePosixPath(part, CONFIG)), root.name):
                continue
            missed = f"{repo_id}: its {part} is not in the cache; load it once while the Hub can be reached"
            if part != "generator_raw":
                raise HubConnectionError(f"{missed}.") from error.__cause__
            warnings.warn(f"{missed}, if it has one; until then the averaged one is taken", stacklevel=3)
    return SavedModel.open(root, ("", "discriminator") if discriminator else ("",), config)


def pull(
    repo_id: str,
    folder: str | Path,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Copy the saved model `repo_id` into `folder`, whole: discriminator, pictures and card too.

    Files that are not part of a saved model are not copied, and nothing is written if the model can't be loaded.

    Raises:
        HubError: as `fetch`. ConfigError: `folder` holds something else, or is the working directory.
        WeightsError, ConfigError: the model is damaged. WeightsError: `folder` can't be written.
    """
    target = expand_user(folder)
    free = not target.exists() or (target.is_dir() and (is_empty(target) or holds_model(target)))
    if not free:  # a saved model is replaced, damaged or not; another library's is not
        raise ConfigError(f"{target} holds something else than a saved model; name a new folder")
    repository = _Repository(repo_id, revision, token, cache_dir, False, endpoint)
    root, _ = repository.open()
    if repository.unreachable is not None:  # the cache does not know which files there are
        raise repository.unreachable
    wanted = [name for name in LAYOUT if name in repository.sizes]
    found = {name: repository.file(name, root.name) for name in wanted}
    SavedModel.open(root).build()
    drop = (*NETWORKS, ONNX, GRID, LOSS_CURVES, CARD)
    with writing(target, WeightsError, UNTOUCHED), new_folder(target, keep_others=True, drop=drop) as new:
        for name, path in found.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, new / name)
    return target


class _Repository:
    """Downloads single files, one after the other, all of one commit, and checks what came."""

    def __init__(
        self,
        repo_id: str,
        revision: str | None,
        token: str | None,
        cache_dir: str | Path | None,
        local_files_only: bool,
        endpoint: str | None,
    ) -> None:
        self._id, self._revision, self._client = repo_id, revision, client(token, endpoint)
        self._options: dict[str, Any] = {"cache_dir": cache_dir, "local_files_only": local_files_only}
        self.sizes: dict[str, int | None] = {}  # of the files on the Hub, in bytes; empty offline
        self.unreachable: HubConnectionError | None = None  # why the cache alone is looked at
        self._hashes: dict[str, str | None] = {}  # SHA-256 of the large ones, git's of the others; empty offline
        self._commit: str | None = None  # of these hashes: a push may come before a download

    def open(self) -> tuple[Path, dict[str, Any]]:
        """The snapshot's folder, named after its commit, and the root's config in it.

        Raises:
            HubMissingError: the repository holds no model of ours; the message says what it looks like.
            WeightsError: it is of a newer format.
        """
        if not self._options["local_files_only"]:
            try:  # fails at once; a download would be tried for half a minute
                with hub_errors(self._id, self._revision):
                    found = self._client.model_info(self._id, revision=self._revision, files_metadata=True)
            except HubConnectionError as error:
                self.unreachable = error
                self._options["local_files_only"] = True
            else:
                files, self._commit = found.siblings or (), found.sha
                self.sizes = {file.rfilename: file.size for file in files}
                self._hashes = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in files}
                if CONFIG not in self.sizes:
                    raise HubMissingError(f"{self._id} is not a ganzoo model: {_looks(list(self.sizes), {})}")
        try:
            path = self.file(CONFIG, self._revision)
        except HubConnectionError as error:
            raise (self.unreachable or error) from error.__cause__
        try:
            config = read_json(path)
        except (WeightsError, SourceError) as error:
            raise HubError(f"{self._id} holds a damaged {CONFIG}: {error}") from error
        if "format" not in config:
            raise HubMissingError(f"{self._id} is not a ganzoo model: {_looks([], config)}")
        check_format(config, f"{self._id}: {CONFIG}")  # of a newer one the other files may have other names
        return path.parent, config

    def file(self, name: str, revision: str | None) -> Path:
        """The path of file `name` in the cache, downloaded if need be."""
        named, size, kind = f"{self._id}: {name}", self.sizes.get(name), PurePosixPath(name).name
        most = {WEIGHTS: LARGEST_WEIGHTS, ONNX: LARGEST_WEIGHTS, CONFIG: LARGEST_CONFIG}.get(kind, LARGEST_PART)
        if size is not None and size > most:
            raise HubError(f"{named} has {size:,} bytes; {most:,} is the most.")
        most = most if size is None else size
        bar = bounded_bar(named, most)
        with hub_errors(self._id, revision, self._options["local_files_only"]):
            found = self._client.hf_hub_download(self._id, name, revision=revision, tqdm_class=bar, **self._options)
        path = Path(found)
        _check_place(path, name, named)
        _check_hash(path, named, self._hashes.get(name) if self._commit in path.parts else None)
        if path.stat().st_size > most:
            raise HubDamagedError(f"{named} has more than the {most:,} bytes that were announced.")
        return path

    def known_to_lack(self, name: str, commit: str) -> bool:
        """Whether the cache remembers that this commit has no file `name`."""
        from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

        cache = self._options["cache_dir"]
        return try_to_load_from_cache(self._id, name, cache, commit) is _CACHED_NO_EXIST


def _check_place(path: Path, name: str, named: str) -> None:
    """Raise HubDamagedError if `path`, of the file `name` in a snapshot, is a link out of the cache."""
    snapshot = path.parents[len(PurePosixPath(name).parts) - 1]
    repository = snapshot.parents[1]  # snapshots/COMMIT
    blob = path.resolve()
    if not any(blob.is_relative_to(place.resolve()) for place in (repository, repository.parent)):
        raise HubDamagedError(f"{named} is a link out of the cache, to {blob}; delete {repository}, then try again.")


def _check_hash(path: Path, named: str, wanted: str | None) -> None:
    """Compare what came with `wanted`, its hash on the Hub: the client looks at sizes alone.

    Offline it is compared with the ETag, by which the cache names what `path` links to. What came by Xet is one more
    link, into a store that all repositories share, and that has hashes of another kind.

    Raises:
        HubDamagedError: it differs; the file is taken out of the cache, so that it comes anew.
    """
    blob = path.parent / os.readlink(path) if path.is_symlink() else path
    wanted = wanted or blob.name
    if re.fullmatch(r"[0-9a-f]{64}", wanted):
        digest = sha256_of(blob)
    elif re.fullmatch(r"[0-9a-f]{40}", wanted):  # of a small file: git's own hash
        content = blob.read_bytes()
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if digest != wanted:
        with suppress(ImportError):
            from hf_xet import hash_files

            shared = blob.resolve()  # of other repositories too: only if it is not what they look for
            if blob.is_symlink() and hash_files([str(shared)])[0].hash != shared.name:
                shared.unlink()
        path.unlink()
        blob.unlink(missing_ok=True)
        raise HubDamagedError(f"{named} came damaged: its hash is not what the Hub says. Try again.")


_OTHERS = {  # a key of the config, or a file, by which one knows a model of another library
    "model_type": ("a model of transformers", "transformers"),
    "architectures": ("a model of transformers", "transformers"),
    "_class_name": ("a part of a diffusers pipeline", "diffusers"),
    "architecture": ("a model of timm", "timm"),
    "model_index.json": ("a diffusers pipeline", "diffusers"),
}


def _looks(names: Sequence[str], config: dict[str, Any]) -> str:
    """What a repository of these files, or with this root config, seems to be."""
    for key, (kind, library) in _OTHERS.items():
        if key in config or key in names:
            said = f" ({quote(config[key])})" if key == "model_type" else ""
            return f"it looks like {kind}{said}; load it with {library}."
    pickles = [name for name in names if name.endswith((".pkl", ".bin", ".pt", ".pth", ".ckpt"))]
    if pickles:
        return f"it holds pickled weights ({quote(pickles[0])}), which may run any code and are never opened here."
    listed = ", ".join(quote(name, 40) for name in sorted(names or config)[:5])
    held = f"its files: {listed}" if names else f"its config says {listed}"
    return f"{CONFIG} with a format is missing; {held}."
