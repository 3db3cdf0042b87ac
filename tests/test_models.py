"""The DCGAN pair: shapes, counts, gradients and errors, over every preset, block and size."""

import pytest
import torch

import ganzoo
from ganzoo.blocks import make_block
from ganzoo.blocks.residual import ResidualBlock
from ganzoo.config import Config
from ganzoo.errors import BlockError, ConfigError, ShapeError, UnknownNameError
from ganzoo.models import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
    parameter_count,
)

UP = [name for name, block in ganzoo.BLOCKS.items() if getattr(block, "scale_factor", 0) == 2]
DOWN = [name for name, block in ganzoo.BLOCKS.items() if getattr(block, "scale_factor", 0) == 0.5]
NORMS = ["batch", "instance", "group", "layer", "none", "spectral"]


def small_pair(generator=None, discriminator=None):
    made = DCGANGenerator(
        DCGANGeneratorConfig(**{"latent_size": 6, "widths": (8, 8, 8), "image_channels": 1, **(generator or {})})
    )
    judged = DCGANDiscriminator(
        DCGANDiscriminatorConfig(
            **{"image_size": 32, "widths": (8, 8, 8), "image_channels": 1, **(discriminator or {})}
        )
    )
    return made, judged


def test_the_chapter_s_parameter_counts():
    gan = ganzoo.create("pokemon-64-d2l")
    assert parameter_count(gan.generator) == 3_576_704  # chapter: 100x512x16 + ... without any bias but batch norm's
    assert parameter_count(gan.discriminator) == 2_765_696  # with a batch norm in the first block


@pytest.mark.parametrize(
    ("preset", "generator", "discriminator"),
    [
        ("pokemon-64", 2_350_752, 1_218_976),
        ("fashion-mnist", 784_256, 687_808),
        ("fashion-mnist-quick", 820_449, 540_096),
        ("fashion-mnist-conditional", 1_842_944, 788_160),
        ("pokemon-64-d2l", 3_576_704, 2_765_696),
        ("fashion-mnist-d2l", 3_574_656, 2_763_648),
        ("cifar10-sngan", 4_275_971, 1_053_824),
        ("cifar10-sngan-conditional", 4_303_619, 1_055_104),
        ("fashion-mnist-r3gan", 176_160, 168_096),
        ("cifar10-r3gan", 20_732_160, 20_683_776),
        ("emoji-64", 1_763_120, 1_284_512),
        ("cifar10-32", 3_735_296, 6_308_480),
        ("few-shot-64", 3_048_147, 620_935),
    ],
)
def test_every_preset_keeps_its_size(preset, generator, discriminator):
    gan = ganzoo.create(preset)
    assert (parameter_count(gan.generator), parameter_count(gan.discriminator)) == (generator, discriminator)


def test_every_bundled_preset_has_its_size_pinned():
    pinned = test_every_preset_keeps_its_size.pytestmark[0].args[1]
    assert {row[0] for row in pinned} == set(ganzoo.PRESETS)


