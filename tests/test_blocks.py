"""Blocks keep their contract, and `check_block` sees who doesn't."""

import math
import re
import subprocess
import sys
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from ganzoo import blocks
from ganzoo.blocks import (
    ACTIVATIONS,
    BLOCKS,
    INITIALISATIONS,
    NORMS,
    BlurDown,
    ClassModulation,
    ConditionalNorm,
    DCGANDown,
    DCGANUp,
    ImageBlock,
    LinearProjection,
    MinibatchStandardDeviation,
    OwnStart,
    PixelShuffleUp,
    Projection,
    ResidualDown,
    ResidualSame,
    ResidualUp,
    ResizeUp,
    SelfAttention,
    ToImage,
    ToLogit,
    block_scale,
    check_activation_name,
    check_block,
    check_norm_name,
    initialise,
    make_activation,
    make_block,
    make_norm,
    needs_context,
    takes_context,
)
from ganzoo.errors import BlockError, ConfigError, ShapeError, UnknownNameError

BUILT_IN = [
    "dcgan-up",
    "dcgan-down",
    "dcgan-same",
    "resize-up",
    "pixelshuffle-up",
    "blur-down",
    "residual-up",
    "residual-down",
    "residual-same",
    "self-attention",
]
HALVING = ["dcgan-down", "blur-down", "residual-down"]


def test_every_promised_block_is_registered():
    assert set(BUILT_IN) <= set(BLOCKS)


def test_every_block_and_the_class_that_its_docstring_refers_to_can_be_imported_from_ganzoo_blocks():
    for name in BUILT_IN:
        block = BLOCKS[name]
        assert getattr(blocks, block.__name__) is block
        for other in re.findall(r"as of `(\w+)`", block.__doc__):
            assert hasattr(blocks, other), other


@pytest.mark.parametrize("norm", [*NORMS, nn.BatchNorm2d], ids=str)
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_block_keeps_the_contract_with_every_norm(name, norm):
    check_block(partial(BLOCKS[name], norm=norm))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_block_as_registered_keeps_the_contract(name):
    check_block(BLOCKS[name])
    check_block(BLOCKS[name], 6, 6)
    assert BLOCKS[name](in_channels=4, out_channels=4).in_channels == 4


