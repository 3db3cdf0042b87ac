"""`ganzoo convert`: weights of other DCGANs compute the same as a saved model, and what can't be read so is named."""

import json
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, WeightsError
from ganzoo.hub.push import push_folder
from ganzoo.integrations.convert import convert
from ganzoo.models import DCGANGenerator
from ganzoo.models.contract import Network
from ganzoo.models.state_file import read_tables
from ganzoo.saving.results import weights_hash

RELU, LEAKY = nn.ReLU(), nn.LeakyReLU(0.2)


def pair(channels=3, bias=False, activation=RELU, widths=(16, 8, 4), latent=6, start=4, last_bias=False):
    """A DCGAN's generator and discriminator as lists of (modules of a stage), for other libraries to name."""
    up = [[nn.ConvTranspose2d(latent, widths[0], start, bias=bias), nn.BatchNorm2d(widths[0]), activation]]
    down = [[nn.Conv2d(channels, widths[-1], 4, 2, 1, bias=last_bias), LEAKY]]
    for wide, narrow in zip(widths, widths[1:]):
        up.append([nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=bias), nn.BatchNorm2d(narrow), activation])
        down.insert(1, [nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias), nn.BatchNorm2d(wide), LEAKY])
    up.append([nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=last_bias), nn.Tanh()])
    down.append([nn.Conv2d(widths[0], 1, start, bias=bias)])
    return up, down


def flat(stages):
    return nn.Sequential(*(module for stage in stages for module in stage))


def main(stages):
    return nn.Sequential(OrderedDict(main=flat(stages)))


def chapter(stages):
    """Blocks with names in a Sequential, as the chapter's."""
    names = {nn.ConvTranspose2d: "conv2d_trans", nn.Conv2d: "conv2d", nn.BatchNorm2d: "batch_norm"}
    parts = []
    for stage in stages[:-1]:
        parts.append(nn.Sequential(OrderedDict((names.get(type(each), "activation"), each) for each in stage)))
    return nn.Sequential(*parts, *stages[-1])


class Torchgan(nn.Module):
    """Sequentials in a Sequential; a discriminator's last one stands apart and is registered first."""

    def __init__(self, stages):
        super().__init__()
        if isinstance(stages[0][0], nn.Conv2d):
            self.disc = nn.Sequential(*stages[-1])
            stages = stages[:-1]
        self.model = nn.Sequential(*(nn.Sequential(*stage) for stage in stages))

    def forward(self, x):
        x = self.model(x)
        return self.disc(x) if hasattr(self, "disc") else x


LAYOUTS = {
    "pytorch/examples": (main, {}, []),
    "Dive into Deep Learning": (chapter, {}, []),
    "torchgan": (Torchgan, {"activation": LEAKY, "last_bias": True, "channels": 1}, []),
    "layers in a row": (flat, {"bias": True, "start": 7, "widths": (8, 4)}, ["--activation", "relu"]),
}


def trained(network, inputs):
    """`network` as training leaves it: its batch norms have seen something, their scales have moved."""
    with torch.no_grad():
        for _ in range(3):
            network.train()(inputs)
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def networks(layout):
    wrap, options, _ = LAYOUTS[layout]
    up, down = pair(**options)
    generator = trained(wrap(up), torch.randn(8, up[0][0].in_channels, 1, 1))
    images = generator(torch.randn(8, up[0][0].in_channels, 1, 1)).detach()
    return generator, trained(wrap(down), images)


