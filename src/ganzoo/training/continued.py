"""Training on from a saved model, in a new run."""

from __future__ import annotations

from pathlib import Path

from ganzoo.gan import GAN, from_pretrained
from ganzoo.hub.folder import WEIGHTS, read_weights
from ganzoo.hub.source import find_source


def continued(source: str | Path, **hub: str | None) -> GAN:
    """The GAN at `source`, ready to train on: with its discriminator, and the generator as it was before averaging
    where the model keeps that one.

    Args:
        **hub: `revision`, `token`, `cache_dir`, `endpoint`, as `from_pretrained` takes them.

    Raises:
        SourceError: no model, or one without a discriminator.
    """
    gan = from_pretrained(source, discriminator=True, **hub)  # type: ignore[arg-type]
    folder = find_source(source, ("generator_raw",), **hub)  # type: ignore[arg-type]
    if (folder / "generator_raw" / WEIGHTS).is_file():
        tensors, _ = read_weights(folder / "generator_raw" / WEIGHTS)
        gan.generator.load_state_dict(tensors)
    return gan
