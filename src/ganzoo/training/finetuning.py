"""Training on from a saved model, in a new run: on other images, or as another size or number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import ConfigError, GanzooError, NoDiscriminatorError
from ganzoo.gan import GAN
from ganzoo.models import MODELS
from ganzoo.models.contract import Network
from ganzoo.presets import Preset, create
from ganzoo.pretrained import from_pretrained
from ganzoo.runs.folder import RunFolder, damage_said, run_of
from ganzoo.saving.format import WEIGHTS
from ganzoo.saving.weights import WeightsFile
from ganzoo.seeds import seeded
from ganzoo.settings import Settings
from ganzoo.training.callbacks.progress import say


def continued(
    source: str | Path,
    image_size: int | None = None,
    generator: Mapping[str, Any] | None = None,
    discriminator: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    clusters: int | None = None,
) -> tuple[GAN, list[str]]:
    """The GAN at `source`, ready to train on: with its discriminator or a fresh one, and the generator as it was before
    averaging if the model keeps that one.

    Args:
        image_size, generator, discriminator: changes of the networks, as `ganzoo.create` takes them. Weights of the
            same place and shape are kept, the place being what the family says (`matching_weights`).
        seed: of weights that are new.
        clusters: None for those of the source. If there are more, parts of a cluster (or class) begin with its rows of
            embeddings.

    Returns:
        The GAN, and a line for each network that is not wholly kept: what was kept, and what is new.

    Raises:
        SourceError: no model. NoDiscriminatorError: one without a discriminator, whose family makes none for it.
        ConfigError: the changes can't be made.
    """
    gan, remarks = with_discriminator(source, seed)
    before_averaging(gan)
    if image_size is None and not generator and not discriminator and clusters in (None, gan.clusters):
        return gan, remarks
    varied = create(_recipe(gan), image_size, generator, discriminator, seed, clusters)
    varied.preset = gan.preset
    if varied.num_classes == gan.num_classes:
        varied.class_names = gan.class_names
    varied.source, varied.folder = gan.source, gan.folder
    parts = 1  # of each label: clusters 2k and 2k + 1 are the halves of what was cluster k
    if varied.num_classes == gan.num_classes and varied.clusters > gan.clusters and gan.label_count:
        parts = varied.label_count // gan.label_count
        remarks.append(
            f"clusters: {varied.clusters} in place of {gan.clusters}; in embeddings each begins as the cluster "
            f"or class of which it is a part"
        )
    for name in ("generator", "discriminator"):
        if remark := load_matching_weights(getattr(gan, name), getattr(varied, name), parts):
            remarks.append(f"{name}: {remark}")
    return varied, remarks


def with_discriminator(source: str | Path, seed: int | None = 0) -> tuple[GAN, list[str]]:
    """The GAN at `source` with its discriminator; if it has none, with one drawn from `seed`, and a line to say so."""
    try:
        return from_pretrained(source, discriminator=True), []
    except NoDiscriminatorError as missing:
        gan = from_pretrained(source)
        if not isinstance(gan.generator, Network):
            raise
        try:
            with seeded(seed):
                gan.discriminator = gan.generator.counterpart()
        except ConfigError as error:
            raise missing from error
    return gan, [
        f"discriminator: fresh, since {gan.source} holds none; the generator may get worse until it has learned"
    ]


def before_averaging(gan: GAN) -> None:
    """Give `gan`, as it was loaded, the generator's weights before averaging: its discriminator was trained against
    those, and training goes on from them, which is said.

    Nothing is done if its model keeps none, or if the generator is no longer the one that was loaded.
    """
    raw = gan.folder / "generator_raw" / WEIGHTS if gan.folder else None
    if gan.folder is None or raw is None or not raw.is_file() or not (gan.folder / WEIGHTS).is_file():
        return
    saved = WeightsFile.open(gan.folder / WEIGHTS).tensors()
    for name, value in gan.generator.state_dict().items():
        if name not in saved or not torch.equal(value.cpu().to(saved[name].dtype), saved[name]):
            return
    WeightsFile.open(raw).load_into(gan.generator)
    say("Training goes on from the generator before averaging: the discriminator was trained against that one.")


def clustering_of(gan: GAN) -> dict[str, Any]:
    """`cluster_by` and `min_cluster_size` of the run that made `gan`, whose clusters its networks know; nothing if that
    run is not here, or had none."""
    run = run_of(gan.folder) if gan.folder and gan.clusters else None
    if run is None:
        return {}
    with suppress(GanzooError), damage_said(run):  # a damaged record is no reason to refuse a model that is whole
        settings = RunFolder(run).facts()["settings"]
        least = settings.get("min_cluster_size", Settings.min_cluster_size)
        found = {"cluster_by": settings["cluster_by"], "min_cluster_size": least}
        Settings(**found)  # checks both, and not the loss of a package that is gone
        return found if settings["clusters"] else {}
    return {}


def load_matching_weights(old: nn.Module, new: nn.Module, parts: int = 1) -> str:
    """Copy into `new` all weights of `old` that have their place and shape there; say what was kept and what is new.

    Args:
        parts: how many labels of `new` one of `old` becomes; each begins with its row of an embedding.

    Returns:
        A sentence, or nothing if all fit.
    """
    weights, wanted = old.state_dict(), new.state_dict()
    moved = new.matching_weights(old) if isinstance(new, Network) else weights
    moved = {**moved, **_repeated_rows(new, moved, parts)}
    kept = {key: moved[key] for key, value in wanted.items() if key in moved and moved[key].shape == value.shape}
    new.load_state_dict({**wanted, **kept})
    fresh = [key for key in wanted if key not in kept]
    if not fresh and len(kept) == len(weights):
        return ""
    shapes = [
        f"{key} {tuple(wanted[key].shape)}" + (f" (was {tuple(moved[key].shape)})" if key in moved else "")
        for key in fresh
        if wanted[key].dim()
    ]
    more = f" and {len(shapes) - 6} more" if len(shapes) > 6 else ""
    dropped = len(moved.keys() - wanted.keys())
    return f"{len(kept)} of {len(wanted)} tensors kept; new: {', '.join(shapes[:6]) or 'none'}{more}" + (
        f"; {dropped} old tensors are not used" if dropped else ""
    )


def _repeated_rows(new: nn.Module, moved: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
    """Those of the weights `moved` that are embeddings of `new` if each row is taken `parts` times: parts of a label
    follow each other. None under spectral norm, where other rows have another norm."""
    tables = {f"{name}.weight": each.weight for name, each in new.named_modules() if type(each) is nn.Embedding}
    rows = {place: moved[place].repeat_interleave(parts, 0) for place in tables if place in moved}
    return {place: value for place, value in rows.items() if value.shape == tables[place].shape}


def _recipe(gan: GAN) -> Preset:
    """The networks of `gan` as a recipe that can be varied."""
    networks: dict[str, Any] = {}
    for name in ("generator", "discriminator"):
        network = getattr(gan, name)
        model = MODELS.name_of(type(network))
        if model is None:
            raise ConfigError(f"{name} is a module of your own; its size can't be changed here: build it anew")
        labels = {"num_classes": gan.num_classes} if gan.clusters else {}  # without clusters, which `create` adds
        networks |= {name: network.config.replace(labels), f"{name}_model": model}
    return Preset(version=1, description="", data="", settings=Settings(clusters=gan.clusters), **networks)
