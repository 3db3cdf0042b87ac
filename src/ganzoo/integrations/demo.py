"""A page to play with a generator, by Gradio: samples by seed, a walk, directions, classes; it asks no other server."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ganzoo import images as pictures
from ganzoo.errors import ConfigError, needs, shell
from ganzoo.files import name_of
from ganzoo.gan import GAN
from ganzoo.integrations.space import title_of
from ganzoo.latents import directions, sample_labels, sample_latents, slerp, truncate
from ganzoo.models import Generator
from ganzoo.saving.format import CARD
from ganzoo.text import own_version

with needs("the page needs Gradio", "demo"):
    import gradio as gr

MOST = 64  # images of a grid
DIRECTIONS = 6
NO_TRUNCATION = 4.0  # the slider's end: of a normal number 1 in 16,000 lies beyond
ANY = -1  # the class that each image draws from its seed
_STYLE = """
<style>
.pixels img { image-rendering: pixelated; }
.pixels .grid-wrap { height: auto !important; min-height: 0 !important; max-height: 34rem; }
.pixels .grid-container { grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)) !important; }
.card { max-height: 32rem; overflow: auto; }
.card :not(pre) > code {
  display: inline !important;
  white-space: normal !important;
  overflow-wrap: anywhere !important;
}
</style>
"""


@dataclass(frozen=True)
class Choice:
    """What the controls say: images of a seed, their class (ANY: drawn from the seed), the limit of their latents."""

    seed: int
    count: int = 1
    label: int = ANY
    truncation: float = NO_TRUNCATION


class Studio:
    """The drawing behind the page, without Gradio."""

    def __init__(self, gan: GAN, name: str | None = None) -> None:
        self.gan = gan
        self.name = name_of(name) if name else title_of(gan)
        self.directions: Tensor | None = None
        if isinstance(gan.generator, Generator):
            try:
                weight = gan.generator.first_layer()
                self.directions = directions(weight, min(DIRECTIONS, *weight.shape))[0].cpu()
            except ConfigError:  # a family without a first layer to take apart: the page has no such sliders
                pass

    def latents(self, choice: Choice) -> Tensor:
        """(count, latent_size)"""
        found, _ = sample_latents(choice.count, self.gan.latent_size, choice.seed)
        return found if choice.truncation >= NO_TRUNCATION else truncate(found, choice.truncation, choice.seed)

    def labels(self, choice: Choice) -> Tensor | None:
        """int64 (count,), or None of a model without classes."""
        if not self.gan.num_classes:
            return None
        if choice.label != ANY:
            return torch.full((choice.count,), choice.label)
        return sample_labels(choice.count, self.gan.latent_size, choice.seed, 0, self.gan.num_classes)

    def draw(self, choice: Choice) -> Tensor:
        """Images (count, C, H, W) in [-1, 1], as `GAN.sample` draws them."""
        return self.gan.sample(latents=self.latents(choice), labels=self.labels(choice)).cpu()

    def moved(self, choice: Choice, index: int, strengths: Sequence[float]) -> Tensor:
        """Image `index` of `choice`, its latent moved along the directions: (1, C, H, W)."""
        latents, labels = self.latents(choice)[index, None], self.labels(choice)
        moved = latents
        if self.directions is not None:
            moved = latents + torch.tensor(strengths, dtype=latents.dtype) @ self.directions.to(latents)
        moved = self.gan.with_cluster(moved, latents[0])
        return self.gan.sample(latents=moved, labels=None if labels is None else labels[index, None]).cpu()

    def between(self, start: Choice, end_seed: int, share: float) -> Tensor:
        """The first image of a seed, that of another in the same cluster and class, and the one at `share` of the way
        in the middle: (3, C, H, W)."""
        key = self.latents(start)[:1]
        end = self.gan.with_cluster(self.latents(Choice(end_seed, 1, start.label, start.truncation)), key[0])
        labels = self.labels(start)
        path = torch.cat([key, slerp(key, end, share), end])
        return self.gan.sample(latents=path, labels=None if labels is None else labels[:1].expand(3)).cpu()

    def recipe(self, choice: Choice) -> dict[str, Any]:
        """What draws these images again, in JSON types; without a command if `ganzoo sample` can't name the GAN."""
        labels = self.labels(choice)
        cut = None if choice.truncation >= NO_TRUNCATION else choice.truncation
        options = [] if choice.label == ANY else ["--label", self._label(choice.label)]
        options += [] if cut is None else ["--truncation", f"{cut:g}"]
        numbers = ["--count", str(choice.count), "--seed", str(choice.seed), "--scale", "1"]
        recipe = {
            "model": self.gan.source or self.name,
            "ganzoo": own_version(),
            "seed": choice.seed,
            "count": choice.count,
            "labels": None if labels is None else labels.tolist(),
            "truncation": cut,
        }
        if self.gan.source is not None:
            recipe["command"] = shell("ganzoo", "sample", self.gan.source, *numbers, *options)
        return recipe

    def _label(self, index: int) -> str:
        """What `--label` takes for the class `index`: its name, since names come before numbers there."""
        name = _class_names(self.gan)[index]
        return name if self.gan.label(name) == index else str(index)  # of two equal names the first one counts

    def card(self) -> str:
        """The model's card, without its header and pictures; "" if there is none."""
        path = (self.gan.folder or Path()) / CARD
        if self.gan.folder is None or not path.is_file():
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
        text = re.sub(r"<!--.*?-->|<Gallery />|!\[[^]]*\]\([^)]*\)", "", text, flags=re.DOTALL)
        # Other pictures, tags and diagrams could make a browser ask another server: they are shown as text.
        text = re.sub(r"(?<=[`~]{3})[^\S\n]*mermaid", "text", text, flags=re.IGNORECASE).replace("![", "! [")
        return re.sub(r"<(?=[a-z/!?])", "< ", text, flags=re.IGNORECASE).strip()