def test_sngan_has_the_paper_s_layers_and_as_many_parameters():
    """Miyato et al. 2018, appendix B.4, CIFAR-10; by class: Miyato and Koyama 2018."""
    gan, by_class = ganzoo.create("cifar10-sngan"), ganzoo.create("cifar10-sngan-conditional")
    up = 2 * 256 + 256 * 256 * 9 + 2 * 256 + (256 * 256 * 9 + 256) + (256 * 256 + 256)  # norms, convolutions, shortcut
    dense, head = 128 * 4 * 4 * 256 + 4 * 4 * 256, 2 * 256 + 256 * 3 * 9 + 3
    assert parameter_count(gan.generator) == dense + 3 * up + head  # the authors' code has 3 * 256 biases in front of
    # batch norms, which take them away again
    first = (3 * 128 * 9 + 128) + (128 * 128 * 9 + 128) + (3 * 128 + 128)
    down = 2 * (128 * 128 * 9 + 128) + (128 * 128 + 128)
    same = 2 * (128 * 128 * 9 + 128)
    assert parameter_count(gan.discriminator) == first + down + 2 * same + 128
    scales = 3 * 2 * (2 * 256) * 10 - 3 * 2 * (2 * 256)  # a scale and shift a class, for one of all
    assert parameter_count(by_class.generator) == dense + 3 * up + head + scales
    assert parameter_count(by_class.discriminator) == first + down + 2 * same + 128 + 10 * 128

    def layers(network, given):
        """The layers in the order in which they are used."""
        called, kinds = [], (torch.nn.Linear, torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.ReLU, torch.nn.Tanh)
        for part in network.modules():
            if isinstance(part, kinds):
                kind = next(kind for kind in kinds if isinstance(part, kind)).__name__
                name = f"{kind} {part.kernel_size[0]}x" if kind == "Conv2d" else kind
                part.register_forward_hook(lambda *_, name=name: called.append(name))
        network(given)
        return called

    branch = ["BatchNorm2d", "ReLU", "Conv2d 3x"] * 2
    found = layers(gan.generator, torch.zeros(1, 128))
    assert found == ["Linear", *[*branch, "Conv2d 1x"] * 3, "BatchNorm2d", "ReLU", "Conv2d 3x", "Tanh"]
    branch = ["ReLU", "Conv2d 3x"] * 2
    assert layers(gan.discriminator, torch.zeros(1, 3, 32, 32)) == [
        *("Conv2d 3x", "ReLU", "Conv2d 3x", "Conv2d 1x"),  # down, of the image itself
        *(*branch, "Conv2d 1x"),  # down
        *(*branch, *branch),  # two of one size
        *("ReLU", "Conv2d 1x"),  # summed over places, to one logit
    ]
    shapes = [tuple(each.shape[1:]) for each in gan.discriminator.features(torch.zeros(1, 3, 32, 32))]
    assert shapes == [(128, 16, 16), (128, 8, 8), (128, 8, 8), (128, 8, 8)]
    settings = ganzoo.PRESETS["cifar10-sngan"].settings
    assert (settings.loss, settings.discriminator_steps, settings.batch_size) == ("hinge", 5, 64)
    assert settings.generator_lr == settings.discriminator_lr == "linear(start=2e-4)"
    assert (settings.beta1, settings.beta2) == (0, 0.9)


@pytest.mark.parametrize("norm", ["batch", "spectral"])
@pytest.mark.parametrize("size", [0, 5])
def test_blocks_that_take_a_context_get_the_label_and_others_are_modulated(size, norm):
    blocks = ("residual-up", "dcgan-up")
    generator, _ = small_pair({"block": blocks, "context_size": size, "norm": norm, "num_classes": 3})
    modulated = [isinstance(each, ganzoo.blocks.ClassModulation) for each in generator.modulations]
    assert modulated == [True, False, True]  # behind the projection and the second stage
    assert generator.stages[0].context == (size or 3)
    torch.nn.init.normal_(generator.stages[0].norm_1.scale.weight)
    latents = torch.randn(2, 6)
    one, other = (generator.eval()(latents, torch.full((2,), label)) for label in (0, 1))
    assert not torch.allclose(one, other)  # by the context alone: modulations start at zero
    if size:
        assert generator.context.weight.shape == (3, 5)


def test_a_linear_stem_has_nothing_between_it_and_the_first_block():
    generator, _ = small_pair({"block": "residual-up", "stem": "linear", "num_classes": 3})
    assert not list(generator.modulations.parameters())
    latents = torch.randn(2, 6)
    assert torch.equal(generator.project(latents).flatten(1), generator.project.linear(latents))
    assert generator.first_layer().shape == (8 * 4 * 4, 6) == small_pair()[0].first_layer().shape


