"""Augmentations: the identity at strength 0, what each does at strength 1, gradients, reproducible draws."""

import pytest
import torch

from ganzoo import augment as module
from ganzoo.augment import AUGMENTATIONS, AdaptiveAugmentation, check_augmentation
from ganzoo.errors import ConfigError, ShapeError, UnknownNameError

NAMES = ["color", "translation", "cutout"]  # those of a strength
SHAPES = [(6, 3, 16, 16), (6, 1, 9, 14), (2, 4, 8, 8), (1, 2, 5, 3)]


def batch(shape=(6, 3, 16, 16), dtype=torch.float32):
    return (torch.rand(shape) * 2 - 1).to(dtype)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_strength_0_is_exactly_the_identity(name, shape, dtype):
    images = batch(shape, dtype)
    assert torch.equal(AUGMENTATIONS[name](images, seeded(), strength=0.0), images)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_shape_and_dtype_are_kept_and_the_input_is_not_touched(name, shape, dtype):
    images = batch(shape, dtype)
    before = images.clone()
    made = AUGMENTATIONS[name](images, seeded(), strength=1.0)
    assert made.shape == images.shape and made.dtype == dtype and made.isfinite().all()
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_state_gives_the_same_images(name):
    images = batch()
    one, again, other = (AUGMENTATIONS[name](images, seeded(seed), strength=1.0) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_generator_torchs_global_seed_rules(name):
    images = batch()
    torch.manual_seed(5)
    one = AUGMENTATIONS[name](images, strength=1.0)
    torch.manual_seed(5)
    assert torch.equal(one, AUGMENTATIONS[name](images, strength=1.0))


@pytest.mark.parametrize("name", NAMES)
def test_each_image_of_a_batch_gets_its_own_draw(name):
    same = batch((1, 3, 16, 16)).expand(16, -1, -1, -1)
    made = AUGMENTATIONS[name](same, seeded(), strength=1.0)
    assert len({each.numpy().tobytes() for each in made}) > 8


@pytest.mark.parametrize("name", NAMES)
def test_gradients_flow_and_are_right(name):
    images = batch((2, 3, 6, 6), torch.float64).requires_grad_()
    made = AUGMENTATIONS[name](images, seeded(), strength=1.0)
    (gradient,) = torch.autograd.grad(made.sum(), images)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    assert torch.autograd.gradcheck(lambda x: AUGMENTATIONS[name](x, seeded(), strength=1.0), images)


@pytest.mark.parametrize("name", NAMES)
def test_memory_format_does_not_matter(name):
    images = batch()
    other = images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        AUGMENTATIONS[name](other, seeded(), strength=1.0),
        AUGMENTATIONS[name](images, seeded(), strength=1.0),
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["translation", "cutout"])
def test_what_is_not_kept_is_middle_grey_and_gets_no_gradient(name):
    images = torch.full((32, 1, 16, 16), 0.7, requires_grad=True)
    made = AUGMENTATIONS[name](images, seeded(), strength=1.0)
    assert set(made.unique().tolist()) == {0.0, images[0, 0, 0, 0].item()}
    kept = (made != 0).sum((1, 2, 3))
    (gradient,) = torch.autograd.grad(made.sum(), images)
    assert set(gradient.unique().tolist()) == {0.0, 1.0}  # no pixel is used twice
    assert torch.equal(gradient.sum((1, 2, 3)), kept.float())


@pytest.mark.parametrize("strength, furthest", [(1.0, 2), (0.5, 1)])
def test_translation_shifts_each_image_by_whole_pixels_up_to_an_eighth(strength, furthest):
    images = torch.arange(1.0, 16 * 16 + 1).reshape(1, 1, 16, 16).expand(64, 1, 16, 16)
    moved = AUGMENTATIONS["translation"](images, seeded(), strength=strength)
    shifts = set()
    for image in moved:
        row, column = (int(place) for place in (image[0] == 8 * 16 + 8 + 1).nonzero()[0])  # was at (8, 8)
        down, right = row - 8, column - 8
        shifts.add((down, right))
        wanted = torch.zeros(16, 16)
        source = images[0, 0, max(0, -down) : 16 - max(0, down), max(0, -right) : 16 - max(0, right)]
        wanted[max(0, down) : 16 - max(0, -down), max(0, right) : 16 - max(0, -right)] = source
        assert torch.equal(image[0], wanted)
    assert {down for down, _ in shifts} == {right for _, right in shifts} == {*range(-furthest, furthest + 1)}
    assert len(shifts) > 3 * (2 * furthest + 1) - 3  # rows and columns are drawn apart