@pytest.mark.parametrize("activation", [*ACTIVATIONS, pytest.param(lambda: nn.Threshold(0.1, 0.0), id="a function")])
def test_blocks_take_every_activation(activation):
    for name in BUILT_IN:
        block = make_block(BLOCKS[name], 4, 4, norm="batch", activation=activation)
        assert block(torch.randn(2, 4, 8, 8)).isfinite().all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_block_can_be_differentiated_twice_as_gradient_penalties_need(name):
    block = BLOCKS[name](4, 4)
    initialise(block, "dcgan")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter += 0.1
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    for mode in (True, False):
        (gradient,) = torch.autograd.grad(block.train(mode)(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        assert x.grad.isfinite().all() and x.grad.any()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_block_works_under_autocast(name):
    block, x = BLOCKS[name](8, 8), torch.randn(2, 8, 8, 8)
    with torch.no_grad():
        plain = block.train()(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(block(x).float(), plain, atol=0.1)


def test_importing_blocks_imports_neither_timm_nor_torchvision():
    code = "import sys, ganzoo.blocks; print(sorted({'timm', 'torchvision', 'accelerate'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# --- the chapter's facts ---------------------------------------------------------------------------------------


def test_the_chapters_shapes():
    assert DCGANUp(3, 20)(torch.zeros(2, 3, 16, 16)).shape == (2, 20, 32, 32)
    grow = DCGANUp(3, 20, kernel_size=4, stride=1, padding=0)
    assert grow(torch.zeros(2, 3, 1, 1)).shape == (2, 20, 4, 4)
    assert grow.scale_factor is None
    assert DCGANDown(3, 20)(torch.zeros(2, 3, 16, 16)).shape == (2, 20, 8, 8)


def test_the_chapters_size_formulae_hold_for_every_kernel_stride_and_padding():
    for k in range(1, 6):
        for s in range(1, 4):
            for p in range(k // 2 + 1):
                up = DCGANUp(1, 1, kernel_size=k, stride=s, padding=p, norm="none")
                down = DCGANDown(1, 1, kernel_size=k, stride=s, padding=p, norm="none")
                for n in (1, 2, 4, 6, 7, 9):
                    x = torch.zeros(1, 1, n, n)
                    size = k + s * (n - 1) - 2 * p
                    if size >= 1:
                        assert up(x).shape[2] == size
                        assert up.scale_factor is None or size == n * up.scale_factor
                    else:
                        with pytest.raises(ShapeError, match="leaves nothing"):
                            up(x)
                    size = (n - k + 2 * p + s) // s
                    if down.scale_factor and (n * down.scale_factor) % 1:
                        with pytest.raises(ShapeError, match=f"divisible by {s}"):
                            down(x)
                    elif size >= 1:
                        assert down(x).shape[2] == size
                        assert down.scale_factor is None or size == n * down.scale_factor
                    else:
                        with pytest.raises(ShapeError, match="leaves nothing"):
                            down(x)


def test_leaky_relu_of_slope_0_is_relu_and_of_slope_1_the_identity():
    x = torch.linspace(-2, 2, 41)
    assert torch.equal(make_activation("leaky_relu", 0.0)(x), x.relu())
    assert torch.equal(make_activation("leaky_relu", 1.0)(x), x)
    assert torch.equal(make_activation("leaky_relu")(x), torch.where(x > 0, x, 0.2 * x))
    assert DCGANDown(1, 1, slope=0.4).activation.negative_slope == 0.4


def test_the_chapters_blocks_have_no_bias_beside_a_norm():
    for block in (DCGANUp(3, 4), DCGANDown(3, 4), Projection(5, 4, 4)):
        assert block.convolution.bias is None
    assert DCGANUp(3, 4, norm="none").convolution.bias is not None
    assert DCGANDown(3, 4, norm="spectral").convolution.bias is not None
    assert list(DCGANUp(3, 4).state_dict())[:2] == ["convolution.weight", "norm.weight"]  # keys are public API


# --- wrong input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("shape", [(8, 8, 8), (2, 3, 8, 8), (2, 5), (1, 2, 4, 8, 8)])
def test_a_wrong_shape_names_the_block_what_it_got_and_what_it_wants(name, shape):
    block = BLOCKS[name](4, 4)
    with pytest.raises(ShapeError) as caught:
        block(torch.zeros(shape))
    for piece in (type(block).__name__, str(shape), "(N, 4, H, W)"):
        assert piece in str(caught.value)


@pytest.mark.parametrize("name", HALVING)
@pytest.mark.parametrize("shape", [(2, 4, 7, 8), (2, 4, 8, 7), (1, 4, 1, 1)])
def test_a_halving_block_refuses_odd_sizes(name, shape):
    with pytest.raises(ShapeError, match="divisible by 2, got"):
        BLOCKS[name](4, 4)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("module", "shape", "pieces"),
    [
        (Projection(5, 4, 4), (2, 6), ["Projection", "(N, 5) or (N, 5, 1, 1)", "(2, 6)"]),
        (Projection(5, 4, 4), (2, 5, 2, 2), ["(2, 5, 2, 2)"]),
        (ToImage(4, 3), (2, 3, 8, 8), ["ToImage", "(N, 4, H, W)", "(2, 3, 8, 8)"]),
        (ToLogit(4, 4), (2, 4, 5, 4), ["ToLogit", "(N, 4, 4, 4)", "(2, 4, 5, 4)"]),
        (MinibatchStandardDeviation(4), (2, 5, 4, 4), ["MinibatchStandardDeviation", "(N, 4, H, W)", "(2, 5, 4, 4)"]),
    ],
)
def test_stems_and_heads_refuse_wrong_shapes(module, shape, pieces):
    with pytest.raises(ShapeError) as caught:
        module(torch.zeros(shape))
    assert all(piece in str(caught.value) for piece in pieces)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SelfAttention(8, 16), "out_channels must be 8 like in_channels, got 16"),
        (lambda: DCGANUp(0, 16), "DCGANUp: in_channels must be an int of at least 1, got 0"),
        (lambda: DCGANUp(4, "x"), 'out_channels must be an int of at least 1, got "x"'),
        (lambda: DCGANUp(4, 4, stride=0), "DCGANUp: stride must be an int of at least 1, got 0"),
        (lambda: DCGANDown(4, 4, padding=-1), "DCGANDown: padding must be an int of at least 0, got -1"),
        (lambda: DCGANDown(4, 4, kernel_size=2.5), "kernel_size must be an int of at least 1, got 2.5"),
        (lambda: ResizeUp(4, 4, mode="bilinaer"), 'Did you mean "bilinear"?'),
        (lambda: ResizeUp(4, 4, kernel_size=4), "ResizeUp: kernel_size must be odd to keep the size, got 4"),
        (
            lambda: ToImage(4, 3, mode="sane"),
            'ToImage: mode must be one of doubling, same, got "sane". Did you mean "same"?',
        ),
        (lambda: SelfAttention(8, 8, reduction=0), "reduction must be an int of at least 1, got 0"),
        (lambda: MinibatchStandardDeviation(8, group_size=0), "group_size must be an int of at least 1"),
        (lambda: MinibatchStandardDeviation("8"), 'in_channels must be an int of at least 1, got "8"'),
        (lambda: ToImage(8, 0), "ToImage: image_channels must be an int of at least 1, got 0"),
        (lambda: ClassModulation(0, 8), "num_classes must be an int of at least 1, got 0"),
        (lambda: make_norm(3, 8), r"norm must be a name or a callable \(channels\) -> nn.Module, got 3"),
        (lambda: make_norm(nn.BatchNorm2d(8), 8), "norm must be a name or a callable"),
        (lambda: make_norm(lambda channels: channels, 8), "made 8; it must make an nn.Module"),
        (lambda: make_norm(partial(nn.GroupNorm, 3), 8), "does not fit 8 channels"),
        (lambda: make_activation(nn.ReLU()), "activation must be a name or a callable"),
        (lambda: make_activation(lambda: 1), "made 1; it must make an nn.Module"),
    ],
)
def test_a_bad_argument_names_itself_its_place_and_its_value(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


# --- norms, activations, modulation ----------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (48, 24), (64, 32), (96, 32), (37, 1)])
def test_group_norm_takes_as_many_groups_as_divide_the_channels(channels, groups):
    assert make_norm("group", channels).num_groups == groups


def test_norms_by_name_are_what_they_say():
    assert isinstance(make_norm("batch", 4), nn.BatchNorm2d)
    assert make_norm("instance", 4).affine
    assert make_norm("layer", 4).num_groups == 1
    assert isinstance(make_norm("none", 4), nn.Identity)
    assert isinstance(make_norm("spectral", 4), nn.Identity)


@pytest.mark.parametrize("name", BUILT_IN)
def test_spectral_norm_holds_every_weight_at_singular_value_1(name):
    block = BLOCKS[name](8, 8, norm="spectral")
    initialise(block, "dcgan")
    weights = [part for part in block.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d))]
    assert weights
    for part in weights:
        flat = part.weight.transpose(0, 1) if isinstance(part, nn.ConvTranspose2d) else part.weight
        assert torch.linalg.matrix_norm(flat.flatten(1), 2).item() == pytest.approx(1, abs=0.15)