def test_a_pooled_logit_does_not_care_where_and_a_full_one_does():
    x = torch.rand(1, 8, 4, 4)
    for pool, alike in (("sum", True), ("full", False)):
        _, discriminator = small_pair(None, {"pool": pool})
        discriminator.features = lambda images: [images]
        assert torch.allclose(discriminator(x), discriminator(x.flip(3)), atol=1e-6) == alike
        if pool == "sum":
            weight = discriminator.to_logit.convolution.weight.flatten()
            assert torch.allclose(discriminator(x).flatten(), (x.sum((2, 3)) * weight).sum(1))


def test_spectral_norm_holds_the_embedding_of_labels_too():
    _, discriminator = small_pair(None, {"norm": "spectral", "num_classes": 10})
    assert discriminator.embedding.weight.shape == (10, 8)
    assert torch.linalg.matrix_norm(discriminator.embedding.weight, 2).item() == pytest.approx(1, abs=0.05)


def test_a_conditional_sngan_trains_is_saved_and_samples_by_class(tmp_path):
    gan = ganzoo.create(
        "cifar10-sngan-conditional",
        generator={"widths": (8, 8), "latent_size": 4},
        discriminator={"widths": (8,), "last_blocks": ("residual-same",)},
        seed=0,
    )
    images, labels = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8), torch.arange(12) % 10
    settings = ganzoo.PRESETS["cifar10-sngan"].settings.replace(steps=2, batch_size=4, discriminator_steps=2)
    trainer = ganzoo.Trainer(gan, data=(images, labels), output_dir=tmp_path / "run", settings=settings, progress=False)
    trainer.fit()
    again = ganzoo.from_pretrained(tmp_path / "run", discriminator=True)
    one, other = (again.sample(2, seed=0, labels=label) for label in (0, 1))
    assert one.shape == (2, 3, 8, 8) and not torch.equal(one, other)
    assert torch.allclose(again.sample(2, seed=0, labels=1, precision="fast"), other, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 100), (1, 100, 1, 1)])
def test_the_chapter_s_latent_gives_the_chapter_s_image(shape):
    gan = ganzoo.create("pokemon-64-d2l")
    assert gan.generator(torch.zeros(shape)).shape == (1, 3, 64, 64)
    assert gan.discriminator(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 1, 1)


def test_both_shapes_of_latents_give_the_same_image():
    generator = small_pair()[0].eval()
    latents = torch.randn(3, 6)
    assert torch.equal(generator(latents), generator(latents.reshape(3, 6, 1, 1)))


@pytest.mark.parametrize("block", UP)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [0, 3])
def test_a_generator_of_any_block_and_norm_trains_every_parameter(block, norm, classes):
    generator, _ = small_pair({"block": block, "norm": norm, "num_classes": classes})
    optimizer = torch.optim.SGD(generator.parameters(), lr=1e-3)
    labels = torch.tensor([0, 1, 2, 0]) if classes else None
    for _ in range(2):  # a modulation starts at zero, and moves what stands behind it from the second step on
        optimizer.zero_grad()
        images = generator(torch.randn(4, 6), labels)
        (images * torch.randn_like(images)).sum().backward()
        optimizer.step()
    assert images.shape == (4, 1, 32, 32)
    assert images.abs().max() <= 1
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("block", DOWN)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("classes", "head"), [(0, "pooled"), (3, "pooled"), (3, "spatial")])
def test_a_discriminator_of_any_block_and_norm_trains_every_parameter(block, norm, classes, head):
    _, discriminator = small_pair(None, {"block": block, "norm": norm, "num_classes": classes, "class_head": head})
    labels = torch.tensor([0, 1, 2, 0]) if classes else None
    logits = discriminator(torch.randn(4, 1, 32, 32), labels)
    assert logits.shape == (4, 1, 1, 1)
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_spatial_class_head_tells_places_apart_and_a_pooled_one_does_not():
    x = torch.rand(1, 8, 4, 4)
    for head, alike in (("pooled", True), ("spatial", False)):
        _, discriminator = small_pair(None, {"num_classes": 2, "class_head": head})
        discriminator.features = lambda images: [images]
        torch.nn.init.zeros_(discriminator.to_logit.convolution.weight)
        one, other = (discriminator(each, torch.tensor([1])) for each in (x, x.flip(3)))
        assert torch.allclose(one, other, atol=1e-6) == alike


