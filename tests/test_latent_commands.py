"""What the latent commands draw, beyond what tests/test_explore.py asks of them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError
from ganzoo.explore import arithmetic, directions, walk
from ganzoo.explore.arithmetic import MINUS


def _drawn(text: str) -> np.ndarray:
    picture = Image.new("L", (40, 40))
    ImageDraw.Draw(picture).text((20, 20), text, fill=255, font=ImageFont.load_default(24), anchor="mm")
    return np.asarray(picture)


def test_the_sign_of_a_difference_is_one_that_the_font_has():
    missing = _drawn("\U0010ffff")  # no character at all: how the font draws what it lacks
    assert _drawn(MINUS).any() and not np.array_equal(_drawn(MINUS), missing)


def test_groups_that_leave_nothing_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["arithmetic", "fashion-mnist", "--plus", "1,2", "--minus", "2,1"]) == 2
    assert "take each other away" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_picture_of_arithmetic_shows_nothing_of_what_is_transparent():
    class Red(torch.nn.Module):
        def forward(self, latents):
            return torch.tensor([1.0, -1, -1, -1]).view(1, 4, 1, 1).expand(len(latents), 4, 8, 8)

    picture = arithmetic(ganzoo.GAN(Red(), latent_size=4), [(1, [0])]).picture
    assert (np.ptp(np.asarray(picture), axis=2) == 0).all()  # white, and the black of the sign


def test_arithmetic_of_a_conditional_model_wants_its_class():
    gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    with pytest.raises(ConfigError, match="label="):
        arithmetic(gan, [(1, [1])])
    one, again = (arithmetic(gan, [(1, [1])], label=3).images for _ in range(2))
    assert torch.equal(one, again)


def test_groups_are_numbers_of_samples_in_a_list_or_a_tensor_and_anything_else_is_said():
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    ints, tensor = (arithmetic(gan, [(1, numbers)]).latent for numbers in ([0, 3], torch.tensor([0, 3])))
    assert torch.equal(ints, tensor)
    for group in (1, (1, 2), (1, []), (2, [1]), (1, [-1]), (1, [1.5]), (1, [True]), (1, "12"), (1, torch.ones(2))):
        with pytest.raises(ConfigError, match="a group must be"):
            arithmetic(gan, [group])
    for groups in ([], 3, None):
        with pytest.raises(ConfigError, match="groups must hold"):
            arithmetic(gan, groups)


def test_a_strength_that_is_no_number_is_said():
    with pytest.raises(ConfigError, match='strength must be a float, got "4"'):
        directions(ganzoo.from_pretrained("fashion-mnist"), 2, "4")


def test_a_mild_truncation_leaves_what_it_does_not_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, more in {"plain": [], "wide": ["--truncation", "50"], "cut": ["--truncation", "1.5"]}.items():
        assert run(["sample", "fashion-mnist", "--count", "4", "--output", f"{name}.png", *more]) == 0
    plain, wide, cut = ((tmp_path / f"{name}.png").read_bytes() for name in ("plain", "wide", "cut"))
    assert plain == wide != cut


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf"])
def test_a_truncation_out_of_range_is_one_line(limit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["sample", "fashion-mnist", "--truncation", limit]) == 2
    error = capsys.readouterr().err
    assert "--truncation must be a number above 0" in error and len(error.strip().splitlines()) == 1


def test_points_may_be_an_int_of_numpys():
    assert len(walk(ganzoo.from_pretrained("fashion-mnist"), np.int64(2), 1)) == 2