def test_a_norm_only_timm_knows_works_by_name():
    check_norm_name("layernorm2d")
    check_block(partial(DCGANUp, norm="layernorm2d"))
    assert type(make_activation("hard_swish")).__name__ == "Hardswish"
    check_activation_name("gelu_tanh")
    with pytest.raises(ConfigError, match="does not fit 20 channels"):
        make_norm("groupnorm", 20)


@pytest.mark.parametrize("name", ["bacth", "", "layernorm", "batchnorm1d", 3, None, ["batch"]])
def test_an_unknown_norm_is_an_error_with_the_known_names(name):
    with pytest.raises(UnknownNameError, match=r"Unknown norm .*Known: batch, instance, group, layer, none, spectral"):
        check_norm_name(name)


@pytest.mark.parametrize("name", ["leeky_relu", "", 3, None, ["relu"]])
def test_an_unknown_activation_is_an_error_with_the_known_names(name):
    with pytest.raises(UnknownNameError, match=r"Unknown activation .*Known: relu, leaky_relu"):
        check_activation_name(name)
    if name == "leeky_relu":
        with pytest.raises(UnknownNameError, match='Did you mean "leaky_relu"'):
            make_activation(name)


def test_norms_activations_and_initialisations_take_options():
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(make_norm("group(groups=4)", 8)(x), nn.GroupNorm(4, 8)(x))
    assert make_norm("batch(momentum=0.3)", 8, affine=False).momentum == 0.3
    assert make_norm("batch(momentum=0.3)", 8, affine=False).weight is None
    assert make_activation("leaky_relu(slope=0.4)", slope=0.1).negative_slope == 0.4
    assert make_activation("leaky_relu", slope=0.1).negative_slope == 0.1
    assert make_activation("leaky_relu:0.4").negative_slope == 0.4  # the first option may follow a colon
    assert torch.equal(make_norm("group:4", 8)(x), nn.GroupNorm(4, 8)(x))
    assert make_norm("group:4", 8, affine=False).weight is None
    layer = nn.Linear(100, 100)
    initialise(layer, "dcgan(deviation=0.5)")
    assert layer.weight.std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("check", "text", "error", "message"),
    [
        (check_norm_name, "group(group=4)", ConfigError, 'group has no option "group". Did you mean "groups"'),
        (check_norm_name, "group(groups=x)", ConfigError, "group: groups must be an int"),
        (check_norm_name, "spectral()", ConfigError, "write spectral"),
        (check_norm_name, "layernorm2d(eps=1)", UnknownNameError, 'Unknown norm "layernorm2d"'),
        (check_activation_name, "leaky_relu(slope=2)", ConfigError, "slope must be at least 0 and at most 1"),
        (lambda name: make_norm(name, 8), "group(groups=3)", ConfigError, "does not fit 8 channels"),
        (lambda name: initialise(nn.Linear(1, 1), name), "xavier(gain=1)", ConfigError, "xavier has no option"),
        (check_activation_name, "hardswish:1", UnknownNameError, 'Unknown activation "hardswish"'),
    ],
)
def test_a_wrong_option_of_a_norm_activation_or_initialisation_is_named(check, text, error, message):
    with pytest.raises(error, match=message):
        check(text)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_activation_works_in_place(name):
    x = torch.randn(100)
    before = x.clone()
    make_activation(name)(x)
    assert torch.equal(x, before)


def test_class_modulation_starts_as_the_identity_and_then_acts_by_class():
    modulation = ClassModulation(3, 4)
    x, labels = torch.randn(5, 4, 2, 2), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(modulation(x, labels), x)
    with torch.no_grad():
        modulation.scale.weight[1] = 2.0
        modulation.shift.weight[2] = -1.0
    y = modulation(x, labels)
    assert torch.equal(y[[0, 4]], x[[0, 4]])
    assert torch.equal(y[[1, 3]], 3 * x[[1, 3]])
    assert torch.equal(y[2], x[2] - 1)


# --- single blocks, stems, heads -------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_pixel_shuffle_starts_constant_in_each_2x2_cell(norm, initialisation):
    block = PixelShuffleUp(5, 3, norm=norm, activation="none")
    initialise(block, initialisation)
    y = block(torch.randn(2, 5, 6, 6))
    cells = y.unfold(2, 2, 2).unfold(3, 2, 2)
    assert torch.allclose(cells, cells[..., :1, :1].expand_as(cells), atol=1e-6)
    assert y[:, :, ::2, ::2].std() > 0  # and yet not one grey


def test_blur_down_blurs_before_it_samples():
    block = BlurDown(1, 1, kernel_size=1, norm="none", activation="none")
    nn.init.ones_(block.convolution.weight)
    nn.init.zeros_(block.convolution.bias)
    stripes = torch.tensor([0.0, 1.0]).repeat(4).expand(1, 1, 8, 8)  # the finest pattern: plain sampling loses half
    assert torch.equal(block(stripes), torch.full((1, 1, 4, 4), 0.5))
    assert torch.equal(block(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 4, 4))
    assert "blur" not in block.state_dict()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_resize_up_keeps_a_constant_image_constant(mode):
    block = ResizeUp(2, 3, mode=mode, norm="none", activation="none").double()
    y = block(torch.ones(1, 2, 6, 6).double())[:, :, 1:-1, 1:-1]  # its border sees zeros
    assert torch.allclose(y, y[:, :, :1, :1].expand_as(y))