def test_attention_can_stand_among_the_stages():
    config = DCGANGeneratorConfig(widths=(8, 8, 8, 8), block=("dcgan-up", "self-attention", "dcgan-up"))
    assert config.image_size == 4 * 2 * 1 * 2 * 2
    assert DCGANGenerator(config)(torch.zeros(2, 100)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("head", ["doubling", "same"])
@pytest.mark.parametrize("start", [1, 3, 4, 7])
@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_image_size_is_start_times_doublings(head, start, stages, channels):
    config = DCGANGeneratorConfig(
        latent_size=3, start_size=start, widths=(4,) * stages, head=head, image_channels=channels
    )
    assert config.image_size == start * 2 ** (stages - 1) * (2 if head == "doubling" else 1)
    generator = DCGANGenerator(config)
    assert generator(torch.zeros(2, 3)).shape == (2, channels, config.image_size, config.image_size)


@pytest.mark.parametrize("block", ["dcgan-up", "residual-up", "pixelshuffle-up"])
def test_a_head_of_two_steps_is_one_stage_more_and_the_image_as_large(block):
    common = {"latent_size": 3, "block": block, "num_classes": 4, "image_channels": 1}
    config = DCGANGeneratorConfig(widths=(8, 6), start_size=7, head_channels=5, **common)
    assert config.image_size == DCGANGeneratorConfig(widths=(8, 6), start_size=7, **common).image_size == 28
    longer = DCGANGenerator(DCGANGeneratorConfig(widths=(8, 6, 5), start_size=7, head="same", **common))
    longer.load_state_dict(DCGANGenerator(config).state_dict())
    assert longer(torch.randn(2, 3), torch.arange(2)).shape == (2, 1, 28, 28)


def test_a_head_of_two_steps_has_a_block_of_its_own():
    config = DCGANGeneratorConfig(widths=(8, 6), head_channels=5, block=("dcgan-up", "resize-up"))
    assert [type(stage).__name__ for stage in DCGANGenerator(config).stages] == ["DCGANUp", "ResizeUp"]
    with pytest.raises(ConfigError, match="each of the 2 stages, got 1"):
        DCGANGeneratorConfig(widths=(8, 6), head_channels=5, block=("dcgan-up",))


def test_a_head_that_keeps_the_size_has_no_channels_of_its_own():
    with pytest.raises(ConfigError, match='head_channels 5 goes with head "doubling"'):
        DCGANGeneratorConfig(head="same", head_channels=5)


LAST = [("dcgan-same",), ("self-attention",), ("dcgan-same", "self-attention")]


@pytest.mark.parametrize("last", LAST)
def test_last_blocks_are_as_stages_that_keep_size_and_width(last):
    common = {"image_size": 28, "image_channels": 1, "num_classes": 4, "class_head": "spatial"}
    config = DCGANDiscriminatorConfig(widths=(8, 16), last_blocks=last, **common)
    blocks = ("dcgan-down", "dcgan-down", *last)
    staged = DCGANDiscriminator(DCGANDiscriminatorConfig(widths=(8, 16, *[16] * len(last)), block=blocks, **common))
    discriminator, images = DCGANDiscriminator(config), torch.randn(2, 1, 28, 28)
    staged.load_state_dict(discriminator.state_dict())
    labels = torch.tensor([0, 3])
    assert torch.equal(discriminator(images, labels), staged(images, labels)) and config.last_size == 7
    assert [each.shape[1:] for each in discriminator.features(images)][1:] == [(16, 7, 7)] * (1 + len(last))


def test_a_last_block_of_any_class_gets_the_norm_and_activation_that_it_says_it_lacks():
    class Sum(torch.nn.Conv2d):
        scale_factor, output_activated = 1, False

        def __init__(self, in_channels, out_channels):
            super().__init__(in_channels, out_channels, 1)

    with ganzoo.BLOCKS.temporarily("sum", Sum):
        _, judged = small_pair(discriminator={"last_blocks": ("sum",)})
    assert [type(part).__name__ for part in judged.final_norm] == ["BatchNorm2d", "LeakyReLU"]


def test_a_last_block_lets_far_places_move_a_logit_together():
    """Without one, what a corner adds to the logit does not depend on the corner across."""
    images = torch.zeros(4, 1, 28, 28)
    images[1::2, :, :4, :4], images[2:, :, -4:, -4:] = 1, 1  # none, one, the other, both
    for last, together in (((), False), (("self-attention",), True)):
        config = DCGANDiscriminatorConfig(
            image_size=28, image_channels=1, widths=(8, 16), norm="none", last_blocks=last
        )
        torch.manual_seed(0)
        discriminator = DCGANDiscriminator(config).double()
        for name, parameter in discriminator.named_parameters():
            if name.endswith("gate"):
                torch.nn.init.ones_(parameter)
        none, one, other, both = discriminator(images.double()).flatten()
        assert bool((both - one - other + none).abs() > 1e-9) is together


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (("dcgan-down",), 'last_blocks must keep the size, as dcgan-same does; "dcgan-down" does not'),
        (("dcgan-same",) * 13, "last_blocks must have 0 to 12 items, got 13"),
        ("dcgan-same", "last_blocks"),
    ],
)
def test_last_blocks_that_cannot_be_are_refused(last, message):
    with pytest.raises(ConfigError, match=message):
        DCGANDiscriminatorConfig(last_blocks=last)