def test_a_known_shift_by_hand(monkeypatch):
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, generator, device: torch.full(shape, high - 1))
    image = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]).reshape(1, 1, 4, 4)
    wanted = torch.tensor([[0.0, 0, 0, 0], [0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]])
    assert torch.equal(AUGMENTATIONS["translation"](image)[0, 0], wanted)  # an eighth of 4, rounded: 1


@pytest.mark.parametrize("strength, side", [(1.0, 8), (0.625, 5), (0.5, 4), (0.25, 2)])
def test_cutout_is_a_square_of_half_the_size_cut_at_the_border(strength, side):
    holes = AUGMENTATIONS["cutout"](torch.ones(2000, 3, 16, 16), seeded(), strength=strength) == 0
    assert torch.equal(holes[:, 0], holes[:, 1]) and torch.equal(holes[:, 0], holes[:, 2])
    heights, widths = holes[:, 0].any(2).sum(1), holes[:, 0].any(1).sum(1)
    assert torch.equal(holes[:, 0].sum((1, 2)), heights * widths)  # a full rectangle
    for lengths in (heights, widths):
        assert lengths.max() == side and lengths.min() >= side // 2
    assert holes[:, 0].any(0).all()  # no pixel is spared always
    for places in (holes[:, 0].any(2), holes[:, 0].any(1)):  # both ends are alike
        assert torch.equal(places.unique(dim=0), places.flip(1).unique(dim=0))


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_color_is_an_affine_map_of_each_image_within_its_bounds(strength):
    images = batch((64, 1, 8, 8))
    made = AUGMENTATIONS["color"](images, seeded(), strength=strength)
    flat, altered = images.flatten(1), made.flatten(1)
    brightness = altered.mean(1) - flat.mean(1)
    contrast = altered.std(1) / flat.std(1)
    assert 0.4 * strength < brightness.abs().max() <= 0.5 * strength
    assert 0.4 * strength < (contrast - 1).abs().max() <= 0.5 * strength + 1e-5
    restored = (altered - altered.mean(1, keepdim=True)) / contrast[:, None] + flat.mean(1, keepdim=True)
    torch.testing.assert_close(restored, flat, rtol=1e-4, atol=1e-5)


def test_saturation_leaves_grey_grey_and_scales_colours():
    grey = batch((32, 1, 8, 8)).expand(-1, 3, -1, -1)
    made = AUGMENTATIONS["color"](grey, seeded(), strength=1.0)
    torch.testing.assert_close(made[:, 0], made[:, 2])
    colour = batch((256, 3, 4, 4), torch.float64)
    made = AUGMENTATIONS["color"](colour, seeded(), strength=1.0)

    def distances(images):
        return (images - images.mean(1, keepdim=True)).flatten(1).norm(dim=1)

    factors = distances(made) / distances(colour)  # saturation in 0..2, times contrast in 0.5..1.5
    assert factors.min() < 0.1 and 2 < factors.max() < 3


@pytest.mark.parametrize("name", NAMES)
def test_made_by_its_name_it_has_the_strength_asked_for(name):
    images = batch()
    made = AUGMENTATIONS.make(f"{name}(strength=0.5)")
    assert torch.equal(made(images, seeded()), AUGMENTATIONS[name](images, seeded(), strength=0.5))
    assert AUGMENTATIONS.make(name) is AUGMENTATIONS[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_bad_strength_names_itself(name, strength):
    with pytest.raises(ConfigError, match="strength of an augmentation must be 0 to 1"):
        AUGMENTATIONS[name](batch(), strength=strength)
    with pytest.raises(ConfigError, match=f"augmentations.0.: {name}: strength must be at least 0 and at most 1"):
        AUGMENTATIONS.make(f"{name}(strength={strength})", "augmentations[0]")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)])
def test_bad_images_name_their_shape_and_dtype(name, images):
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got"):
        AUGMENTATIONS[name](images, strength=1.0)