def test_residual_blocks_are_the_sum_of_branch_and_shortcut():
    x = torch.randn(2, 4, 8, 8)
    up, down = ResidualUp(4, 6, norm="none"), ResidualDown(4, 6, norm="none")
    for block in (up, down):
        nn.init.zeros_(block.convolution_2.weight)
        nn.init.zeros_(block.convolution_2.bias)
    assert torch.allclose(up(x), up.shortcut(F.interpolate(x, scale_factor=2)), atol=1e-6)
    assert torch.allclose(down(x), F.avg_pool2d(down.shortcut(x), 2), atol=1e-6)
    same = ResidualSame(4, 4, norm="none")
    assert sum(parameter.numel() for parameter in same.parameters()) == 2 * (4 * 4 * 9 + 4)  # no convolution beside
    nn.init.zeros_(same.convolution_2.weight)
    nn.init.zeros_(same.convolution_2.bias)
    assert torch.equal(same(x), x) and isinstance(ResidualSame(4, 6).shortcut, nn.Conv2d)
    assert not (up.output_activated or down.output_activated) and DCGANUp(4, 4).output_activated


def test_the_first_residual_block_leaves_the_image_as_it_is():
    first = make_block(ResidualDown, 3, 4, norm="batch", activation="relu", first=True)
    later = make_block(ResidualDown, 3, 4, norm="batch", activation="relu")
    assert isinstance(first.norm_1, nn.Identity) and isinstance(first.activation_1, nn.Identity)
    assert isinstance(later.norm_1, nn.BatchNorm2d) and isinstance(later.activation_1, nn.ReLU)


def test_self_attention_is_the_papers_equations_and_starts_as_the_identity():
    block = SelfAttention(16, 16, norm="none").double()
    x = torch.randn(2, 16, 3, 5).double()
    assert torch.equal(block(x), x)
    nn.init.constant_(block.gate, 0.7)
    query, key, value = (part(x).flatten(2) for part in (block.query, block.key, block.value))
    weights = torch.einsum("ndi,ndj->nij", query, key).softmax(dim=2)
    seen = block.output(torch.einsum("nij,ndj->ndi", weights, value).unflatten(2, (3, 5)))
    assert torch.allclose(block(x), x + 0.7 * seen)
    with torch.no_grad():
        assert torch.allclose(block(x), x + 0.7 * seen)


def test_a_conditional_norm_is_batch_norm_with_a_scale_and_shift_for_each_class():
    norm, x, labels = ConditionalNorm("batch", 4, 3), torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    context = F.one_hot(labels, 3).float()
    plain = nn.BatchNorm2d(4, affine=False)(x)
    assert torch.allclose(norm(x, context), plain, atol=1e-6)  # the identity behind the norm, at first
    nn.init.normal_(norm.scale.weight)
    nn.init.normal_(norm.shift.weight)
    for image, label in enumerate(labels):
        scale, shift = (part.weight[:, label, None, None] for part in (norm.scale, norm.shift))
        assert torch.allclose(norm(x, context)[image], plain[image] * (1 + scale) + shift, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "layer"])
def test_a_norm_without_scale_and_shift_has_no_parameters(norm):
    assert not list(make_norm(norm, 8, affine=False).parameters()) and list(make_norm(norm, 8).parameters())


def test_a_residual_block_with_context_names_a_context_of_another_shape():
    block, x = ResidualUp(4, 4, context=3), torch.randn(2, 4, 8, 8)
    with pytest.raises(ShapeError, match=r"ResidualUp wants a context of shape \(2, 3\), got None"):
        block(x)
    with pytest.raises(ShapeError, match=r"got \(2, 4\)"):
        block(x, torch.randn(2, 4))
    with pytest.raises(ShapeError, match=r"ResidualUp wants no context, got \(2, 3\)"):
        ResidualUp(4, 4)(x, torch.randn(2, 3))


@pytest.mark.parametrize("size", [4, 7])
def test_projection_takes_latents_of_two_and_of_four_axes(size):
    latents = torch.randn(3, 10)
    for project in (Projection(10, 6, size).eval(), LinearProjection(10, 6, size)):
        assert project(latents).shape == (3, project.out_channels, size, size)
        assert torch.equal(project(latents), project(latents.view(3, 10, 1, 1)))
        with pytest.raises(ShapeError, match=r"wants latents \(N, 10\) or \(N, 10, 1, 1\), got \(3, 9\)"):
            project(latents[:, :9])


def test_to_image_ends_in_tanh_and_keeps_or_doubles_the_size():
    x = 100 * torch.randn(2, 4, 8, 8)
    for mode, size in (("doubling", 16), ("same", 8)):
        head = ToImage(4, 3, mode=mode)
        assert head(x).shape == (2, head.out_channels, size, size)
        assert head.scale_factor == size / 8
        assert head(x).abs().max() <= 1
    assert ToImage(4, 3).convolution.bias is None


@pytest.mark.parametrize("spectral", [False, True])
def test_to_logit_gives_one_number_an_image(spectral):
    assert ToLogit(4, 5, spectral=spectral)(torch.randn(3, 4, 5, 5)).shape == (3, 1, 1, 1)