def test_stage_features_are_offered():
    _, discriminator = small_pair()
    shapes = [tuple(each.shape) for each in discriminator.features(torch.zeros(2, 1, 32, 32))]
    assert shapes == [(2, 8, 16, 16), (2, 8, 8, 8), (2, 8, 4, 4)]


def test_the_chapter_s_initialisation_draws_batch_norm_too():
    torch.manual_seed(0)
    gamma = {
        name: torch.cat(
            [m.weight.detach() for m in ganzoo.create(name).generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        )
        for name in ("pokemon-64", "pokemon-64-d2l")
    }
    assert (gamma["pokemon-64-d2l"] < 0).float().mean() == pytest.approx(0.5, abs=0.06)
    assert gamma["pokemon-64"].mean() == pytest.approx(1, abs=0.01)
    assert gamma["pokemon-64"].std() == pytest.approx(0.02, abs=0.005)


def test_unconditional_and_conditional_networks_insist_on_their_labels():
    plain, _ = small_pair()
    by_class, judge = small_pair({"num_classes": 3}, {"num_classes": 3})
    with pytest.raises(ShapeError, match="takes no labels"):
        plain(torch.zeros(2, 6), torch.tensor([0, 1]))
    for wrong in (None, torch.tensor([0]), torch.tensor([0.0, 1.0])):
        with pytest.raises(ShapeError, match=r"labels of shape \(2,\)"):
            by_class(torch.zeros(2, 6), wrong)
        with pytest.raises(ShapeError, match=r"labels of shape \(2,\)"):
            judge(torch.zeros(2, 1, 32, 32), wrong)


def test_both_networks_name_a_label_out_of_range():
    generator, discriminator = small_pair({"num_classes": 3}, {"num_classes": 3})
    for wrong in (-1, 3):
        labels = torch.tensor([0, wrong])
        with pytest.raises(ShapeError, match=f"Labels must be 0 to 2, got {wrong}"):
            generator(torch.zeros(2, 6), labels)
        with pytest.raises(ShapeError, match=f"Labels must be 0 to 2, got {wrong}"):
            discriminator(torch.zeros(2, 1, 32, 32), labels)


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 1, 1), (2, 6, 2, 2), (6,)])
def test_a_latent_of_another_shape_is_named(shape):
    with pytest.raises(ShapeError, match="6"):
        small_pair()[0](torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 16, 16), (1, 32, 32)])