def test_an_unknown_name_has_a_suggestion():
    with pytest.raises(UnknownNameError, match='Did you mean "color"'):
        AUGMENTATIONS.make("colour")


@pytest.mark.parametrize("text", [*AUGMENTATIONS, "ada(start=1)", "ada(start=0.5)"])
def test_every_augmentation_keeps_the_contract(text):
    check_augmentation(text)


def noise(images, random=None):
    return images + torch.rand(images.shape)


def in_place(images, random=None):
    with torch.no_grad():
        images += 1
    return images * 1


@pytest.mark.parametrize(
    "broken, said",
    [
        (lambda images, random=None: images[:, :, 1:], "shape"),
        (lambda images, random=None: images.double(), "type and shape"),
        (lambda images, random=None: images.detach(), "no gradient"),
        (lambda images, random=None: images.round() * 1.0, "no gradient"),
        (lambda images, random=None: images / 0, "NaN"),
        (lambda images, random=None: images - images.mean(), "others of its batch"),
        (noise, "draw from `random`"),
        (in_place, "in place"),
    ],
)
def test_an_augmentation_that_breaks_the_contract_is_caught(broken, said):
    with pytest.raises(ConfigError, match=said):
        check_augmentation(broken)


def ada(**options):
    listed = ",".join(f"{name}={value}" for name, value in options.items())
    return AUGMENTATIONS.make(f"ada({listed})" if listed else "ada")


def test_ada_adapts_its_probability_to_the_sign_of_real_logits():
    augmentation = ada(target=0.5, length=100)
    for _ in range(8):
        augmentation.end_step(1.0, 4, None)  # overfitting
    assert augmentation.figures() == {"ada_p": pytest.approx(0.32)}
    for sign in (0.5, 0.5, 0.4, 0.4):
        augmentation.end_step(sign, 4, None)
    assert augmentation.p == pytest.approx(0.16)
    for _ in range(20):
        augmentation.end_step(-1.0, 4, None)
    assert augmentation.p == 0
    for _ in range(80):
        augmentation.end_step(1.0, 4, None)
    assert augmentation.p == 1


def test_ada_s_state_is_checked():
    augmentation, state = ada(start=0.5), {"p": 0.25, "signs": 1.5, "images": 64, "steps": 2}
    augmentation.load_state_dict(state)
    assert augmentation.state_dict() == state
    for wrong in ({"p": 2}, {"p": float("nan")}, {"signs": 3}, {"steps": 4}, {"images": -1}, {"p": "1"}, {"q": 1}):
        with pytest.raises(ValueError):
            augmentation.load_state_dict({**state, **wrong})


@pytest.mark.parametrize("shape", SHAPES)
def test_ada_changes_no_bit_at_0_and_its_share_of_the_images_at_p(shape):
    assert torch.equal(ada()(images := batch(shape), seeded()), images)
    images = batch((400, 1, 6, 6))
    changed = (ada(start=0.02)(images, seeded()) != images).flatten(1).any(1).float().mean()
    assert 0.08 < float(changed) < 0.25  # of a dozen changes with 2% each, two of which may leave an image as it is


def test_each_change_of_ada_has_probability_p_and_the_two_rotations_have_it_together(monkeypatch):
    geometry, recolor, chosen = module._geometry, module._recolor, []
    monkeypatch.setattr(module, "_geometry", lambda drawn, *rest: chosen.append(drawn) or geometry(drawn, *rest))
    monkeypatch.setattr(
        module, "_recolor", lambda images, drawn, *rest: chosen.append(drawn) or recolor(images, drawn, *rest)
    )
    ada(start=0.4)(batch((4000, 1, 2, 2)), seeded())
    drawn = torch.cat(chosen)
    shares = drawn.double().mean(1)
    shares[[4, 6]] = (drawn[4] | drawn[6]).double().mean()
    torch.testing.assert_close(shares, torch.full((13,), 0.4).double(), rtol=0, atol=0.03)
    assert (drawn[4] != drawn[6]).any()  # each by a draw of its own