def test_minibatch_standard_deviation_has_a_slope_where_images_are_alike_in_every_precision():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.zeros(4, 2, 4, 4, dtype=dtype, requires_grad=True)
        made = MinibatchStandardDeviation(2)(x)
        made.sum().backward()
        assert made.dtype == dtype and x.grad.isfinite().all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_norm("spectral ", 4),
        lambda: make_norm(" batch", 4),
        lambda: make_activation("leaky_relu ", 0.5),
    ],
)
def test_a_name_with_a_space_is_unknown(make):  # as "spectral " it was no spectral norm, in silence
    with pytest.raises(UnknownNameError):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ResidualDown(4, 8, hidden="Out"), "ResidualDown: hidden must be one of out, in"),
        (lambda: ResidualDown(4, 8, shortcut="activatd"), "ResidualDown: shortcut must be one of input, activated"),
        (lambda: ResidualUp(4, 8, interpolation="cubic"), "ResidualUp: interpolation must be one of nearest, bilinear"),
    ],
)
def test_a_residual_block_refuses_words_that_it_does_not_know(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


@pytest.mark.parametrize("count", range(1, 10))
def test_minibatch_standard_deviation_takes_any_batch_size(count):
    layer = MinibatchStandardDeviation(3)
    x = torch.randn(count, 3, 4, 4, requires_grad=True)
    y = layer(x)
    assert y.shape == (count, layer.out_channels, 4, 4)
    assert torch.equal(y[:, :3], x)
    y.sum().backward()
    assert x.grad.isfinite().all()
    if 2 <= count <= 4:
        assert torch.allclose(y[:, 3], x.std(dim=0, unbiased=False).mean().expand(count, 4, 4), atol=1e-4)
    assert torch.allclose(layer(x[:1].expand(count, 3, 4, 4))[:, 3], torch.tensor(1e-4))  # no variety


# --- initialisation --------------------------------------------------------------------------------------------


def _network() -> nn.Module:
    return nn.Sequential(
        Projection(64, 64, 4),
        DCGANUp(64, 64),
        ClassModulation(2, 64),
        SelfAttention(64, 64, norm="none"),
        PixelShuffleUp(64, 16, norm="none"),
        nn.Flatten(),
        nn.Linear(16 * 256, 8),
    )


def test_dcgan_initialisation_draws_weights_around_0_and_scales_around_1():
    net = _network()
    initialise(net, "dcgan")
    for weight in (net[0].convolution.weight, net[1].convolution.weight, net[4].convolution.weight, net[6].weight):
        assert abs(weight.mean()) < 2e-3 and weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert net[1].norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert net[1].norm.weight.std().item() == pytest.approx(0.02, rel=0.3)
    for zero in (net[1].norm.bias, net[4].convolution.bias, net[6].bias, net[3].gate, net[2].scale.weight):
        assert not zero.any()


def test_d2l_initialisation_draws_every_parameter_but_what_starts_in_its_own_way():
    net = _network()
    initialise(net, "d2l")
    for name, parameter in net.named_parameters():
        if name == "3.gate" or name.startswith("2."):
            assert not parameter.any()
        else:
            assert abs(parameter.mean()) < 0.01 and parameter.std().item() == pytest.approx(0.02, rel=0.45), name


def test_orthogonal_initialisation_draws_orthonormal_rows_or_columns():
    net = _network()
    initialise(net, "orthogonal")
    for weight in (net[1].convolution.weight, net[6].weight):
        rows = weight.flatten(1) if weight.shape[0] <= weight[0].numel() else weight.flatten(1).T
        assert torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-4)
    assert torch.equal(net[1].norm.weight, torch.ones(64)) and not net[6].bias.any() and not net[3].gate.any()


def test_xavier_initialisation_has_relus_gain_in_the_branches_of_residual_blocks_alone():
    block, layer = ResidualDown(32, 64, norm="none"), nn.Linear(30, 50)
    for module in (block, layer):
        initialise(module, "xavier")
    bounds = {  # the gain, and the fans in and out
        block.convolution_1: math.sqrt(2) * math.sqrt(6 / (32 * 9 + 64 * 9)),
        block.convolution_2: math.sqrt(2) * math.sqrt(6 / (64 * 9 + 64 * 9)),
        block.shortcut: math.sqrt(6 / (32 + 64)),
        layer: math.sqrt(6 / (30 + 50)),
    }
    for part, bound in bounds.items():
        assert 0.97 * bound < part.weight.abs().max().item() <= bound and not part.bias.any()


def test_torch_initialisation_leaves_everything():
    net = _network()
    nn.init.ones_(net[3].gate)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    initialise(net, "torch")
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_initialisation_leaves_a_strangers_own_start_alone():
    class Strange(OwnStart):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 5.0))
            self.convolution = nn.Conv2d(3, 3, 1)
            self.reset_parameters()

        def reset_parameters(self):
            nn.init.zeros_(self.convolution.weight)

    module = Strange()
    initialise(module, "dcgan")
    assert torch.equal(module.scale, torch.full((3,), 5.0)) and not module.convolution.weight.any()
    tied = parametrizations.weight_norm(nn.Conv2d(3, 3, 1))  # its weight is kept as two tensors: left alone
    before = tied.weight.clone()
    initialise(tied, "dcgan")
    assert torch.equal(tied.weight, before)


def test_initialisation_draws_the_weight_behind_torchs_older_spectral_norm_and_leaves_the_older_weight_norm_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        spectral, tied = nn.utils.spectral_norm(nn.Linear(100, 100)), nn.utils.weight_norm(nn.Linear(3, 3))
    before = tied.weight.clone()
    for each in (spectral, tied):
        initialise(each, "dcgan")
    assert spectral.weight_orig.std().item() == pytest.approx(0.02, rel=0.1)
    assert torch.equal(tied(torch.eye(3)).mT, before)