def copied(network, layout="pytorch/examples"):
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_converted_pair_computes_what_the_other_librarys_did(layout, kind, tmp_path, capsys):
    generator, discriminator = networks(layout)
    files = []
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        files.append(str(tmp_path / f"{name}.{kind}"))
        (torch.save if kind == "pt" else save_file)(copied(network), files[-1])
    folder = str(tmp_path / "model")
    assert run(["convert", files[0], folder, "--discriminator", files[1], *LAYOUTS[layout][2]]) == 0
    printed = capsys.readouterr().out
    for words in (layout, "assumed: generator: latents of deviation 1", f"model: {folder}"):
        assert words in printed
    gan = ganzoo.from_pretrained(folder, discriminator=True)
    latents = torch.randn(5, gan.latent_size)
    images = generator(latents[:, :, None, None])
    assert torch.allclose(gan.sample(latents=latents), images, atol=1e-6)
    assert torch.allclose(gan.discriminator(images).flatten(), discriminator(images).flatten(), rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_both_gives_both_or_the_one_that_key_names(tmp_path, capsys):
    generator, discriminator = networks("pytorch/examples")
    wrapped = {f"module._orig_mod.{name}": value for name, value in discriminator.state_dict().items()}
    optimizer = torch.optim.Adam(generator.parameters())
    generator(torch.randn(2, 6, 1, 1)).sum().backward()
    optimizer.step()
    content = {"netG_state_dict": copied(generator), "netD_state_dict": wrapped, "epoch": 3}
    torch.save(content | {"optimizerG_state_dict": optimizer.state_dict()}, tmp_path / "both.tar")
    assert convert(tmp_path / "both.tar", tmp_path / "both").gan.discriminator is not None
    assert convert(tmp_path / "both.tar", tmp_path / "one", key="netG_state_dict").gan.discriminator is None
    torch.save(content | {"ema": copied(generator)}, tmp_path / "three.pth")
    assert run(["convert", str(tmp_path / "three.pth"), str(tmp_path / "none")]) == 2
    assert 'more than one generator: "netG_state_dict" and "ema"; choose one with --key' in capsys.readouterr().err
    assert run(["convert", str(tmp_path / "three.pth"), str(tmp_path / "none"), "--key", "netF"]) == 2
    assert "but ema, netD_state_dict, netG_state_dict" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_network_beside_the_generator_that_no_config_takes_is_left_out(tmp_path):
    generator, _ = networks("pytorch/examples")
    layers = [layer for _ in range(14) for layer in (nn.Conv2d(4, 4, 4, 2, 1, bias=False), LEAKY)]
    other = nn.Sequential(*layers, nn.Conv2d(4, 1, 4, bias=False))  # of images of 65,536 pixels
    torch.save({"netG": copied(generator), "other": copied(other)}, tmp_path / "both.pt")
    converted = convert(tmp_path / "both.pt", tmp_path / "model")
    assert [line for line in converted.remarks if "left out: other (image_size must be" in line], converted.remarks
    torch.save(copied(other), tmp_path / "one.pt")
    with pytest.raises(WeightsError, match="one.pt: image_size must be at least 1 and at most 1024"):
        convert(tmp_path / "one.pt", tmp_path / "none")


def test_a_table_of_both_falls_into_them_by_the_first_words_of_its_names(tmp_path):
    generator, discriminator = networks("torchgan")
    both = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    both |= {f"discriminator.{name}": value for name, value in discriminator.state_dict().items()}
    torch.save({"state_dict": both, "hyper_parameters": {"lr": 1e-4}}, tmp_path / "lightning.ckpt")
    converted = convert(tmp_path / "lightning.ckpt", tmp_path / "model")
    assert converted.gan.discriminator is not None
    assert convert(tmp_path / "lightning.ckpt", tmp_path / "g", key="state_dict.generator").gan.discriminator is None


@pytest.mark.parametrize("kind", ["generator", "discriminator"])
@pytest.mark.parametrize("layout", ["pytorch/examples", "Dive into Deep Learning", "torchgan"])
def test_one_network_whose_names_all_begin_with_a_word_more_is_known_by_the_others(layout, kind, tmp_path):
    network = networks(layout)[kind == "discriminator"]
    torch.save({f"wrapped.net.{name}": value for name, value in copied(network).items()}, tmp_path / "one.ckpt")
    converted = convert(tmp_path / "one.ckpt", tmp_path / "model")
    assert layout in converted.remarks[0]
    gan = converted.gan
    if kind == "generator":
        latents = torch.randn(5, gan.latent_size)
        assert torch.allclose(gan.sample(latents=latents), network(latents[:, :, None, None]), atol=1e-6)


def test_a_mimicry_network_whose_names_all_begin_with_a_word_more_is_known(tmp_path):
    torch.save({f"net.{name}": value for name, value in MimicryGenerator().state_dict().items()}, tmp_path / "g.pt")
    assert "torch-mimicry's SNGAN" in convert(tmp_path / "g.pt", tmp_path / "model").remarks[0]


@pytest.mark.parametrize("normed", [True, False])
def test_layers_of_safetensors_stand_in_the_order_of_their_numbers(tmp_path, normed):
    def stage(layer, width):
        return nn.Sequential(OrderedDict(conv=layer, **({"norm": nn.BatchNorm2d(width)} if normed else {}), act=RELU))

    stages = {"a": stage(nn.ConvTranspose2d(6, 8, 4), 8)}
    stages |= {f"mid{number}": stage(nn.Conv2d(8, 8, 3, padding=1), 8) for number in range(11)}
    plain = nn.Sequential(OrderedDict(stages, z=nn.ConvTranspose2d(8, 3, 4, 2, 1), end=nn.Tanh()))
    plain = trained(plain, torch.randn(8, 6, 1, 1))
    save_file(copied(plain), tmp_path / "g.safetensors")
    gan = convert(tmp_path / "g.safetensors", tmp_path / "model").gan
    latents = torch.randn(5, 6)
    assert torch.allclose(gan.sample(latents=latents), plain(latents[:, :, None, None]), atol=1e-6)


def test_latents_of_another_deviation_and_images_from_0_to_1_are_expressed_exactly(tmp_path, capsys):
    up, _ = pair()
    plain = trained(flat([*up[:-1], [up[-1][0], nn.Sigmoid()]]), torch.randn(8, 6, 1, 1))
    torch.save(plain.state_dict(), tmp_path / "g.pt")
    more = ["--latent-scale", "0.5", "--output-range", "0,1"]
    assert run(["convert", str(tmp_path / "g.pt"), str(tmp_path / "model"), *more]) == 0
    assert "deviation" not in capsys.readouterr().out
    latents = torch.randn(4, 6)
    images = ganzoo.from_pretrained(tmp_path / "model").sample(latents=latents)
    assert torch.allclose((images + 1) / 2, plain(0.5 * latents[:, :, None, None]), atol=1e-6)


def test_a_generator_of_other_stages_is_expressed(tmp_path):
    layers = [nn.ConvTranspose2d(6, 8, 4), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Upsample(scale_factor=2)]
    layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8, affine=False), nn.ReLU()]
    layers += [nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.PixelShuffle(2), nn.BatchNorm2d(4, affine=False)]
    layers += [nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False), nn.ReLU()]
    plain = trained(nn.Sequential(*layers, nn.Conv2d(4, 1, 3, padding=1), nn.Tanh()), torch.randn(8, 6, 1, 1))
    torch.save(plain.state_dict(), tmp_path / "g.pt")
    converted = convert(tmp_path / "g.pt", tmp_path / "model")
    gan = converted.gan
    said = "assumed: generator: an upsampling to double the size before 4: two layers without weights stand there"
    assert [each for each in converted.remarks if "upsampling" in each] == [said]
    assert "assumed: generator: batch norms with eps 1e-5, torch's default" in converted.remarks
    assert gan.config.generator.block == ("resize-up", "pixelshuffle-up", "dcgan-same")
    latents = torch.randn(4, 6)
    assert torch.allclose(gan.sample(latents=latents), plain(latents[:, :, None, None]), atol=1e-6)


