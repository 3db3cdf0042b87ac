"""`ganzoo demo`: a page to play with a generator, here or as a Space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import DEVICE, ENDPOINT, REVISION, SOURCE
from ganzoo.errors import shell


def demo(
    source: Annotated[str, SOURCE],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the page.  [default: the first free one from 7860]")
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other computers in your network see it.")] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    export_space: Annotated[
        Path | None, typer.Option(help="Write a Hugging Face Space into this folder, and serve nothing.")
    ] = None,
    device: Annotated[str, DEVICE] = "cpu",
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Serve a page to play with a generator.

    It shows samples by seed and class, a walk, directions and the model's card; it works without a network.
    Needs: pip install 'ganzoo-torch[demo]'.
    """
    from ganzoo.pretrained import from_pretrained

    gan = from_pretrained(source, revision=revision, endpoint=endpoint, device=device)
    if export_space is not None:
        from ganzoo.integrations.space import export_space as write

        folder = write(gan, export_space)
        print(f"Space: {shell(folder)}\nrun it:  {shell('python', folder / 'app.py')}")
        print(f"send it: {shell('ganzoo', 'push', folder, 'OWNER/NAME', '--space')}")
        return
    from ganzoo.integrations.demo import page, serve

    blocks = page(gan)
    print(f"{source}: {serve(blocks, host, port, open_browser)} (Ctrl-C ends it)", flush=True)
    blocks.block_thread()