def test_initialisation_refreshes_spectral_norm_whatever_the_mode():
    block = DCGANDown(8, 16, norm="spectral").eval()
    initialise(block, "dcgan")
    assert block.convolution.parametrizations.weight.original.std().item() == pytest.approx(0.02, rel=0.1)
    assert torch.linalg.matrix_norm(block.convolution.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)
    assert not any(part.training for part in block.modules())


def test_an_unknown_initialisation_is_an_error_with_a_suggestion():
    with pytest.raises(UnknownNameError, match='Did you mean "dcgan"'):
        initialise(nn.Conv2d(1, 1, 1), "dcgam")


# --- make_block and block_scale --------------------------------------------------------------------------------


class Plain(nn.Module):
    """A stranger's block, no heir of ImageBlock; the broken ones below each break one promise of it."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.in_channels, self.out_channels, self.scale_factor = in_channels, out_channels, 1
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.convolution(x).relu()


def test_make_block_passes_only_what_a_block_declares_and_a_partial_has_not_bound():
    make = partial(make_block, norm="instance", activation="elu")
    assert isinstance(make(DCGANUp, 4, 4).norm, nn.InstanceNorm2d)
    assert isinstance(make(DCGANUp, 4, 4).activation, nn.ELU)
    bound = partial(partial(DCGANUp, norm="batch"), slope=0.1)
    assert isinstance(make(bound, 4, 4).norm, nn.BatchNorm2d)
    assert isinstance(make(bound, 4, 4).activation, nn.ELU)
    assert isinstance(make(SelfAttention, 4, 4).norm, nn.InstanceNorm2d)
    assert isinstance(make(Plain, 4, 6), Plain)
    assert isinstance(make(lambda in_channels, out_channels: Plain(in_channels, out_channels), 4, 6), Plain)


class Contextual(Plain):
    """A stranger's block with a context; the broken ones below each break one promise of it."""

    options = ("context",)

    def __init__(self, in_channels, out_channels, *, context=0):
        super().__init__(in_channels, out_channels)
        self.shift = nn.Linear(context, out_channels) if context else None

    def forward(self, x, context=None):
        return super().forward(x) if context is None else super().forward(x) + self.shift(context)[:, :, None, None]


def test_make_block_gives_a_context_to_the_blocks_that_declare_it_and_only_if_there_is_one():
    make = partial(make_block, in_channels=4, out_channels=4, norm="batch", activation="relu")
    assert make(ResidualUp, context=3).context == 3 and make(Contextual, context=3).shift.in_features == 3
    assert make(ResidualUp).context == 0 and make(Contextual).shift is None
    assert isinstance(make(ResidualUp).norm_1, nn.BatchNorm2d)
    assert isinstance(make(DCGANUp, context=3), DCGANUp) and isinstance(make(Plain, context=3), Plain)
    assert [takes_context(each) for each in (ResidualUp, Contextual, DCGANUp, Plain)] == [True, True, False, False]
    assert not takes_context(partial(Contextual, context=2))


class Modulated(Contextual):
    """Can't be without a context, as a modulated convolution."""

    def __init__(self, in_channels, out_channels, *, context):
        super().__init__(in_channels, out_channels, context=context)


def test_a_block_that_needs_a_context_works_in_networks_that_have_one_alone():
    assert needs_context(Modulated) and not needs_context(Contextual) and not needs_context(Plain)
    check_block(Modulated)
    assert block_scale(Modulated, 4, 4) == 1
    assert make_block(Modulated, 4, 4, norm="batch", activation="relu", context=3).shift.in_features == 3
    with pytest.raises(BlockError, match="Modulated needs a context, .*set num_classes"):
        make_block(Modulated, 4, 4, norm="batch", activation="relu")


def _with(**attributes):
    def stranger(in_channels, out_channels):
        block = Plain(in_channels, out_channels)
        for name, value in attributes.items():
            setattr(block, name, value)
        return block

    return stranger


class Greedy(Plain):
    options = ("norm", "labels")


class Liar(Plain):
    options = ("norm",)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (_with(out_channels=5), "stranger must announce out_channels=6 for its neighbours, got 5"),
        (_with(in_channels=None), "must announce in_channels=4"),
        (_with(scale_factor=3), "must announce a scale_factor of 2, 1 or 0.5, got 3"),
        (partial(DCGANUp, kernel_size=4, stride=1, padding=0), "DCGANUp must announce a scale_factor .* got null"),
        (lambda in_channels, out_channels: "x", 'made "x"; a factory must make an nn.Module'),
        (lambda channels: Plain(channels, channels), r"can't be made with \(4, 6\)"),
        (
            Greedy,
            r'Greedy: options must be a tuple of some of norm, activation, first, context, got \["norm", "labels"\]',
        ),
        (Liar, r"Liar can't be made with \(4, 6, norm=...\)"),
        (partial(nn.Conv2d, kernel_size=1), "Conv2d must announce"),
    ],
)
def test_make_block_refuses_what_does_not_fit(factory, message):
    with pytest.raises(BlockError, match=message):
        make_block(factory, 4, 6, norm="batch", activation="relu")
    for channels in ((4, 6), (4,)):
        with pytest.raises(BlockError):
            check_block(factory, *channels)


def test_a_block_that_can_only_be_built_without_gradients_is_refused():
    class Scaled(DCGANUp):
        def __init__(self, in_channels, out_channels):
            super().__init__(in_channels, out_channels)
            self.convolution.weight *= 0.5  # torch refuses this for whoever builds it

    with pytest.raises(BlockError, match="can't be made with .*in-place operation"):
        check_block(Scaled)