def test_a_discriminator_under_spectral_norm_with_a_linear_end_is_expressed(tmp_path):
    from torch.nn.utils import spectral_norm

    layers = [nn.Conv2d(3, 4, 4, 2, 1), LEAKY, nn.Conv2d(4, 8, 3, padding=1), LEAKY, nn.Flatten(), nn.Linear(128, 1)]
    plain = nn.Sequential(*(spectral_norm(each) if hasattr(each, "weight") else each for each in layers))
    images = torch.randn(4, 3, 8, 8).tanh()
    plain.train()(images)
    torch.save(plain.eval().state_dict(), tmp_path / "d.pt")
    converted = convert(tmp_path / "d.pt", tmp_path / "model")
    assert any("generator: fresh" in each for each in converted.remarks)
    assert torch.allclose(converted.gan.discriminator.eval()(images).flatten(), plain(images).flatten(), atol=1e-6)


@pytest.mark.parametrize("last, said", [(5, "kernels of odd size halve"), (4, "those of odd size keep it")])
def test_what_odd_kernels_of_a_discriminator_are_taken_for_is_said(last, said, tmp_path):
    halves = last == 5  # there is no even kernel
    layers = [nn.Conv2d(1, 8, 5, 2 if halves else 1, 2), LEAKY, nn.Conv2d(8, 16, last, 2, (last - 1) // 2), LEAKY]
    plain = nn.Sequential(*layers, nn.Conv2d(16, 1, 4))
    torch.save(plain.state_dict(), tmp_path / "d.pt")
    converted = convert(tmp_path / "d.pt", tmp_path / "model")
    strides = [line for line in converted.remarks if "kernels" in line]
    assert len(strides) == 1 and said in strides[0], strides
    images = torch.randn(4, 1, 16 if halves else 8, 16 if halves else 8)
    assert torch.allclose(converted.gan.discriminator(images).flatten(), plain(images).flatten(), atol=1e-5)


def test_a_converted_generator_is_pushed_and_trains_on_with_a_fresh_discriminator_which_is_said(
    hub, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    torch.save(networks("torchgan")[0].state_dict(), "g.pt")
    assert run(["convert", "g.pt", "mine", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "mine" and any("latents" in remark for remark in facts["remarks"])
    push_folder("mine", "owner/dcgan", token="hf_owner", endpoint=hub.endpoint)
    assert "model.safetensors" in hub.files("owner/dcgan")
    settings = ["--set", "batch_size=4", "--steps", "1", "--output", "runs/on"]
    assert run(["train", "--from", "./mine", "--data", "fashion-mnist-mini", *settings]) == 0
    assert "discriminator: fresh, since ./mine holds none" in "".join(capsys.readouterr())
    assert ganzoo.from_pretrained("runs/on", discriminator=True).discriminator.image_size == 32


def test_a_converted_generator_is_evaluated(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(networks("torchgan")[0].state_dict(), "g.pt")
    assert run(["convert", "g.pt", "fashion-mnist"]) == 0
    assert "sample it: ganzoo sample ./fashion-mnist" in capsys.readouterr().out  # without ./ the bundled model
    assert run(["convert", "g.pt", "mine"]) == 0
    assert run(["sample", "./mine", "-n", "200", "--folder", "real"]) == 0
    how = ["--samples", "100", "--metric", "fd", "--no-memorised"]
    assert run(["evaluate", "./mine", "--data", "./real", *how]) == 0
    facts = json.loads((tmp_path / "mine-evaluation.json").read_text())
    assert facts["weights"] == weights_hash(tmp_path / "mine") and facts["figures"][0]["value"] > 0
    assert run(["card", "mine"]) == 0


def test_a_generator_whose_family_offers_no_counterpart_is_not_trained_on_alone(tmp_path, monkeypatch, capsys):
    ganzoo.GAN(ganzoo.create("fashion-mnist", clusters=0).generator).save_pretrained(tmp_path / "alone")
    monkeypatch.setattr(DCGANGenerator, "counterpart", Network.counterpart)
    assert run(["train", "--from", str(tmp_path / "alone"), "--data", "fashion-mnist-mini"]) == 2
    assert "name a model that was saved with its own" in capsys.readouterr().err


def test_an_existing_output_is_refused_and_stays(tmp_path, capsys):
    torch.save(networks("pytorch/examples")[0].state_dict(), tmp_path / "g.pt")
    (tmp_path / "there").mkdir()
    assert run(["convert", str(tmp_path / "g.pt"), str(tmp_path / "there")]) == 2
    assert "exists; name a new folder" in capsys.readouterr().err and not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("name, wanted", [("0", 128), ("3", 8), ("6", 3), ("down.2", 1)])
def test_a_bias_of_another_shape_names_its_layer_both_shapes_and_what_the_file_seems_to_hold(name, wanted, tmp_path):
    up = [
        nn.Linear(6, 128, False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
    ]
    down = [nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(8, 1, 4)]
    state = nn.Sequential(*(down if "down" in name else [*up, *LAST])).state_dict()
    torch.save(state | {f"{name[-1]}.bias": torch.zeros(5)}, tmp_path / "g.pt")
    kind = "discriminator" if "down" in name else "generator"
    words = rf"{name[-1]} does not fit \(.*: size mismatch for bias: .*\[5\].*\[{wanted}\]\)\. .* a {kind} \(layers"
    with pytest.raises(WeightsError, match=words):
        convert(tmp_path / "g.pt", tmp_path / "model")


LAST = [nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh()]
START = [nn.ConvTranspose2d(6, 8, 4), nn.BatchNorm2d(8), nn.ReLU()]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            [*START, nn.ConvTranspose2d(8, 4, 5, 2, 2, 1), nn.ReLU(), *LAST],
            "3 does not fit.*even",
        ),
        (
            [*START, nn.Conv2d(8, 4, 3, groups=2), nn.ReLU(), *LAST],
            "3 does not fit.*takes 4 channels",
        ),
        ([*START, nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU(), *LAST], "3 does not fit.*one norm must serve"),
        ([nn.ConvTranspose2d(6, 8, 4), nn.GroupNorm(2, 8), nn.ReLU(), *LAST], "1 does not fit.*tell apart"),
        ([*START, nn.Conv2d(8, 8, (3, 1)), nn.ReLU(), *LAST], "3 does not fit.*square"),
        ([*START, nn.Flatten(), nn.Linear(128, 9), nn.ReLU(), *LAST], "4 does not fit.*only be the first"),
        ([*START, nn.ConvTranspose2d(8, 8, 4, 2, 1), *LAST], "4 does not fit.*no activation"),
        ([*START, nn.GRUCell(8, 8), *LAST], "3.weight_ih is not a weight of a convolution"),
        ([*START, nn.ConvTranspose2d(8, 30, 4, 2, 1)], "3 does not fit.*1 to 4 channels"),
        (
            [nn.Linear(6, 72), nn.BatchNorm1d(72), nn.ReLU(), nn.Unflatten(1, (8, 3, 3)), *LAST],
            "does not fit.*channels",
        ),
        ([nn.BatchNorm2d(8), *START, *LAST], "0 does not fit.*convolutions"),
        (
            [*START, nn.Conv2d(8, 32, 3), nn.PixelShuffle(2), nn.BatchNorm2d(8), nn.ReLU(), *LAST],
            "3 does not fit.*a bias before its pixels are shuffled",
        ),
        (
            [nn.ConvTranspose2d(32, 8, 4), nn.ReLU(), nn.BatchNorm2d(8), nn.Dropout(0.2), *LAST],
            "2 does not fit.*an activation or a dropout seems to stand between it and 0",
        ),
        (
            [
                *START,
                nn.Conv2d(8, 32, 3, bias=False),
                nn.PixelShuffle(2),
                nn.ReLU(),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                *LAST,
            ],
            "6 does not fit.*an activation or a dropout seems to stand between it and 3",
        ),
        (
            [nn.Conv2d(1, 8, 4, 2, 1), LEAKY, nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Conv2d(8, 1, 4)],
            "2 does not fit.*an activation or a dropout seems to stand between it and 0",
        ),
        (
            [nn.Conv2d(1, 8, 4, 2, 1), LEAKY, nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 1)],
            "2 does not fit.*an activation or a dropout seems to stand between it and 0",
        ),
    ],
)
def test_a_file_that_can_not_be_expressed_names_its_first_layer_that_does_not_fit(layers, words, tmp_path):
    torch.save(nn.Sequential(*layers).state_dict(), tmp_path / "g.pt")
    with pytest.raises(WeightsError, match=words):
        convert(tmp_path / "g.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_wrong_argument_is_said(tmp_path):
    generator, discriminator = networks("pytorch/examples")
    torch.save({"g": copied(generator), "d": copied(discriminator)}, tmp_path / "both.pt")
    for options, words in (
        ({"output_range": "0,255"}, "--output-range must be -1,1 .tanh. or 0,1 .sigmoid."),
        ({"latent_scale": 0.0}, "--latent-scale must be at least 1e-06"),
        ({"latent_scale": "0.5"}, "--latent-scale must be a float"),
        ({"output_range": "0,1"}, "convert the generator alone"),
    ):
        with pytest.raises(ConfigError, match=words):
            convert(tmp_path / "both.pt", tmp_path / "model", **options)
    with pytest.raises(ganzoo.GanzooError, match="Unknown activation"):
        convert(tmp_path / "both.pt", tmp_path / "model", key="g", activation="reluu")


# --- torch-mimicry's SNGAN ------------------------------------------------------------------------------------------


class MimicryBlock(nn.Module):
    """A residual block with the names that torch-mimicry gives its layers; `step` is up, down, first or same."""

    def __init__(self, given, made, step, shortcut=True):
        super().__init__()
        up, wrap = step == "up", (lambda each: each) if step == "up" else torch.nn.utils.spectral_norm
        between = made if up or step == "first" else given
        self.step = step
        self.c1 = wrap(nn.Conv2d(given, between, 3, padding=1))
        self.c2 = wrap(nn.Conv2d(between, made, 3, padding=1))
        self.b1, self.b2 = (nn.BatchNorm2d(each) if up else nn.Identity() for each in (given, between))
        self.c_sc = wrap(nn.Conv2d(given, made, 1)) if shortcut else nn.Identity()

    def forward(self, x):
        def doubled(each):
            return nn.functional.interpolate(each, scale_factor=2, mode="bilinear") if self.step == "up" else each

        halved = nn.functional.avg_pool2d if self.step in ("first", "down") else lambda each, _: each
        x = x.relu() if self.step in ("down", "same") else x  # theirs is in place, and the shortcut sees it
        y = self.c1(x) if self.step == "first" else self.c1(doubled(self.b1(x).relu()))
        y = halved(self.c2(self.b2(y).relu()), 2)
        return y + (self.c_sc(halved(x, 2)) if self.step == "first" else halved(self.c_sc(doubled(x)), 2))


class MimicryGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(6, 12 * 16)
        self.block2, self.block3 = MimicryBlock(12, 8, "up"), MimicryBlock(8, 8, "up")
        self.block4, self.b5, self.c5 = MimicryBlock(8, 4, "up"), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, latents):
        x = self.block4(self.block3(self.block2(self.l1(latents).view(-1, 12, 4, 4))))
        return self.c5(self.b5(x).relu()).tanh()


class MimicryDiscriminator(nn.Module):
    """Of 32x32, or with one block more, which widens, of 48x48."""

    def __init__(self, size):
        super().__init__()
        self.block1, self.block2 = MimicryBlock(3, 4, "first"), MimicryBlock(4, 8, "down")
        if size == 32:
            self.block3, self.block4 = (MimicryBlock(8, 8, "same", shortcut=False) for _ in range(2))
        else:
            self.block3, self.block4 = (MimicryBlock(8, 8, "down") for _ in range(2))
            self.block5 = MimicryBlock(8, 12, "same")
        self.l5 = torch.nn.utils.spectral_norm(nn.Linear(8 if size == 32 else 12, 1))

    def forward(self, x):
        for name, block in self.named_children():
            x = block(x.relu().sum(dim=(2, 3))) if name == "l5" else block(x)
        return x


@pytest.mark.parametrize("size", [32, 48])
def test_a_mimicry_sngan_computes_what_it_did_there(size, tmp_path):
    generator = trained(MimicryGenerator(), torch.randn(8, 6))
    discriminator = trained(MimicryDiscriminator(size), torch.randn(8, 3, size, size).tanh())
    torch.save({"model_state_dict": copied(generator), "global_step": 3}, tmp_path / "g.pth")
    torch.save({"model_state_dict": copied(discriminator), "global_step": 3}, tmp_path / "d.pth")
    latents, images = torch.randn(5, 6), torch.randn(4, 3, size, size).tanh()
    converted = convert(tmp_path / "g.pth", tmp_path / "g", latent_scale=0.5)
    assert any("torch-mimicry's SNGAN, images 3x32x32" in each for each in converted.remarks)
    assert torch.allclose(
        ganzoo.from_pretrained(tmp_path / "g").sample(latents=latents), generator(latents / 2), atol=1e-6
    )
    theirs = discriminator(images).flatten()
    ours = convert(tmp_path / "d.pth", tmp_path / "d").gan.discriminator.eval()(images).flatten()
    assert torch.allclose(ours, theirs, atol=1e-6 * float(theirs.abs().max() + 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("block3.c2.weight"), "block3.c2 does not fit.*it has no weight"),
        (lambda state: state.pop("c5.bias"), "c5 does not fit.*it has no bias"),
        (lambda state: state.update({"block3.b1.embed.weight": torch.ones(3, 16)}), "block3.b1.embed does not fit"),
        (lambda state: state.update({"block3.c1.weight": torch.ones(8, 9, 3, 3)}), "size mismatch for stages.1"),
        (lambda state: state.update({"l_y.weight": torch.ones(4, 8)}), "l_y does not fit"),
        (lambda state: state.update({"block3.c1.weight": torch.ones(8, 8, 9000, 1)}), "kernel is not square"),
        (lambda state: state.update({"block3.b1.running_mean": torch.tensor(1.0)}), "running_mean is no row"),
    ],
)
def test_a_mimicry_network_that_is_no_sngan_names_the_layer(change, words, tmp_path):
    state = MimicryGenerator().state_dict()
    change(state)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(WeightsError, match=words):
        convert(tmp_path / "g.pth", tmp_path / "model")


def test_a_mimicry_network_whose_convolutions_are_wrapped_is_refused_by_name(tmp_path):
    names = ("block1.c1.conv.weight", "block1.c2.conv.weight")
    torch.save({**{name: torch.randn(8, 8, 3, 3) for name in names}, "l5.weight": torch.ones(1, 8)}, tmp_path / "d.pth")
    with pytest.raises(WeightsError, match="block1.c1.conv does not fit.*has 4 to 6 blocks"):
        convert(tmp_path / "d.pth", tmp_path / "model")


# --- files of strangers ---------------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def compressed(path):
    torch.save({"a": torch.zeros(100)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def lying(path):
    """A file whose tensor says that it has 2**28 numbers, of which four are there."""
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            many = b"J\x00\x00\x00\x10"
            archive.writestr(name, content.replace(b"K\x04t", many + b"t").replace(b"K\x04\x85", many + b"\x85"))


def looped(path):
    table = {"word": 1}
    table["again"] = table
    torch.save(table, path)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: torch.save({"a": Evil()}, path), "can't be read as weights"),
        (lambda path: path.write_bytes(pickle.dumps({"a": Evil()})), "can't be read as weights"),
        (
            lambda path: torch.save(nn.Linear(2, 2), path),
            r"\(it holds objects other than tensors, .*network.state_dict",
        ),
        (compressed, "compressed"),
        (lying, "can't be read as weights"),
        (looped, "holds no table of tensors"),
        (lambda path: torch.save({"a": torch.zeros(1).expand(2**20)}, path), "claims 1,048,576 numbers"),
        (lambda path: torch.save({"a": torch.zeros(2).to_sparse()}, path), "not a plain tensor"),
        (lambda path: torch.save({"a": torch.zeros(2, device="meta")}, path), "not a plain tensor"),
        (lambda path: path.write_bytes(b"hello"), "other than tensors, or is damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04 half"), "can't be read as weights"),
        (lambda path: path.mkdir(), "there is no file"),
    ],
)
def test_a_strangers_file_runs_nothing_and_takes_no_more_than_it_holds(write, words, tmp_path, capsys):
    write(tmp_path / "stranger.pt")
    with pytest.raises(WeightsError, match=words):
        read_tables(tmp_path / "stranger.pt")
    assert "unpickled" not in capsys.readouterr().out


def test_weights_with_nan_are_named(tmp_path):
    state = copied(networks("pytorch/examples")[0])
    state["main.3.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "g.pt")
    with pytest.raises(WeightsError, match="main.3.weight holds NaN"):
        convert(tmp_path / "g.pt", tmp_path / "model")
