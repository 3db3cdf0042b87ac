"""A trained GAN by the name of its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ganzoo.errors import ConfigError, HubAbsentError, HubConnectionError, quote
from ganzoo.gan import GAN
from ganzoo.registry import matching
from ganzoo.saving.model import SavedModel
from ganzoo.saving.resolve import bundled_models, local_source


def list_models(pattern: str | Sequence[str] = "*", exclude: str | Sequence[str] = ()) -> list[str]:
    """Names of the bundled models, as `from_pretrained` takes them.

    Args:
        pattern: with wildcards, as "fashion*"; or several of them.
        exclude: patterns of names to leave out.
    """
    return matching(bundled_models(), pattern, exclude)


def from_pretrained(
    source: str | Path,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
    discriminator: bool = False,
    device: torch.device | str = "cpu",
) -> GAN:
    """Load a trained GAN.

    Args:
        source: a path (./x, /x, ~/x) to a saved model, a run folder or a single `.safetensors` file; else the name
            of a bundled model; else a folder of that name; else a Hub id `owner/name`.
        revision, token, cache_dir, local_files_only, endpoint: for the Hub, as `huggingface_hub` takes them.
        discriminator: load the discriminator too, to train on: a `Trainer` then goes on from the generator as it was
            before averaging, if the model keeps that one. Sampling needs none.
        device: where the networks go.

    Raises:
        SourceError: nothing is found; the message names all that was tried.
        WeightsError, ConfigError: what is found is damaged, incomplete or of another format.
        ConfigError: a `revision` is given, and `source` is here.
        HubError: the Hub does not give it.
    """
    path = local_source(source)
    if path is not None and revision is not None:
        raise ConfigError(
            f"revision {quote(revision)} is for a model of the Hub, but {quote(str(source))} is here: {path}; leave it "
            f"out"
        )
    if path is not None:
        saved = SavedModel.open(path, ("", "discriminator") if discriminator else ("",))
    else:
        from ganzoo.hub.remote import fetch

        try:
            saved = fetch(str(source), discriminator, revision, token, cache_dir, local_files_only, endpoint)
        except (HubAbsentError, HubConnectionError) as error:
            said = f"{error} There is no folder {quote(str(source))} here either ({Path.cwd()})."
            raise type(error)(said) from error.__cause__
    gan = GAN(*saved.build(), **saved.facts).to(device)
    gan.source, gan.on_hub, gan.folder = str(source), path is None, saved.path
    return gan