def test_an_image_of_another_shape_is_named(shape):
    with pytest.raises(ShapeError, match=r"\(N, 1, 32, 32\)"):
        small_pair()[1](torch.zeros(shape))


def test_blocks_take_options_by_name_and_decide_the_size():
    config = DCGANGeneratorConfig(widths=(8, 4), block="dcgan-up(stride=1,kernel_size=3)")
    assert config.image_size == 8  # 4, kept by the stage, doubled by the head
    assert config.parse("block", "dcgan-up(kernel_size=6,padding=2)") == "dcgan-up(kernel_size=6,padding=2)"
    assert config.parse("block", "dcgan-up(kernel_size=6,padding=2),resize-up") == [
        "dcgan-up(kernel_size=6,padding=2)",
        "resize-up",
    ]
    with pytest.raises(ganzoo.errors.BlockError, match="block .dcgan-up.kernel_size=5..: Block DCGANUp must announce"):
        config.replace(block="dcgan-up(kernel_size=5)")
    wanted = {"widths": (8, 4), "norm": "none", "last_blocks": ("dcgan-same(kernel_size=5)",)}
    made = ganzoo.models.DCGANDiscriminator(ganzoo.models.DCGANDiscriminatorConfig(image_size=16, **wanted))
    assert made.stages[-1].convolution.kernel_size == (5, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": ()}, "widths must have 1 to 12 items"),
        ({"widths": (8,) * 11}, "1024 is the most"),
        ({"widths": (1, 1, 8192), "start_size": 64}, "widths ask for 8192 channels of 256 pixels a side, 536,870,912"),
        ({"block": ("dcgan-up",)}, "one for each of the 3 stages"),
        ({"block": "dcgan-up(kernel=6)"}, 'block: dcgan-up has no option "kernel". Did you mean "kernel_size"'),
        ({"norm": "group(groups=x)"}, 'norm: group: groups must be an int, got "x"'),
        ({"initialisation": "xavjer"}, 'Unknown initialisation "xavjer". Did you mean "xavier"'),
        ({"stem": "linear", "widths": (8,)}, 'stem "linear" needs a stage behind it'),
        ({"context_size": 4, "block": "residual-up"}, "context_size 4 goes with num_classes; there"),
        ({"context_size": 4, "num_classes": 3}, "context_size 4 goes with blocks that take a context, as residual-up"),
        ({"image_channels": 5}, "image_channels must be at least 1 and at most 4"),
        ({"latent_size": 0}, "latent_size must be at least 1"),
    ],
)
def test_generator_configs_are_bounded(changes, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        DCGANGeneratorConfig(**changes)


@pytest.mark.parametrize("field", ["block", "norm", "activation"])
def test_unknown_parts_are_named_with_a_near_match(field):
    near = {"block": "dcgan-upp", "norm": "batchh", "activation": "rellu"}[field]
    with pytest.raises((UnknownNameError, ConfigError), match=f'"{near}".*Did you mean "{near[:-1]}"|Did you mean'):
        DCGANGeneratorConfig(**{field: near})


def test_a_discriminator_that_cannot_halve_says_so():
    with pytest.raises(ConfigError, match="image_size 30 can't be halved 4 times"):
        DCGANDiscriminatorConfig(image_size=30)


@pytest.mark.parametrize("up", [True, False])
def test_a_block_of_the_wrong_way_is_refused_with_blocks_that_fit(up):
    mine, other = ("generator", DOWN) if up else ("discriminator", UP)
    for block in other:
        with pytest.raises(ConfigError, match=f'^{mine}.block "{block}" .* the wrong way') as caught:
            ganzoo.create("fashion-mnist", **{mine: {"block": block}})
        fit = str(caught.value).rpartition(": ")[2].split(", ")
        assert {*fit} == {*(UP if up else DOWN)}


@pytest.mark.parametrize("preset", ["few-shot-64", "fashion-mnist-r3gan"])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_family_of_given_blocks_takes_no_other(preset, network):
    block = next(iter(DOWN if network == "generator" else UP))
    with pytest.raises(ConfigError, match=rf"^{network}\.block is unknown\..* Known: ") as caught:
        ganzoo.create(preset, **{network: {"block": block}})
    assert "\n" not in str(caught.value)


def test_a_stranger_s_model_is_saved_and_loaded(tmp_path):
    from dataclasses import dataclass

    from ganzoo.config import option

    @dataclass(frozen=True, kw_only=True)
    class LinearConfig(Config):
        latent_size: int = option(3, "numbers", low=1, high=100)

    class Linear(torch.nn.Module):
        config_class = LinearConfig

        def __init__(self, config):
            super().__init__()
            self.config = config
            self.layer = torch.nn.Linear(config.latent_size, 16)

        def forward(self, latents):
            return torch.tanh(self.layer(latents)).reshape(-1, 1, 4, 4)

    with ganzoo.MODELS.temporarily("linear-generator", Linear):
        gan = ganzoo.GAN(Linear(LinearConfig(latent_size=5)), latent_size=5)
        gan.save_pretrained(tmp_path / "linear")
        again = ganzoo.from_pretrained(tmp_path / "linear")
        assert torch.equal(again.sample(4, seed=1), gan.sample(4, seed=1))
        assert (again.image_size, again.image_channels, again.latent_size) == (4, 1, 5)
    with pytest.raises(UnknownNameError, match="linear-generator"):
        ganzoo.from_pretrained(tmp_path / "linear")


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float32, torch.bool])
@pytest.mark.parametrize("preset", ["fashion-mnist-conditional", "cifar10-sngan-conditional"])
def test_labels_of_another_dtype_are_refused(preset, dtype):
    generator = ganzoo.create(preset, 16, {"widths": (8, 4, 4), "latent_size": 4}, seed=0, clusters=0).generator
    with pytest.raises(ShapeError, match="dtype int64"):
        generator(torch.zeros(2, 4), torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("block", ["dcgan-same", ("dcgan-up", "self-attention", "dcgan-up")])
def test_a_generator_whose_blocks_do_not_all_double_is_not_resized_in_silence(block):
    config = DCGANGeneratorConfig(block=block, widths=(8, 4, 4, 4))
    with pytest.raises(ConfigError, match=r"image_size 64: the blocks .* give widths and blocks for it yourself"):
        config.resized(64)


def test_a_network_without_a_mirror_says_so():
    wide = DCGANDiscriminator(DCGANDiscriminatorConfig(image_size=256, widths=(8,)))
    with pytest.raises(ConfigError, match="this discriminator has no mirror .start_size .*; give the other network"):
        wide.counterpart()
    odd = DCGANGenerator(DCGANGeneratorConfig(start_size=7, widths=(8,), head="same"))
    with pytest.raises(ConfigError, match="this generator has no mirror .*; give the other network yourself"):
        odd.counterpart()


def test_a_block_without_a_scale_is_refused_in_words():
    assert ResidualBlock(8, 8)(torch.zeros(1, 8, 4, 4)).shape == (1, 8, 4, 4)
    with pytest.raises(BlockError, match="scale_factor"):
        make_block(ResidualBlock, 4, 8, norm="batch", activation="relu")
