"""A trained GAN by the name of its source."""

from __future__ import annotations

from pathlib import Path

import torch

from ganzoo.gan import GAN
from ganzoo.saving.model import read_model
from ganzoo.saving.resolve import find_source


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
        HubError: the Hub does not give it.
    """
    parts = ("", "discriminator", "generator_raw") if discriminator else ("",)
    path = find_source(source, parts, revision, token, cache_dir, local_files_only, endpoint)
    networks, facts = read_model(path, discriminator)
    gan = GAN(*networks, **facts).to(device)
    gan.source, gan.folder = str(source), path
    return gan
