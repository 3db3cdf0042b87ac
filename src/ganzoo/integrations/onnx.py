"""Write a GAN's generator or discriminator as an ONNX file, which programs without Python or torch can run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.config import Bounds, convert_value
from ganzoo.errors import ConfigError, ModelError
from ganzoo.files import expand_user, write_file
from ganzoo.gan import GAN
from ganzoo.latents import sample_latents
from ganzoo.models.contract import call_with
from ganzoo.models.onnx import OPSET, fingerprint, largest_difference, run_onnx, to_onnx
from ganzoo.text import own_version

Which = Literal["generator", "discriminator"]
BATCHES = (1, 3)  # what was written is tried with


@dataclass(frozen=True)
class ExportedONNX:
    """What was written.

    Args:
        path: of the file.
        bytes: its size.
        inputs: names and shapes of what it takes, N being any number.
        output: name and shape of what it gives.
        opset: of the ONNX operators.
        difference: the largest between onnxruntime and torch, on two batches of seed 0 (of logits above 1, relative).
    """

    path: Path
    bytes: int
    inputs: dict[str, str]
    output: dict[str, str]
    opset: int
    difference: float


def free_file(path: str | Path, overwrite: bool) -> Path:
    """`path`, if a file may be written there; ConfigError if it is a folder, or a file and not `overwrite`."""
    target = expand_user(path)
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name a file: {target / 'model.onnx'}")
    if target.exists() and not overwrite:
        raise ConfigError(
            f"{target} is there already; name another file, or replace it with --overwrite (overwrite=True)"
        )
    return target


def export_onnx(
    gan: GAN,
    path: str | Path = "model.onnx",
    *,
    network: Which = "generator",
    half: bool = False,
    overwrite: bool = False,
) -> ExportedONNX:
    """Write a network of `gan` as an ONNX file, and compare what onnxruntime makes of it with torch.

    The generator's file takes `latents`, float32 (N, latent_size), and with classes `labels`, int64 (N,), and gives
    `images`, float32 (N, C, H, W) in [-1, 1]: the numbers of `gan.sample`. Clusters are chosen inside, by the latents'
    signs. The discriminator's takes `images`, and `labels` up to `gan.label_count` if the networks have labels, and
    gives `logits`, float32. The file's metadata, key "ganzoo", tells sizes, classes and their names as JSON.

    Args:
        half: weights and arithmetic in float16: half the size; inputs and output stay float32.
        overwrite: replace the file that is there.

    Raises:
        MissingExtraError: onnxscript or onnxruntime is not installed.
        ConfigError: the network can't be exported, or there is no discriminator, or `path` is there already.
        ModelError: onnxruntime computes something else than torch; nothing is written.
    """
    convert_value(network, Which, "network", Bounds())
    target = free_file(path, overwrite)
    module = _Exported(gan, network, half)
    output = "images" if network == "generator" else "logits"
    facts = {
        "library": "ganzoo",
        "library_version": own_version(),
        **gan.facts,
        **{name: getattr(gan, name) for name in ("latent_size", "image_size", "image_channels")},
        "range": [-1, 1],
        "network": network,
        "half": half,
        "weights": fingerprint(getattr(gan, network)),
    }
    what = f"the {network} (a {type(getattr(gan, network)).__name__})"
    content = to_onnx(module, _inputs(gan, network, 2), output, facts, what)
    difference, shape = 0.0, ""
    for count in BATCHES:
        inputs = _inputs(gan, network, count)
        with torch.no_grad():
            wanted = module(*inputs.values())
        found = run_onnx(content, inputs)
        difference = max(difference, largest_difference(found, wanted) / max(1.0, float(wanted.abs().max())))
        shape = _shape(wanted)
    if difference > (0.1 if half else 1e-3):
        raise ModelError(
            f"onnxruntime computes something else than torch for {what} (difference {difference:.2g}), and nothing is "
            f"written: {'in float16 numbers may be too large; leave half out' if half else 'does it draw noise?'}"
        )
    write_file(target, content)
    takes = {name: _shape(value) for name, value in inputs.items()}
    return ExportedONNX(target, len(content), takes, {output: shape}, OPSET, difference)


class _Exported(nn.Module):
    """A network as its file computes it: latents, and the user's classes, to the images of `GAN.sample`; or images,
    and the networks' labels, to logits."""

    def __init__(self, gan: GAN, network: str, half: bool) -> None:
        super().__init__()
        if getattr(gan, network) is None:
            raise ConfigError(f"{gan!r} has no discriminator to export; load it: from_pretrained(discriminator=True)")
        self.gan, self.generates, self.dtype = gan, network == "generator", torch.float16 if half else torch.float32
        self.network = copy.deepcopy(getattr(gan, network)).cpu().eval().to(self.dtype)  # batch norms get folded

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.generates:
            return call_with(self.network, inputs.to(self.dtype), labels).float()
        labels = self.gan.network_labels(inputs, labels)
        latents = inputs.reshape(-1, *self.gan.latent_shape).to(self.dtype)
        return call_with(self.network, latents, labels).float().clamp(-1, 1)


def _inputs(gan: GAN, network: str, count: int) -> dict[str, Tensor]:
    """What the exported network takes, by name: `count` rows of seed 0."""
    classes = gan.num_classes if network == "generator" else gan.label_count
    latents, labels = sample_latents(count, gan.latent_size, 0, num_classes=classes)
    if network == "generator":
        inputs = {"latents": latents}
    else:
        side, channels = gan.image_size, gan.image_channels
        noise = sample_latents(count, channels * side * side, 0)[0]
        inputs = {"images": noise.reshape(count, channels, side, side).tanh()}
    return inputs if labels is None else {**inputs, "labels": labels}


def _shape(value: Tensor) -> str:
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind} ({', '.join(['N', *map(str, value.shape[1:])])}{',' * (value.dim() == 1)})"