@pytest.mark.parametrize("name", BUILT_IN)
def test_block_scale_agrees_with_the_block(name):
    block = BLOCKS[name](8, 8)
    assert block_scale(BLOCKS[name], 8, 8) == block.scale_factor
    y = block(torch.randn(2, 8, 8, 4))
    assert y.shape[2:] == (8 * block.scale_factor, 4 * block.scale_factor)


def test_block_scale_builds_where_an_argument_may_change_it_and_costs_no_memory_or_random_numbers():
    before = torch.get_rng_state()
    assert block_scale(partial(DCGANUp, kernel_size=3, stride=1), 4, 4) == 1
    assert block_scale(partial(DCGANDown, kernel_size=3, stride=1), 4, 4) == 1
    assert block_scale(Plain, 1_000_000, 1_000_000) == 1  # 36 TB, were it made
    assert block_scale(partial(DCGANUp, norm="group"), 4, 4) == 2
    with pytest.raises(BlockError, match="scale_factor"):
        block_scale(partial(DCGANUp, kernel_size=4, stride=1, padding=0), 4, 4)
    assert torch.equal(before, torch.get_rng_state())


def test_an_image_block_of_ones_own_needs_few_lines():
    class Mine(ImageBlock):
        scale_factor = 1.0
        options = ("activation",)

        def __init__(self, in_channels, out_channels, *, activation="relu"):
            super().__init__(in_channels, out_channels)
            self.convolution = nn.Conv2d(in_channels, out_channels, 1)
            self.activation = make_activation(activation)

        def forward(self, x):
            self.check_input(x)
            return self.activation(self.convolution(x))

    check_block(Mine)
    with pytest.raises(ShapeError, match="Mine wants"):
        Mine(3, 4)(torch.zeros(1, 4, 2, 2))


# --- check_block sees every broken promise ---------------------------------------------------------------------


class WrongShape(Plain):
    def forward(self, x):
        return self.convolution(x)[:, :, 1:]


class OneSizeOnly(Plain):
    def forward(self, x):
        return self.convolution(x) + torch.zeros(8, 8).to(x)


class Upcast(Plain):
    def forward(self, x):
        return self.convolution(x).float()


class OneDtypeOnly(Plain):
    def forward(self, x):
        return self.convolution(x.float())


class OtherDevice(Plain):
    def forward(self, x):
        return self.convolution(x) + torch.zeros(x.shape[2:], dtype=x.dtype, device="cpu")


class MovedAway(Plain):
    def forward(self, x):
        return self.convolution(x).cpu()


class MadeOnTheCPU(Plain):
    def forward(self, x):
        return torch.zeros_like(self.convolution(x), device="cpu") + 0 * float(x.dim())


