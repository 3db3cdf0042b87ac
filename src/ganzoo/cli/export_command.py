"""`ganzoo export`: a network as an ONNX file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import ENDPOINT, JSON, REVISION, SOURCE, print_json
from ganzoo.errors import shell


def export(
    source: Annotated[str, SOURCE],
    output: Annotated[Path, typer.Argument(help="The ONNX file.")] = Path("model.onnx"),
    discriminator: Annotated[
        bool, typer.Option("--discriminator", help="The discriminator, instead of the generator.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Compute in float16: half the size.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")] = False,
    as_json: Annotated[bool, JSON] = False,
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Write a network as an ONNX file, and check it.

    Browsers, phones and servers run it without Python.
    Needs: pip install 'ganzoo-torch[onnx]'.
    """
    from ganzoo.integrations.onnx import export_onnx, free_file
    from ganzoo.pretrained import from_pretrained

    free_file(output, overwrite)  # before a model is downloaded
    gan = from_pretrained(source, revision=revision, endpoint=endpoint, discriminator=discriminator)
    done = export_onnx(
        gan,
        output,
        network="discriminator" if discriminator else "generator",
        half=half,
        overwrite=overwrite,
    )
    if as_json:
        return print_json(dataclasses.asdict(done))
    print(f"{done.bytes / 1e6:,.1f} MB in {shell(done.path)} (ONNX, opset {done.opset})")
    for way, named in (("input", done.inputs), ("output", done.output)):
        for name, shape in named.items():
            print(f"  {way:6}  {name:8} {shape}")
    print(f"onnxruntime and torch differ by {done.difference:.1g} at most, on samples of seed 0")
