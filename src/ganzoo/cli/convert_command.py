"""`ganzoo convert`: weights of other libraries to a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import JSON, print_json
from ganzoo.errors import shell


def convert(
    file: Annotated[Path, typer.Argument(help="Generator, discriminator or both: .safetensors, .pt, .pth, .tar.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the saved model; a new folder.")],
    key: Annotated[str | None, typer.Option(help="The network to take if FILE has several: netG_state_dict.")] = None,
    discriminator: Annotated[Path | None, typer.Option(help="A second file, of the discriminator.")] = None,
    latent_scale: Annotated[float, typer.Option(help="Deviation of the latents it was trained on.")] = 1.0,
    output_range: Annotated[
        str, typer.Option(metavar="LOW,HIGH", help="-1,1 for a generator that ends in tanh, 0,1 for sigmoid.")
    ] = "-1,1",
    activation: Annotated[
        str | None,
        typer.Option(help="Generator's activation, as 'leaky_relu(slope=0.1)'.  [default: its layout's, or relu]"),
    ] = None,
    discriminator_activation: Annotated[
        str | None, typer.Option(help="Discriminator's activation.  [default: leaky_relu(slope=0.2)]")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Turn the DCGAN or SNGAN weights of another library into a saved model.

    Layouts of pytorch/examples, PyTorch's tutorial, "Dive into Deep Learning", torchgan and torch-mimicry's SNGAN are
    known, and any row of convolutions, norms and activations is read. What a file does not say is assumed and printed.
    """
    from ganzoo.integrations.convert import convert as convert_file

    converted = convert_file(
        file,
        folder,
        key=key,
        discriminator=discriminator,
        latent_scale=latent_scale,
        output_range=output_range,
        activation=activation,
        discriminator_activation=discriminator_activation,
    )
    if as_json:
        return print_json({"model": converted.folder, "remarks": converted.remarks})
    print("\n".join(converted.remarks))
    print(f"model: {shell(converted.folder)}   sample it: {shell('ganzoo', 'sample', converted.folder)}")
