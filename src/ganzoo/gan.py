"""The pair of networks: sample it, save it, share it."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from ganzoo import images as pictures
from ganzoo import markup
from ganzoo.config import Bounds, Config, checked_int, convert_value
from ganzoo.errors import ConfigError, WeightsError, did_you_mean, quote
from ganzoo.hardware import checked_device, full_float32, send
from ganzoo.latents import (
    check_clusters,
    checked_labels,
    checked_latents,
    fresh_seed,
    label_count,
    sample_labels,
    sample_latents,
    sign_class,
    with_sign_class,
)
from ganzoo.models import (
    MODELS,
    Discriminator,
    Generator,
    config_of,
    evaluating,
    parameter_count,
)
from ganzoo.models.checked import checked_images
from ganzoo.models.contract import unwrapped
from ganzoo.models.fast import FastCopy
from ganzoo.models.graphed import GraphedPasses
from ganzoo.saving.format import WEIGHTS
from ganzoo.saving.model import LARGEST_LATENT, write_model
from ganzoo.saving.resolve import local_model
from ganzoo.saving.weights import Dtype, WeightsFile

if TYPE_CHECKING:
    from ganzoo.hub.push import Pushed

Precision = Literal["float32", "fast"]
OUTSIDE = (
    "more than a quarter of the generator's pixels lie outside [-1, 1] and are cut off at its ends; end it in "
    "nn.Tanh(), or scale its images to [-1, 1]"
)


@dataclass(frozen=True)
class GANConfig:
    """What a GAN is made of; None if a network is missing or a custom module."""

    generator: Config | None
    discriminator: Config | None
    preset: str | None


class GAN:
    """A generator, and its discriminator if it has one.

    Labels are int64 (N,), of `num_classes` classes. If there are `clusters`, which training finds in the images, the
    networks take `max(1, num_classes) * clusters` labels. `network_labels` computes these from latents and classes, so
    a user gives classes alone.

    Args:
        generator: any module from latents (N, *latent_shape) to images (N, C, H, W) in [-1, 1]; with classes it is
            called with (latents, labels). What torch.compile, DataParallel or DistributedDataParallel wraps is
            unwrapped: a run shares its batches itself, and `module.compile()` compiles in place.
        discriminator: any module from images to logits, one or more an image; with classes (images, labels).
        latent_size: numbers in a latent; a `ganzoo.models.Generator` says it itself.
        latent_shape: shape of one latent if it is not (latent_size,): (100, 1, 1) for the chapter's networks.
        num_classes: classes that a user chooses among; 0 for none. A `ganzoo.models.Generator` says it itself.
        clusters: of each class, or of all images without classes, a power of two; a latent's signs choose one.
        class_names: a name for each class, or none, for messages and pictures.
        preset: the preset that the networks come from; training takes its settings from there.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        *,
        latent_size: int | None = None,
        latent_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        clusters: int = 0,
        class_names: Sequence[str] = (),
        preset: str | None = None,
    ) -> None:
        if not isinstance(generator, nn.Module):
            raise ConfigError(f"generator must be a torch.nn.Module, got {quote(generator)}")
        if discriminator is not None and not isinstance(discriminator, nn.Module):
            raise ConfigError(f"discriminator must be a torch.nn.Module or None, got {quote(discriminator)}")
        generator, discriminator = unwrapped(generator), discriminator and unwrapped(discriminator)
        self.clusters = check_clusters(clusters)
        if isinstance(generator, Generator):
            latent_size = latent_size or generator.latent_size
            if num_classes is None:
                classes = generator.num_classes // max(1, clusters)
                num_classes = 0 if clusters and classes == 1 else classes
        if latent_shape is None and latent_size is None:
            raise ConfigError(f"latent_size must be given for a {type(generator).__name__}: how many numbers it takes")
        self.latent_shape = _latent_shape(latent_size, latent_shape)
        self.latent_size = math.prod(self.latent_shape)
        self.generator, self.discriminator = generator, discriminator
        self.num_classes = checked_int("num_classes", num_classes or 0, 0)
        self.class_names = tuple(class_names)
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ConfigError(
                f"class_names must be a name for each of the {self.num_classes} classes or none at all, got "
                f"{len(self.class_names)}"
            )
        self.preset = preset
        self.source: str | None = None  # what `from_pretrained` was asked for; of fresh weights None
        self.on_hub = False  # whether `source` is a model of the Hub
        self.folder: Path | None = None  # what it, or the GAN it varies, loaded: a model's folder, or a weights file
        self._fast = FastCopy()
        self._graphs = GraphedPasses()
        self._check_pair()

    def _check_pair(self) -> None:
        """Raise ConfigError unless networks that announce sizes and classes fit each other and the GAN."""
        if isinstance(self.generator, Generator) and self.generator.latent_size != self.latent_size:
            raise ConfigError(
                f"the generator takes {self.generator.latent_size} numbers, and latent_size is {self.latent_size}; "
                f"leave it out"
            )
        if isinstance(self.generator, Generator) and isinstance(self.discriminator, Discriminator):
            for name in ("image_size", "image_channels", "num_classes"):
                ours, theirs = getattr(self.generator, name), getattr(self.discriminator, name)
                if ours != theirs:
                    raise ConfigError(f"generator and discriminator differ in {name}: {ours} against {theirs}")
        if isinstance(self.generator, Generator) and self.generator.num_classes != self.label_count:
            raise ConfigError(
                f"the generator has num_classes {self.generator.num_classes}; a GAN with {self.num_classes} classes "
                f"and {self.clusters} clusters needs {self.label_count}"
            )

    def __repr__(self) -> str:
        parts = [f"latent_size={self.latent_size}"]
        if isinstance(self.generator, Generator):  # a custom module would have to be called
            parts.append(f"image {self.image_channels}x{self.image_size}x{self.image_size}")
        if self.num_classes:
            parts.append(f"{self.num_classes} classes")
        if self.clusters:
            parts.append(f"{self.clusters} clusters")
        if self.discriminator is not None:
            parts.append("with discriminator")
        return f"<GAN {self.preset or 'custom'}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the facts, and eight samples of seed 0."""
        rows = [("latent_size", f"{self.latent_size:,}")]
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if network is not None:
                rows.append((name, f"{type(network).__name__}, {parameter_count(network):,} parameters"))
        if self.num_classes:
            rows.append(("classes", ", ".join(self.class_names) or f"{self.num_classes:,}"))
        if self.clusters:
            rows.append(("clusters", f"{self.clusters:,}"))
        samples = self.sample(8, seed=0)
        rows.insert(1, ("image", "x".join(map(str, samples.shape[1:]))))
        return markup.summary(f"GAN {self.preset or 'custom'}", rows, markup.grid(samples))

    @property
    def facts(self) -> dict[str, Any]:
        """What `config.json` and a run store of a pair besides its networks, as arguments of `GAN` in JSON types."""
        return {
            "preset": self.preset,
            "latent_shape": list(self.latent_shape),
            "num_classes": self.num_classes,
            "clusters": self.clusters,
            "class_names": list(self.class_names),
        }

    @property
    def label_count(self) -> int:
        """How many labels the networks tell apart (classes, clusters, or pairs of both); 0 if they take none."""
        return label_count(self.num_classes, self.clusters)

    def network_labels(self, latents: Tensor, labels: Tensor | None) -> Tensor | None:
        """The labels that both networks take, int64 (N,), 0 to `label_count` - 1; None if they take none.

        Args:
            latents: (N, ...), whose signs choose a cluster if there are clusters (`ganzoo.latents.sign_class`).
            labels: int64 (N,), of `num_classes` classes; None without classes.
        """
        if not self.clusters:
            return labels
        chosen = sign_class(latents, self.clusters)
        return chosen if labels is None else labels.to(chosen.device) * self.clusters + chosen

    def with_cluster(self, latents: Tensor, key: Tensor) -> Tensor:
        """`latents` (N, latent_size), each moved into the cluster of `key` (latent_size,); unchanged without clusters.

        An image jumps at the border of two clusters, so a path must not cross one.
        """
        if not self.clusters:
            return latents
        return with_sign_class(latents, sign_class(key[None], self.clusters), self.clusters)

    @property
    def config(self) -> GANConfig:
        """The configs of both networks and the preset's name."""
        return GANConfig(config_of(self.generator), config_of(self.discriminator), self.preset)

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next((parameter.device for parameter in self.generator.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the generator's numbers, in which it takes latents."""
        kinds = (parameter.dtype for parameter in self.generator.parameters())
        return next((kind for kind in kinds if kind.is_floating_point), torch.float32)

    def to(self, device: torch.device | str) -> GAN:
        """Move both networks to `device`; return self. ConfigError: torch has no such device here."""
        found = checked_device(device)
        if found != self.device:
            self._graphs, self._fast = GraphedPasses(), FastCopy()  # they hold memory of the device that is left
        for network in (self.generator, self.discriminator):
            if network is not None:
                network.to(found)
        return self

    @property
    def image_size(self) -> int:
        """Pixels a side of an image."""
        return self.generator.image_size if isinstance(self.generator, Generator) else self._image_shape[-1]

    @property
    def image_channels(self) -> int:
        """Channels of an image."""
        return self.generator.image_channels if isinstance(self.generator, Generator) else self._image_shape[1]

    @cached_property
    def _image_shape(self) -> tuple[int, ...]:
        return tuple(self.sample(1, seed=0).shape)

    def sample(
        self,
        n: int | None = None,
        seed: int | None = None,
        latents: Tensor | None = None,
        labels: int | Sequence[int] | Tensor | None = None,
        batch_size: int = 64,
        precision: Precision = "float32",
    ) -> Tensor:
        """Draw `n` images: float32 (n, C, H, W) in [-1, 1], on the generator's device.

        Values of a custom generator that lie outside are cut off at -1 and 1; if they are many, a warning says so.

        Args:
            n: how many; with `latents` it may be left out.
            seed: image i depends on the seed and i alone, not on n, batch size or device. None: another one each time
                (drawn from torch's global state, so `torch.manual_seed` fixes it).
            latents: (n, latent_size) or (n, latent_size, 1, 1), instead of drawn ones.
            labels: one class for all, or n of them; a conditional model draws them uniformly from the seed otherwise.
            batch_size: images that are made at once.
            precision: "fast" is faster and less exact. It computes in bfloat16 if the device is fast at that; on the
                CPU, batch norms are folded into convolutions. On CUDA, small batches compute in TF32 instead.

        Raises:
            ConfigError, ShapeError: an argument has the wrong type, range or shape, or a custom generator fails or
                gives no images.
        """
        made = list(self.batches(n, seed, latents, labels, batch_size, precision))
        return made[0] if len(made) == 1 else torch.cat(made)

    def batches(
        self,
        n: int | None = None,
        seed: int | None = None,
        latents: Tensor | None = None,
        labels: int | Sequence[int] | Tensor | None = None,
        batch_size: int = 64,
        precision: Precision = "float32",
    ) -> Iterator[Tensor]:
        """The images of `sample`, one batch at a time, so that any number fits into memory."""
        if n is None and latents is not None:
            n = len(latents) if isinstance(latents, Tensor) and latents.dim() else 1  # refused below
        n, batch_size = checked_int("n", n, 1), checked_int("batch_size", batch_size, 1)
        convert_value(precision, Precision, "precision", Bounds())
        given = checked_latents(latents, n, self.latent_size) if latents is not None else None
        chosen = self.checked_labels(labels, n) if labels is not None else None
        seed = fresh_seed() if seed is None else checked_int("seed", seed, 0)  # fails here, not in the first batch
        return self._generate(n, seed, given, chosen, batch_size, precision)

    def _generate(
        self, n: int, seed: int, latents: Tensor | None, labels: Tensor | None, batch_size: int, precision: str
    ) -> Iterator[Tensor]:
        device, dtype = self.device, self.dtype
        to_call: Callable[..., Tensor] | None = None

        def images(rows: Tensor, classes: Tensor | None = None) -> Tensor:
            y = self.network_labels(rows, classes)
            z = send(rows.reshape(-1, *self.latent_shape).to(dtype), device)
            made = checked_images(to_call or self.generator, z, None if y is None else send(y, device))
            return made.float().contiguous()

        for start in range(0, n, batch_size):
            given = self._rows(start, min(n, start + batch_size), seed, latents, labels)
            facts = self.latent_shape, self.clusters, dtype
            made = None
            if to_call is None:  # else a last, smaller batch: a graph would read the weights of the fast copy
                made = self._graphs(self.generator, images, given, device, precision == "float32", facts)
            if made is None:
                # One thread at a time: each brings the generator's mode back, under which another would compute.
                with self._graphs.lock, evaluating(self.generator), torch.no_grad(), full_float32(device):
                    if precision == "fast" and to_call is None:
                        to_call = self._fast.of(self.generator)
                    made = images(*given)
                if start == 0:
                    self._look_at_range(made)
                made = made.clamp(-1, 1)
            yield made

    def _rows(
        self, start: int, stop: int, seed: int, latents: Tensor | None, labels: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Latents of images `start` to `stop` - 1, and classes if there are some: those given, else drawn ones."""
        count, size = stop - start, self.latent_size
        # A copy: nobody waits until pinned memory is sent, and its owner may write the next latents there.
        rows = sample_latents(count, size, seed, start)[0] if latents is None else latents[start:stop].clone()
        if not self.num_classes:
            return (rows,)
        if labels is None:
            return rows, sample_labels(count, size, seed, start, self.num_classes)
        return rows, labels[start:stop]

    def _look_at_range(self, made: Tensor) -> None:
        """Warn if many numbers are not in [-1, 1]; a `Generator` promises that, and `check_model` looks."""
        if isinstance(self.generator, Generator):
            return
        if made.abs().max() > 1 and float((made.abs() > 1).float().mean()) > 0.25:
            warnings.warn(OUTSIDE, stacklevel=4)

    def checked_labels(self, labels: int | Sequence[int] | Tensor, n: int) -> Tensor:
        """`labels`, one class for all or `n` of them, as int64 (n,).

        Raises:
            ShapeError: they are not ints, or not so many. ConfigError: one is out of range, or there are no classes.
        """
        if not self.num_classes:
            raise ConfigError(f"labels={quote(labels)}: {self!r} has no classes; leave labels out")
        return checked_labels(labels, n, self.num_classes)

    def label(self, text: str | int) -> int:
        """The class that `text` names, in upper or lower case if only one fits; else the class of that number.

        An int is always the number, as in `sample(labels=3)`.
        """
        names = self.class_names if isinstance(text, str) else ()
        text = str(text)
        if text in names:
            return names.index(text)
        fitting = [index for index, name in enumerate(names) if name.lower() == text.lower()]
        if len(fitting) == 1:
            return fitting[0]
        if text.isdecimal() and len(text) < 10 and int(text) < self.num_classes:
            return int(text)
        if not self.num_classes:
            raise ConfigError(f"label {quote(text)}: {self!r} has no classes; leave the label out")
        known = self.class_names or [f"0 to {self.num_classes - 1}"]
        raise ConfigError(f"label {quote(text)} is not a class of {self!r}.{did_you_mean(text, known)}")

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        dtype: Dtype = "float32",
        generator_raw: nn.Module | None = None,
    ) -> Path:
        """Write the pair to `folder` in the layout of a Hub repository; `from_pretrained(folder)` reads it.

        After a crash there is the old folder or the new one. An old model is replaced whole: its discriminator,
        `generator_raw` and pictures go, even if the new one has none. Its card is kept, as are files of other names.

        Args:
            dtype: of the weights in the files; "float16" or "bfloat16" halve them.
            generator_raw: the generator before averaging, kept beside so that training can go on.

        Raises:
            ConfigError: no such dtype, or `folder` is a file or the working directory.
            WeightsError: `folder` can't be written.
        """
        networks = {"": self.generator, "discriminator": self.discriminator, "generator_raw": generator_raw}
        return write_model(folder, networks, self.facts, dtype)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        message: str | None = None,
        endpoint: str | None = None,
        dtype: Dtype = "float32",
    ) -> Pushed:
        """Save the pair, with a grid of samples and a card, to the repository `repo_id` (owner/name) of the Hub.

        A run's folder is pushed with all that its card can tell by `ganzoo push`, or `ganzoo.hub.push.push_folder`,
        which also says what the other arguments mean.

        Returns:
            Its address and commit.

        Raises:
            HubError: the Hub refuses, or can't be reached.
            WeightsError: the networks are custom modules, which nobody could load from there.
        """
        from ganzoo.hub.push import check_repo_id, push_folder

        check_repo_id(repo_id)
        for kind in (type(self.generator), type(self.discriminator)):
            if kind is not type(None) and MODELS.name_of(kind) is None:
                raise WeightsError(f"nobody could load a {kind.__name__} from {repo_id}: register it in ganzoo.MODELS.")
        with tempfile.TemporaryDirectory() as root:
            folder = self.save_pretrained(Path(root) / repo_id.rpartition("/")[2], dtype=dtype)
            pictures.save(pictures.grid(self.sample(64, seed=0)), folder / "samples" / "grid.png")
            options = {"private": private, "token": token, "revision": revision, "create_pr": create_pr}
            return push_folder(folder, repo_id, **options, message=message, endpoint=endpoint)  # type: ignore[arg-type]

    def load_weights(self, folder: str | Path) -> GAN:
        """Read weights that `save_pretrained` or a run wrote into these networks; return self.

        This is how custom modules come back, which `from_pretrained` can't build. A single weights file, or a
        folder without a discriminator, leaves the discriminator as it is.

        Raises:
            SourceError: no weights are there. WeightsError: they are damaged, or of another network.
        """
        root = local_model(folder)
        files = [(root if root.is_file() else root / WEIGHTS, self.generator)]
        if self.discriminator is not None and (root / "discriminator" / WEIGHTS).is_file():
            files.append((root / "discriminator" / WEIGHTS, self.discriminator))
        opened = [(WeightsFile.open(path), network) for path, network in files]
        for weights, network in opened:  # all, before one is changed
            weights.check_config(network)
        for weights, network in opened:
            weights.load_into(network)
        self.folder = root
        return self


def _latent_shape(size: int | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape of one latent, by its `size`, its `shape` or both; ConfigError unless they are sound and agree."""
    found: tuple[Any, ...] = tuple(shape) if shape is not None else (size,)
    if not all(type(each) is int and each > 0 for each in found):
        raise ConfigError(f"latent_shape must be positive ints, got {quote(list(found))}")
    if not 1 <= math.prod(found) <= LARGEST_LATENT or size not in (None, math.prod(found)):
        raise ConfigError(f"latent_size must be 1 to {LARGEST_LATENT} and fit {quote(found)}, got {quote(size)}")
    return found
