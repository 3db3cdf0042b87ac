"""The projected discriminator: what is frozen stays frozen, what is trained trains, and a saved one is whole."""

import pytest
import torch

import ganzoo
from ganzoo.errors import ConfigError, ShapeError
from ganzoo.models import ProjectedDiscriminator, ProjectedDiscriminatorConfig

TINY = {"backbone": "test_efficientnet", "width": 8, "image_size": 32}


@pytest.fixture
def discriminator():
    return ProjectedDiscriminator(ProjectedDiscriminatorConfig(**TINY))


def frozen(network):
    return {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("heads")}


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_it_gives_some_logits_of_each_level(backbone, channels, size):
    config = ProjectedDiscriminatorConfig(backbone=backbone, width=8, image_size=size, image_channels=channels)
    network = ProjectedDiscriminator(config)
    images = torch.rand(2, channels, size, size) * 2 - 1
    places = [level.shape[-1] for level in network.features(images)]
    assert places == sorted(places, reverse=True) and len(places) == 4
    assert network(images).shape == (2, sum(min(4, place) ** 2 for place in places))


@pytest.mark.parametrize(("size", "logits"), [(160, [5, 5, 5, 5]), (224, [7, 7, 7, 7]), (288, [9, 9, 9, 9])])
def test_it_takes_every_multiple_of_32(size, logits):
    network = ProjectedDiscriminator(ProjectedDiscriminatorConfig(**{**TINY, "image_size": size})).eval()
    assert network(torch.zeros(1, 3, size, size)).shape == (1, sum(each**2 for each in logits))


def test_training_moves_the_heads_and_nothing_else(discriminator):
    before = frozen(discriminator)
    optimizer = torch.optim.SGD([p for p in discriminator.parameters() if p.requires_grad], lr=0.1)
    discriminator.train()
    discriminator(torch.randn(4, 3, 32, 32).tanh()).square().sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert (parameter.grad is not None) == name.startswith("heads"), name
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in frozen(discriminator).items())


def test_the_image_gets_its_gradient_through_the_backbone(discriminator):
    images = torch.zeros(2, 3, 32, 32, requires_grad=True)
    discriminator(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_the_backbone_never_trains_its_statistics(discriminator):
    discriminator.train()
    assert not any(module.training for module in discriminator.backbone.modules())
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(discriminator.features(images)[0], discriminator.eval().features(images)[0])


def test_a_backbone_is_filled_from_the_whole_model(discriminator):
    import timm

    model = timm.create_model("test_efficientnet", pretrained=False)
    discriminator.load_backbone(model.state_dict())
    for name, value in discriminator.backbone.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    with pytest.raises(ConfigError, match="the weights do not fit test_efficientnet"):
        discriminator.load_backbone({})


def test_a_backbone_may_be_named_as_features_are_with_timm_before_it(discriminator):
    named = ProjectedDiscriminator(ProjectedDiscriminatorConfig(**{**TINY, "backbone": "timm:test_efficientnet"}))
    assert named.backbone.state_dict().keys() == discriminator.backbone.state_dict().keys()


def test_a_saved_one_wants_nothing_from_outside(discriminator, tmp_path):
    changes = {"widths": (8, 8), "start_size": 8}
    made = ganzoo.create("pokemon-64", generator=changes, clusters=0).generator
    ganzoo.GAN(made, discriminator).save_pretrained(tmp_path / "model")
    again = ganzoo.from_pretrained(tmp_path / "model", discriminator=True).discriminator
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(again(images), discriminator.eval()(images))
    assert not any(parameter.requires_grad for parameter in again.backbone.parameters())


def test_in_training_a_logit_tells_of_the_batch_too(discriminator):
    """So that many times the same image looks unlike many images."""
    images = torch.rand(8, 3, 32, 32)
    alike = images[:1].expand(8, -1, -1, -1)
    assert not torch.allclose(discriminator.train()(images)[0], discriminator(alike)[0], atol=1e-3)
    discriminator.eval()
    assert torch.allclose(discriminator(images)[0], discriminator(alike)[0], atol=1e-5)


def test_a_run_with_it_trains_and_resumes(tmp_path, discriminator):
    made = ganzoo.create("pokemon-64", generator={"widths": (8, 8), "start_size": 8}, clusters=0, seed=0).generator
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    settings = ganzoo.Settings(steps=4, loss="hinge", batch_size=8, checkpoint_every=2, score_every=2)
    gan = ganzoo.GAN(made, discriminator)
    result = ganzoo.Trainer(gan, images, tmp_path / "run", settings=settings, progress=False).fit()
    assert result.finished and all(map(torch.isfinite, map(torch.tensor, result.figures.values())))
    again = ganzoo.Trainer.resume(tmp_path / "run", images, progress=False)
    assert again.fit().finished
    for name, value in again.gan.discriminator.backbone.state_dict().items():
        assert torch.equal(value, discriminator.backbone.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "efficientnet_lite"}, "timm has no model"),
        ({"backbone": "timm:efficientnet_lite"}, "timm has no model"),
        ({"backbone": "timm:vit_tiny_patch16_224"}, "gives no levels|has levels of scale"),
        ({"backbone": "timm:swin_tiny_patch4_window7_224"}, "can't take images of 32x32 .it is made for 224x224 alone"),
        (
            {"backbone": "timm:swin_tiny_patch4_window7_224", "image_size": 224},
            r"gives \(1, 56, 56, 96\) \(channels last\) for images of 224x224",
        ),
        ({"backbone": "timm:coat_lite_tiny"}, "can't take images of 32x32 .it is made for 224x224 alone"),
        ({"backbone": "timm:maxvit_rmlp_pico_rw_256"}, "can't take images of 32x32 .it is made for 256x256 alone"),
        ({"image_size": 48}, "image_size must be a multiple of 32"),
        ({"image_channels": 2}, "image_channels must be 1 or 3"),
        ({"width": 0}, "width must be at least 1"),
        ({"activation": "leaky"}, "activation"),
    ],
)
def test_what_cannot_be_is_said(changes, message):
    with pytest.raises(ganzoo.errors.GanzooError, match=message):
        ProjectedDiscriminator(ProjectedDiscriminatorConfig(**{**TINY, **changes}))


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (2, 1, 32, 32), (3, 32, 32)])
def test_other_shapes_are_refused(discriminator, shape):
    with pytest.raises(ShapeError, match=r"wants images \(N, 3, 32, 32\)"):
        discriminator(torch.zeros(shape))
    with pytest.raises(ShapeError, match="takes no labels"):
        discriminator(torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.long))
