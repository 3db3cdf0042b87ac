"""A demo page as a Hugging Face Space: a folder that runs here as it runs there."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from ganzoo.errors import ConfigError, WeightsError, needs, printable, writing
from ganzoo.files import expand_user, is_empty, name_of, new_folder
from ganzoo.gan import GAN
from ganzoo.hub.push import APP, MARK, MODEL, REQUIREMENTS, files_of, is_space
from ganzoo.runs.folder import run_of
from ganzoo.saving.format import CARD, UNTOUCHED, describe
from ganzoo.saving.resolve import bundled_models
from ganzoo.text import own_version

_APP = f'''"""A page to play with a GAN, {MARK}. Run it: python {APP}"""

from pathlib import Path

import ganzoo
from ganzoo.integrations.demo import page

gan = ganzoo.from_pretrained(Path(__file__).parent / "{MODEL}")
gan.source = {{source}}  # what commands on the page name; None: there are none
demo = page(gan, name={{name}})

if __name__ == "__main__":
    demo.launch(ssr_mode=False)
'''
_CARD = """---
title: {title}
emoji: 🎲
colorFrom: gray
colorTo: indigo
sdk: gradio
sdk_version: {gradio}
app_file: {app}
pinned: false
tags:
- ganzoo
- gan
{models}---

# {name} demo

A page to play with a GAN, made with ganzoo: samples by seed, walks, directions. `{app}` is the page, `{model}/` the
generator. It runs on any machine: `pip install -r {requirements}`, then `python {app}`.
"""


def title_of(gan: GAN) -> str:
    """The name of a GAN on a page: of its run, else of where it came from, else of its preset."""
    return name_of((gan.folder and run_of(gan.folder)) or gan.source or gan.preset or "GAN")


def export_space(gan: GAN, folder: str | Path, source: str | None = None) -> Path:
    """Write the page of `gan` into `folder` as a Space: app.py, requirements.txt, README.md, and the generator.

    A Space that is there already is replaced; files of other names stay.

    Args:
        source: what the page's commands name, as "me/drawings". None: the GAN's Hub id or bundled name; a GAN of
            another source has no commands there.

    Raises:
        MissingExtraError: Gradio is not installed; its version stands in the Space.
        ConfigError: `folder` holds something else, or the model's card is a link out of its folder. WeightsError: it
            can't be written.
    """
    folder = expand_user(folder)
    free = not folder.exists() or (folder.is_dir() and is_empty(folder))
    if not free and not is_space(folder):
        raise ConfigError(f"{folder} holds something else than a Space of ganzoo; name a new folder")
    with needs("a Space needs Gradio", "demo"):
        gradio = version("gradio")
    found = _found_anywhere(gan)
    if gan.folder is not None and found is None:  # a cache's files are links
        files_of(gan.folder, (CARD,))
    name = printable(title_of(gan))
    words = {"title": json.dumps(f"{name} demo", ensure_ascii=False), "name": name, "gradio": gradio}
    words |= {"app": APP, "model": MODEL, "requirements": REQUIREMENTS}
    words |= {"models": f"models:\n- {gan.source}\n" * gan.on_hub}
    plugins = (f"{each['package']}=={each['version']}" for each in describe(gan.generator).plugins)
    version_here = own_version()  # of a clone that pip did not install nobody knows it
    ours = "ganzoo-torch[demo]" + f"=={version_here}" * ("unknown" not in version_here)
    needed = [ours, *dict.fromkeys(plugins)]
    with writing(folder, WeightsError, UNTOUCHED), new_folder(folder, keep_others=True, drop=(MODEL,)) as new:
        app = _APP.format(source=repr(source or found), name=repr(name))
        (new / APP).write_text(app, encoding="utf-8")
        (new / REQUIREMENTS).write_text("\n".join(needed) + "\n")
        (new / CARD).write_text(_CARD.format(**words), encoding="utf-8")
        GAN(gan.generator, **gan.facts).save_pretrained(new / MODEL)
        if gan.folder is not None and (gan.folder / CARD).is_file():
            shutil.copyfile(gan.folder / CARD, new / MODEL / CARD)
    return folder


def _found_anywhere(gan: GAN) -> str | None:
    """The GAN's Hub id or bundled name, which `ganzoo sample` finds on any computer; None for another source."""
    bundled = gan.folder is not None and bundled_models().get(str(gan.source)) == gan.folder
    return gan.source if gan.on_hub or bundled else None