def test_ada_s_changes_of_geometry_have_the_sizes_that_it_tells():
    values, normal = torch.tensor([0.4, 0.3, 0.95, 0, 0.75, 0, 0.25, 0]), torch.tensor([1, 2, 0.5, -1])
    alone = torch.eye(8, dtype=torch.bool)  # image i undergoes change i
    values, normal = (each.double()[:, None].expand(-1, 8) for each in (values, normal))
    wanted = [
        [[-1, 0, 0], [0, 1, 0]],  # mirrored: 0.4 is under a half
        [[0, -1, 0], [1, 0, 0]],  # one quarter turn: 0.3 is in the second quarter
        [[1, 0, 4], [0, 1, 1]],  # 0.9 and 0.6 of an eighth of 32 and of 16, rounded
        [[2**0.2, 0, 0], [0, 2**0.2, 0]],  # one standard deviation
        [[0, -1, 0], [1, 0, 0]],  # 0.75: half of the way from no turn to half a turn
        [[2**0.4, 0, 0], [0, 2**-0.4, 0]],  # two standard deviations
        [[0, 1, 0], [-1, 0, 0]],
        [[1, 0, 2], [0, 1, -2]],  # half an eighth of 32, and one of 16 the other way
    ]
    made = module._geometry(alone, values, normal, 16, 32)
    torch.testing.assert_close(made, torch.tensor(wanted).double(), rtol=0, atol=1e-6)
    other = module._geometry(alone, values + 0.2, normal, 16, 32)[0]
    assert other.tolist() == [[1, 0, 0], [0, 1, 0]]  # 0.6 does not mirror


def test_ada_s_changes_of_colour_have_the_sizes_that_it_tells():
    colour = torch.tensor([0.6, 0, -0.3]).view(1, 3, 1, 1)  # its luma is 0.1
    values, normal = torch.tensor([0, 0, 0.4, 0.5 + 1 / 3, 0]), torch.tensor([1.0, 2, 1])
    values, normal = (each.double()[:, None].expand(-1, 5) for each in (values, normal))
    alone = torch.eye(5, dtype=torch.bool)
    wanted = [
        colour + 0.2,  # brightness, one standard deviation
        colour * 2,  # contrast, two of 0.5 octaves
        colour - 0.2,  # its luma is -0.1
        colour.roll(1, 1),  # hue by a third of a turn
        0.1 + 2 * (colour - 0.1),  # saturation, one octave
    ]
    torch.testing.assert_close(module._recolor(colour.expand(5, -1, -1, -1), alone, values, normal), torch.cat(wanted))
    assert torch.equal(module._recolor(colour, alone[:, 2:3], values[:, :1] + 0.2, normal[:, :1]), colour)


@pytest.mark.parametrize("shape", [(2, 3, 6, 6), (2, 1, 5, 4)])
def test_ada_can_be_differentiated_twice(shape):
    images = batch(shape, torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda given: ada(start=1)(given, seeded()).square(), images)


def test_a_mirrored_quarter_turn_is_exact():
    from ganzoo.augment import _transform

    image = torch.arange(16.0).view(1, 1, 4, 4)
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]).double()
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0]]]).double()
    assert torch.equal(_transform(image, mirror), image.flip(3))
    assert torch.equal(_transform(image, quarter), image.rot90(1, (2, 3)))
    shift = torch.tensor([[[1.0, 0, 1], [0, 1, 0]]]).double()
    assert torch.equal(_transform(image, shift)[..., :3], image[..., 1:])


def test_hue_turns_colours_about_grey_and_saturation_keeps_luma():
    from ganzoo.augment import _recolor

    chosen, nothing = torch.tensor([[False], [False], [False], [True], [True]]), torch.zeros(3, 1).double()
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    third = torch.full((5, 1), 0.5 + 1 / 3).double()  # 120 degrees
    torch.testing.assert_close(_recolor(red, chosen, third, nothing), red.roll(1, 1))
    strong = _recolor(red, chosen, third, nothing + 1)
    assert float(strong.mean()) == pytest.approx(1 / 3)
    grey = torch.full((1, 3, 1, 1), 0.3)
    torch.testing.assert_close(_recolor(grey, chosen, third, nothing + 1), grey)


@pytest.mark.parametrize("length", [0, -5, 1.5])
def test_ada_wants_images_to_rise_in(length):
    with pytest.raises(ConfigError, match="length must be an int of at least 1"):
        AdaptiveAugmentation(length=length)
