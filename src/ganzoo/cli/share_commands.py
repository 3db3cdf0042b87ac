"""The commands of the group Share: `ganzoo export`, `demo`, `push`, `pull` and `convert`."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

from ganzoo.cli.options import DEVICE, ENDPOINT, JSON, REVISION, SOURCE, argument, flag, print_json
from ganzoo.errors import shell


def export(
    source: Annotated[str, SOURCE],
    output: Annotated[Path, argument("The ONNX file.")] = Path("model.onnx"),
    discriminator: Annotated[bool, flag("The discriminator, instead of the generator.", "--discriminator")] = False,
    half: Annotated[bool, flag("Compute in float16: half the size.", "--half")] = False,
    overwrite: Annotated[bool, flag("Replace the file that is there.", "--overwrite")] = False,
    as_json: Annotated[bool, JSON] = False,
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Write a network as an ONNX file, and check it.

    Browsers, phones and servers run it without Python.
    Needs: pip install "ganzoo-torch[onnx]".
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


def demo(
    source: Annotated[str, SOURCE],
    port: Annotated[
        int | None, flag("Port of the page.  [default: the first free one from 7860]", min=1, max=65535)
    ] = None,
    host: Annotated[str, flag("0.0.0.0 lets other computers in your network see it.")] = "127.0.0.1",
    open_browser: Annotated[bool, flag("Open it in a browser.", "--open")] = False,
    export_space: Annotated[
        Path | None, flag("Write a Hugging Face Space into this folder, and serve nothing.")
    ] = None,
    device: Annotated[str, DEVICE] = "cpu",
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Serve a page to play with a generator.

    It shows samples by seed and class, a walk, directions and the model's card; it works without a network.
    Needs: pip install "ganzoo-torch[demo]".
    """
    from ganzoo.pretrained import from_pretrained

    if export_space is None:
        from ganzoo.integrations.demo import page, serve  # a missing Gradio is said before a model is downloaded
    gan = from_pretrained(source, revision=revision, endpoint=endpoint, device=device)
    if export_space is not None:
        from ganzoo.integrations.space import export_space as write

        folder = write(gan, export_space)
        print(f"Space: {shell(folder)}\nrun it:  {shell('python', folder / 'app.py')}")
        print(f"send it: {shell('ganzoo', 'push', folder, 'OWNER/NAME', '--space')}")
        return
    blocks = page(gan)
    print(f"{source}: {serve(blocks, host, port, open_browser)} (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


def push(
    folder: Annotated[Path, argument("A saved model, or a run's folder.")],
    repo_id: Annotated[str, argument("owner/name; created if it does not exist.")],
    private: Annotated[
        bool | None, flag("Who can see a new repository.  [default: the account's]", "--private/--public")
    ] = None,
    revision: Annotated[str | None, flag("A branch, created if it does not exist.  [default: main]")] = None,
    create_pr: Annotated[bool, flag("Propose it as a pull request.", "--create-pr")] = False,
    message: Annotated[str | None, flag("Message of the commit.")] = None,
    space: Annotated[
        bool, flag("Push a demo page of it as a Space; or a folder of --export-space.", "--space")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Push a saved model to the Hub in one commit.

    Networks, pictures, card, and model.onnx if it is there; nothing else.
    The token is the one of `hf auth login`, or $HF_TOKEN.
    """
    from ganzoo.files import expand_user
    from ganzoo.hub.push import push_folder
    from ganzoo.runs.card import run_card
    from ganzoo.runs.folder import run_at

    folder = expand_user(folder)
    if run := run_at(folder):
        run_card(run)  # with what was measured since
    how = {"private": private, "revision": revision, "create_pr": create_pr, "message": message, "endpoint": endpoint}
    with _space_of(folder, repo_id) if space else nullcontext(folder) as root:
        pushed = push_folder(root, repo_id, **how)  # type: ignore[arg-type]
    if as_json:
        return print_json(dataclasses.asdict(pushed))
    print(f"{pushed.url}  commit {pushed.commit[:12]}" if pushed.changed else f"{pushed.url}  was the same already")


@contextmanager
def _space_of(folder: Path, repo_id: str) -> Iterator[Path]:
    """The Space in `folder`, or one made of the model there, for the length of a `with` block."""
    from ganzoo.hub.push import check_repo_id, is_space
    from ganzoo.integrations.space import export_space
    from ganzoo.pretrained import from_pretrained

    if is_space(folder):
        yield folder
        return
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as root:
        yield export_space(from_pretrained(folder), Path(root) / repo_id.rpartition("/")[2], source=repo_id)


def pull(
    repo_id: Annotated[str, argument("The repository: owner/name.")],
    folder: Annotated[Path, argument("Where to put the model.")],
    revision: Annotated[str | None, flag("A branch, tag or commit.  [default: main]")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Copy a saved model from the Hub into a folder."""
    from ganzoo.hub.remote import pull as pull_from_hub

    print(f"model: {shell(pull_from_hub(repo_id, folder, revision, endpoint=endpoint))}")


def convert(
    file: Annotated[Path, argument("Generator, discriminator or both: .safetensors, .pt, .pth, .tar.")],
    folder: Annotated[Path, argument("Where to put the saved model; a new folder.")],
    key: Annotated[str | None, flag("The network to take if FILE has several: netG_state_dict.")] = None,
    discriminator: Annotated[Path | None, flag("A second file, of the discriminator.")] = None,
    latent_scale: Annotated[float, flag("Deviation of the latents it was trained on.")] = 1.0,
    output_range: Annotated[
        str, flag("-1,1 for a generator that ends in tanh, 0,1 for sigmoid.", metavar="LOW,HIGH")
    ] = "-1,1",
    activation: Annotated[
        str | None, flag("Generator's activation, as 'leaky_relu(slope=0.1)'.  [default: its layout's, or relu]")
    ] = None,
    discriminator_activation: Annotated[
        str | None, flag("Discriminator's activation.  [default: leaky_relu(slope=0.2)]")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Turn the DCGAN or SNGAN weights of another library into a saved model.

    Layouts of pytorch/examples, PyTorch's tutorial, "Dive into Deep Learning", torchgan and torch-mimicry's SNGAN are
    known, and any row of convolutions, norms and activations is read. What a file does not say is assumed and printed.
    """
    from ganzoo.integrations.convert import convert as convert_file
    from ganzoo.saving.resolve import source_of

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
    print(f"model: {shell(converted.folder)}   sample it: {shell('ganzoo', 'sample', source_of(converted.folder))}")