def page(gan: GAN, name: str | None = None) -> gr.Blocks:
    """The page of `gan`, as Gradio's `Blocks`: `serve` it, or mount it in an application.

    Args:
        name: of the model, for the title; by default its source's. The commands that draw the same images name
            `gan.source`; without one there are none.
    """
    return _Page(Studio(gan, name)).blocks


def serve(blocks: gr.Blocks, host: str = "127.0.0.1", port: int | None = None, inbrowser: bool = False) -> str:
    """Serve a page until the process is interrupted or `blocks.close()` is called; return its address at once.

    Raises:
        ConfigError: the port is taken, or this computer has no such address.
    """
    try:
        socket.getaddrinfo(host, None)  # Gradio would ask for a name that is not known once for each port
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=inbrowser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            show_error=True,
            run_history=False,
            footer_links=[],
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"no page can be served at {host}, port {port or '7860 to 7959'}: {error}") from error
    return address.rstrip("/")


class _Page:
    """Controls and pictures, and which redraws which."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.files = tempfile.TemporaryDirectory(prefix="ganzoo-demo-")  # of the last downloads; Gradio copies them
        self.strengths: list[gr.Slider] = []
        gan = studio.gan
        with gr.Blocks(
            title=f"{studio.name}: a GAN to play with", analytics_enabled=False, delete_cache=(3600, 3600)
        ) as self.blocks:
            gr.HTML(_STYLE, padding=False)
            gr.Markdown(f"# {studio.name}\n{_facts(gan)}")
            with gr.Row():
                self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**53, elem_id="seed")
                self.count = gr.Slider(1, MOST, 24, step=1, label="Images", elem_id="count")
                classes = [("any", ANY), *((name, index) for index, name in enumerate(_class_names(gan)))]
                self.label = gr.Dropdown(classes, value=ANY, label="Class", visible=len(classes) > 1, elem_id="class")
                self.truncation = gr.Slider(
                    0.3, NO_TRUNCATION, NO_TRUNCATION, step=0.1, label="Truncation", elem_id="truncation",
                    info=f"Lower: fewer odd images, less variety. {NO_TRUNCATION:g}: off.",
                )  # fmt: skip
            self.another = gr.Button("Another seed", size="sm", elem_id="another")
            with gr.Row():
                with gr.Column(scale=3, min_width=320), gr.Tabs():
                    with gr.Tab("Samples"):
                        self._samples()
                    with gr.Tab("Walk"):
                        self._walk()
                    if studio.directions is not None:
                        with gr.Tab("Directions"):
                            self._directions()
                with gr.Column(scale=2, min_width=280):
                    self._side()
            self._connect()

    def _samples(self) -> None:
        self.gallery = gr.Gallery(
            show_label=False, columns=8, height="auto", allow_preview=False, object_fit="contain", format="png",
            elem_id="gallery", elem_classes="pixels", buttons=[],
        )  # fmt: skip
        with gr.Row():
            self.sheet = gr.DownloadButton("Grid as PNG", size="sm", elem_id="sheet")
            self.recipe = gr.DownloadButton("Seeds as JSON", size="sm", elem_id="recipe")

    def _walk(self) -> None:
        gr.Markdown(
            "From the first image of the seed above to that of another seed, along the sphere of latents. The other "
            "image is drawn in the cluster and class of the first one, if the model has some."
        )
        self.end = gr.Number(1, label="To seed", precision=0, minimum=0, maximum=2**53, elem_id="end")
        self.share = gr.Slider(0, 1, 0.5, step=0.01, label="Way", elem_id="share")
        with gr.Row():
            self.walked = [self._image(label, f"walk-{label}") for label in ("from", "between", "to")]

    def _directions(self) -> None:
        gr.Markdown(
            "What the first layer amplifies most, strongest first "
            "([SeFa](https://arxiv.org/abs/2007.06600)). It moves the chosen image, at the side."
        )
        assert self.studio.directions is not None
        self.strengths += [
            gr.Slider(-6, 6, 0, step=0.1, label=f"Direction {index + 1}", elem_id=f"direction-{index}")
            for index in range(len(self.studio.directions))
        ]

    def _side(self) -> None:
        self.index = gr.State(0)
        self.large = self._image("image 0 of seed 0", "large", buttons=["download", "fullscreen"])
        card = self.studio.card()
        if card:
            with gr.Accordion("Model card", elem_id="card"):
                gr.Markdown(card, elem_classes="card")

    def _image(self, label: str, name: str, buttons: Sequence[Any] = ()) -> gr.Image:
        return gr.Image(
            label=label, format="png", interactive=False, elem_id=name, elem_classes="pixels", buttons=list(buttons),
            height=360 if name == "large" else 200,
        )  # fmt: skip

    def _connect(self) -> None:
        quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        controls: list[Any] = [self.seed, self.count, self.label, self.truncation]
        changes = [self.blocks.load, *(each.change for each in controls)]
        chosen = [self.index, self.large, *self.strengths]
        gr.on(changes, self.redraw, controls, [self.gallery, self.sheet, self.recipe, *chosen], **quick)
        changes += [self.end.change, self.share.change]
        gr.on(changes, self.rewalk, [*controls, self.end, self.share], self.walked, **quick)
        self.another.click(lambda: int(torch.randint(10**6, ())), None, self.seed, **quick)
        self.gallery.select(self.choose, controls, chosen, **quick)
        for slider in self.strengths:
            slider.input(self.move, [*controls, self.index, *self.strengths], self.large, **quick)

    def redraw(self, *controls: Any) -> tuple[Any, ...]:
        choice = _choice(*controls)
        drawn = self.studio.draw(choice)
        named = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', self.studio.name)}-seed-{choice.seed}"
        self.files.cleanup()
        self.files = tempfile.TemporaryDirectory(prefix="ganzoo-demo-")
        # one image without a frame, as `ganzoo sample --count 1` writes it
        sheet = pictures.save(
            drawn[0] if len(drawn) == 1 else pictures.grid(drawn), Path(self.files.name) / f"{named}.png"
        )
        recipe = sheet.with_suffix(".json")
        recipe.write_text(json.dumps(self.studio.recipe(choice), indent=2) + "\n")
        downloads = (gr.DownloadButton(value=str(path)) for path in (sheet, recipe))
        gallery = gr.Gallery(value=pictures.to_pil(drawn), selected_index=0)
        return gallery, *downloads, *self.chosen(choice, 0)

    def rewalk(self, *values: Any) -> list[Image.Image]:
        *controls, end, share = values
        return [_enlarged(image) for image in self.studio.between(_choice(*controls), int(end or 0), share)]

    def choose(self, seed: Any, count: Any, label: Any, truncation: Any, event: gr.SelectData) -> tuple[Any, ...]:
        return self.chosen(_choice(seed, count, label, truncation), event.index)

    def chosen(self, choice: Choice, index: int) -> tuple[Any, ...]:
        """The chosen image and its number, moved along no direction."""
        zeros = [0] * len(self.strengths)
        return index, self.shown(choice, index, zeros), *zeros

    def move(self, seed: Any, count: Any, label: Any, truncation: Any, index: int, *strengths: Any) -> Any:
        return self.shown(_choice(seed, count, label, truncation), index, strengths)

    def shown(self, choice: Choice, index: int, strengths: Sequence[float]) -> Any:
        labels = self.studio.labels(choice)
        named = "" if labels is None else f", {_class_names(self.studio.gan)[int(labels[index])]}"
        image = self.studio.moved(choice, index, strengths)[0]
        return gr.Image(value=_enlarged(image), label=f"image {index} of seed {choice.seed}{named}")


def _enlarged(image: Tensor) -> Image.Image:
    """(C, H, W) as a picture of some 350 pixels, each of its own a square."""
    return pictures.grid(image[None], padding=0, scale=max(1, 350 // image.shape[-1]))


def _choice(seed: float | None, count: float, label: int, truncation: float) -> Choice:
    return Choice(int(seed or 0), int(count), int(label), float(truncation))


def _class_names(gan: GAN) -> list[str]:
    return [*gan.class_names] or [str(number) for number in range(gan.num_classes)]


def _facts(gan: GAN) -> str:
    colour, size = "grey" if gan.image_channels < 3 else "colour", gan.image_size
    classes = f", {gan.num_classes} classes" if gan.num_classes else ""
    return f"A GAN: {gan.latent_size} random numbers become an image of {size}x{size}, in {colour}{classes}."