class DeadParameter(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.unused = nn.Parameter(torch.ones(3))


class ZeroForEver(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return super().forward(x) + 0 * self.scale


class Detached(Plain):
    def forward(self, x):
        return super().forward(x.detach())


class Infinite(Plain):
    def forward(self, x):
        return super().forward(x) + (0 * x[:, :1]).sqrt()


class HiddenState(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.register_buffer("secret", torch.randn(1), persistent=False)

    def forward(self, x):
        return super().forward(x) + self.secret


class HiddenStatistics(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.mean = 0.0

    def forward(self, x):
        if self.training and x.device.type != "meta":
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean().item()
        return super().forward(x) - self.mean


class SizedByUse(Plain):
    def forward(self, x):
        if "seen" not in dict(self.named_buffers()):
            self.register_buffer("seen", torch.ones(1).to(x))
        return super().forward(x) * self.seen


class BatchDependent(Plain):
    def forward(self, x):
        return super().forward(x - x.mean(dim=0, keepdim=True))


class Noisy(Plain):
    def forward(self, x):
        return super().forward(x) + 0.1 * torch.randn_like(x[:, :1])


class CrashesOnOdd(Plain):
    def forward(self, x):
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // 2, 2, w // 2, 2).reshape(x.shape)
        return super().forward(y)


class RoundsOddDown(Plain):
    def forward(self, x):
        y = super().forward(x)
        return y[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]


class Tuple(Plain):
    def forward(self, x):
        return super().forward(x), x


class InPlace(Plain):
    def forward(self, x):
        return super().forward(x.mul_(2))


class InPlaceInEvalOnly(Plain):
    def forward(self, x):
        return super().forward(x.detach().mul_(2) if not self.training else 2 * x)


class NoMeta(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.first = self.convolution.weight.flatten()[0].item()


class TakesNoOptions(Plain):
    options = ("activation",)


class CrashesWithOptions(Plain):
    options = ("norm",)

    def __init__(self, in_channels, out_channels, norm="batch"):
        super().__init__(in_channels, out_channels)
        self.norm = make_norm(norm, out_channels + (norm == "group"))

    def forward(self, x):
        return self.norm(super().forward(x))


class IgnoresContext(Contextual):
    def forward(self, x, context=None):
        return super().forward(x, None if context is None else 0 * context)


class MixesContexts(Contextual):
    def forward(self, x, context=None):
        return super().forward(x, None if context is None else context - context.mean(0))


class NoisyContext(Contextual):
    def forward(self, x, context=None):
        return super().forward(x, None if context is None else context + torch.randn_like(context))


class ChangesContext(Contextual):
    def forward(self, x, context=None):
        return super().forward(x, None if context is None else context.mul_(2))


class ContextEnlarges(Contextual):
    def forward(self, x, context=None):
        y = super().forward(x, context)
        return y if context is None else F.interpolate(y, scale_factor=2)


class ContextUpcasts(Contextual):
    def forward(self, x, context=None):
        y = super().forward(x, context)
        return y if context is None else y.float()


class TakesNoContext(Plain):
    options = ("context",)


BROKEN = [
    (IgnoresContext, "with context=6 breaks the promise of gradients: none reaches .*its context"),
    (MixesContexts, "with context=6 breaks the promise of batch independence"),
    (NoisyContext, "with context=6 breaks the promise of no noise"),
    (ChangesContext, "with context=6 breaks the promise of inputs left alone"),
    (ContextEnlarges, "with context=6 breaks the promise of shape"),
    (ContextUpcasts, "with context=6 breaks the promise of dtype"),
    (TakesNoContext, "with context=6 can't be made with .*context"),
    (WrongShape, "promise of shape"),
    (OneSizeOnly, r"promise of shape: it fails on inputs of shape \(4, 8, 16, 16\)"),
    (Upcast, "promise of dtype: it gives torch.float32 when its weights and input are torch.float64"),
    (OneDtypeOnly, "promise of dtype: it fails"),
    (OtherDevice, "promise of device"),
    (MovedAway, "promise of device"),
    (MadeOnTheCPU, "promise of device: it gives a tensor on cpu"),
    (NoMeta, "promise of the meta device: it can't be built"),
    (DeadParameter, "promise of gradients: none reaches unused"),
    (ZeroForEver, "promise of gradients: none reaches scale"),
    (Detached, "promise of gradients: none reaches its input"),
    (Infinite, "promise of gradients: .*not finite"),
    (HiddenState, "promise of state: .*other outputs"),
    (HiddenStatistics, "promise of state: .*other outputs"),
    (SizedByUse, "promise of state: a fresh block refuses"),
    (BatchDependent, "promise of batch independence"),
    (Noisy, "promise of no noise"),
    (CrashesOnOdd, "promise of odd sizes: it fails"),
    (RoundsOddDown, r"promise of odd sizes: .* it makes \(4, 12, 6, 6\)"),
    (Tuple, "promise of one tensor: it gives .* not one tensor"),
    (InPlace, "promise of inputs left alone"),
    (InPlaceInEvalOnly, "promise of inputs left alone"),
    (TakesNoOptions, "can't be made with .*activation="),
    (CrashesWithOptions, "promise of its options"),
]


@pytest.mark.parametrize(("factory", "promise"), BROKEN, ids=[factory.__name__ for factory, _ in BROKEN])
def test_check_block_catches_a_block_that_breaks_one_promise(factory, promise):
    with pytest.raises(BlockError, match=promise) as caught:
        check_block(factory)
    assert factory.__name__ in str(caught.value) and "\n" not in str(caught.value)


class Gated(Plain):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.shortcut(x) + self.gate * super().forward(x)


class EqualOnly(Plain):
    def __init__(self, in_channels, out_channels):
        assert in_channels == out_channels
        super().__init__(in_channels, out_channels)


class RefusesOdd(Plain):
    def forward(self, x):
        if x.shape[2] % 2 or x.shape[3] % 2:
            raise ShapeError(f"RefusesOdd wants even sizes, got {tuple(x.shape)}.")
        return super().forward(x)


def pooled(in_channels, out_channels):
    block = nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.Dropout(0.1), nn.AvgPool2d(2))
    block.in_channels, block.out_channels, block.scale_factor = in_channels, out_channels, 0.5
    return block


class Looks(Plain):
    """Branches on a value, which the meta device can't."""

    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else super().forward(x * 1)


@pytest.mark.parametrize("factory", [Plain, Contextual, Gated, EqualOnly, RefusesOdd, pooled, partial(Plain), Looks])
def test_check_block_accepts_strangers_that_keep_every_promise(factory):
    assert check_block(factory) is None


def test_check_block_leaves_the_random_state_as_it_was():
    before = torch.get_rng_state()
    check_block(Plain)
    with pytest.raises(BlockError):
        check_block(Noisy)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_the_options_of_every_block_by_name_keep_the_contract(name):
    options = [f"{each.name}={each.default}" for each in BLOCKS.options(name).values()]
    made = BLOCKS.make(f"{name}({','.join(options)})")
    plain, bound = (factory(8, 8) for factory in (BLOCKS[name], made))
    assert [value.shape for value in plain.state_dict().values()] == [
        value.shape for value in bound.state_dict().values()
    ]
    assert BLOCKS.make(name) is BLOCKS[name]


def test_a_block_by_name_with_options_is_bound_and_checked():
    factory = BLOCKS.make("dcgan-up(kernel_size=6,padding=2)")
    check_block(factory)
    assert factory(4, 2).convolution.kernel_size == (6, 6)
    with BLOCKS.temporarily("mine", partial(DCGANUp, kernel_size=6)):
        assert BLOCKS.make("mine(padding=2)")(4, 2).convolution.kernel_size == (6, 6)
    for option in ("norm=none", "activation=relu", "first=true", "context=3", "slope=0.1"):  # the network gives them
        with pytest.raises(ConfigError, match="has no option"):
            BLOCKS.make(f"dcgan-up({option})")


def test_a_module_is_no_initialisation():
    with (
        INITIALISATIONS.temporarily("mine", nn.Identity),
        pytest.raises(ConfigError, match="initialisation mine makes a module \\(Identity\\), not a function of one"),
    ):
        initialise(nn.Linear(1, 1), "mine")


def test_check_block_takes_a_name_with_options():
    check_block("dcgan-up")
    with pytest.raises(UnknownNameError, match='Unknown block "dcgan-upp"'):
        check_block("dcgan-upp")
