"""Tensors to pictures and back, exactly; grids, animations, files that are there whole or not at all."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.errors import ConfigError, DataError, ShapeError
from ganzoo.images import animate, from_pil, grid, save, save_each, to_mode, to_pil, to_uint8, written_here

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def pixels(shape=(2, 3, 4, 5)):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def test_every_grey_level_survives_the_way_to_float_and_back():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = from_pil(to_pil(levels))
    assert floats.min() == -1 and floats.max() == 1
    assert torch.equal(to_uint8(floats), levels)
    assert torch.equal(to_uint8(floats.double()), levels)


@pytest.mark.parametrize(
    "value, level",
    [(-1, 0), (1, 255), (0, 128), (-3.5, 0), (7, 255), (float("inf"), 255), (-float("inf"), 0)]
    + [(level / 127.5 - 1 + shift / 127.5, level) for level in (1, 100, 254) for shift in (-0.49, 0.49)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_rounded_to_the_nearest_level_and_cut_off(value, level, dtype):
    assert to_uint8(torch.full((1, 2, 2), value, dtype=dtype)).unique().tolist() == [level]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    images = (torch.rand(1, 1, 32, 32) * 2 - 1).to(dtype)
    assert torch.equal(to_uint8(images), to_uint8(images.double()))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pil_images_have_the_channels_mode_and_pixels(channels):
    images = pixels((3, channels, 4, 5))
    made = to_pil(images)
    assert [each.mode for each in made] == [MODES[channels]] * 3 and made[0].size == (5, 4)
    for image, wanted in zip(made, images):
        assert np.array_equal(np.array(image).reshape(4, 5, channels), wanted.permute(1, 2, 0).numpy())
    assert torch.equal(to_uint8(from_pil(made)), images)


def test_one_image_makes_a_list_of_one_and_any_tensor_will_do():
    images = torch.rand(3, 6, 4, requires_grad=True)
    assert len(to_pil(images)) == 1
    other = images.detach()[None].to(memory_format=torch.channels_last)
    assert to_pil(other)[0].tobytes() == to_pil(images)[0].tobytes()


@pytest.mark.parametrize("make", [to_uint8, to_pil, grid])
@pytest.mark.parametrize("shape", [(4, 4), (5, 4, 4), (2, 0, 4, 4), (0, 3, 4, 4), (1, 2, 3, 4, 4), (3, 0, 4)])
def test_a_wrong_shape_names_itself(make, shape):
    with pytest.raises(ShapeError, match=rf"1 to 4 channels, not empty, got \({shape[0]}, "):
        make(torch.zeros(shape))


def test_what_is_no_image_tensor_is_refused():
    with pytest.raises(ConfigError, match=r"uint8 in 0\.\.255, got torch.int64"):
        to_pil(torch.zeros(1, 4, 4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="must be a tensor"):
        to_pil("picture.png")


def test_nan_says_which_image_has_it():
    images = torch.zeros(4, 1, 2, 2)
    images[2, 0, 1, 1] = images[3, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match=r"2 image\(s\) hold NaN, the first is number 2"):
        to_pil(images)
    with pytest.raises(DataError, match="number 0"):
        to_pil(images[2])


def test_from_pil_resizes_and_converts():
    red = Image.new("RGB", (8, 4), (255, 0, 0))
    made = from_pil(red, size=(6, 10), channels=1)
    assert made.shape == (1, 1, 6, 10) and made.dtype == torch.float32
    assert from_pil([red, Image.new("L", (3, 3))], size=5).shape == (2, 3, 5, 5)


def test_from_pil_lays_transparency_on_white():
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (from_pil(clear, channels=3) == 1).all() and (from_pil(clear, channels=1) == 1).all()
    assert from_pil(clear).shape[1] == 4
    assert (from_pil(Image.new("LA", (2, 2), (0, 0)), channels=3) == 1).all()
    palette = Image.new("P", (2, 2))
    palette.info["transparency"] = 0
    assert (from_pil(palette, channels=3) == 1).all()
    half = from_pil(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), channels=3)
    assert to_uint8(half).unique().tolist() == [204]


def test_from_pil_scales_sixteen_bits_down():
    deep = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16))
    assert to_uint8(from_pil(deep)).flatten().tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("level", [0, 257, 32896])
def test_the_transparent_level_of_a_16_bit_png_is_laid_on_the_ground_or_kept(level, tmp_path):
    levels = [0, 257, 258, 32896, 65535]
    Image.fromarray(np.array([levels], dtype=np.uint16)).save(tmp_path / "a.png", transparency=level)
    with Image.open(tmp_path / "a.png") as deep:
        kept, white, black = (to_mode(deep, *options) for options in ((2,), (1,), (1, "black")))
    shown = [(each + 128) // 257 for each in levels]
    assert np.asarray(kept)[0, :, 1].tolist() == [0 if each == level else 255 for each in levels]
    assert np.asarray(white)[0].tolist() == [255 if each == level else grey for each, grey in zip(levels, shown)]
    assert np.asarray(black)[0].tolist() == [0 if each == level else grey for each, grey in zip(levels, shown)]


def test_from_pil_says_what_is_wrong():
    small, large = Image.new("L", (2, 2)), Image.new("L", (3, 2))
    with pytest.raises(ShapeError, match=r"differ in size .*\[\(2, 2\), \(2, 3\)\]; give size="):
        from_pil([small, large])
    with pytest.raises(ShapeError, match="got none"):
        from_pil([])
    with pytest.raises(ConfigError, match="channels must be 1 to 4 or None, got 5"):
        from_pil(small, channels=5)
    for size in (0, -3, (4,), (4, 0), 2.5):
        with pytest.raises(ConfigError, match="size must be"):
            from_pil(small, size=size)


@pytest.mark.parametrize("count, columns, rows", [(1, 1, 1), (2, 2, 1), (3, 2, 2), (8, 3, 3), (16, 4, 4), (21, 5, 5)])
def test_a_grid_is_about_square(count, columns, rows):
    assert grid(pixels((count, 3, 4, 5)), padding=2).size == (
        columns * 5 + (columns + 1) * 2,
        rows * 4 + (rows + 1) * 2,
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_every_image_lies_in_its_place_and_the_rest_is_background(channels, padding):
    images = pixels((5, channels, 4, 6))
    sheet = grid(images, columns=3, padding=padding, background=77)
    assert sheet.mode == MODES[channels]
    found = np.array(sheet).reshape(sheet.height, sheet.width, channels).copy()
    assert found.shape[:2] == (2 * 4 + 3 * padding, 3 * 6 + 4 * padding)
    ground = np.array([77] * channels if channels in (1, 3) else [77] * (channels - 1) + [255])
    for index, image in enumerate(images):
        top, left = padding + index // 3 * (4 + padding), padding + index % 3 * (6 + padding)
        assert np.array_equal(found[top : top + 4, left : left + 6], image.permute(1, 2, 0).numpy())
        found[top : top + 4, left : left + 6] = ground
    assert (found == ground).all()


def test_a_grid_is_white_keeps_its_columns_and_scales_by_whole_pixels():
    images = pixels((2, 1, 3, 3))
    sheet = grid(images, columns=4, scale=3)
    plain = grid(images, columns=4)
    assert plain.width == 4 * 3 + 5 * 2 and plain.getpixel((0, 0)) == 255
    assert np.array_equal(np.array(sheet), np.array(plain).repeat(3, 0).repeat(3, 1))


def test_a_grid_takes_numpys_integers():
    images, options = pixels((5, 1, 3, 3)), {"columns": 100, "padding": 7, "background": 77, "scale": 2}
    sheet = grid(images, **{name: np.uint8(value) for name, value in options.items()})
    assert np.array_equal(np.array(sheet), np.array(grid(images, **options)))


@pytest.mark.parametrize(
    "options", [{"columns": 0}, {"columns": 2.0}, {"padding": -1}, {"background": 256}, {"scale": 0}, {"scale": True}]
)
def test_a_bad_option_of_a_grid_names_itself(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must be an int from"):
        grid(pixels(), **options)


@pytest.mark.parametrize("name", ["a.png", "A.PNG", "b.webp", "c.bmp", "d.tiff"])
def test_saved_pictures_open_again_with_missing_folders_made(tmp_path, name):
    images = pixels((3, 3, 8, 8))
    path = save(grid(images), tmp_path / "new" / "deep" / name)
    with Image.open(path) as opened:
        assert opened.size == grid(images).size
        if path.suffix.lower() != ".webp":
            assert np.array_equal(np.array(opened), np.array(grid(images)))
    assert os.listdir(path.parent) == [name]


def test_tensors_are_saved_as_a_picture_or_a_grid(tmp_path):
    images = pixels((4, 1, 6, 6))
    for image, size in ((images, grid(images).size), (images[0], (6, 6))):
        with Image.open(save(image, tmp_path / "x.png")) as opened:
            assert opened.size == size


def test_an_unknown_ending_has_a_suggestion_and_nothing_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r'"\.pgn" is an unsupported ending\. Did you mean "\.png"'):
        save(Image.new("L", (2, 2)), tmp_path / "new" / "x.pgn")
    with pytest.raises(ConfigError, match=r"x: a picture's name needs an ending\. Known: \.png,"):
        save(Image.new("L", (2, 2)), tmp_path / "new" / "x")
    with pytest.raises(ConfigError, match=r"can't be a JPEG .* a \.png takes every picture"):
        save(pixels((1, 4, 4, 4)), tmp_path / "new" / "x.jpg")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["x.webp", "x.gif", "x.jpg"])
def test_more_pixels_than_a_format_counts_are_said_and_nothing_is_made(tmp_path, name):
    tall = Image.new("L", (1, 70_000))
    with pytest.raises(ConfigError, match=r"x\.\w+ can't be a \w+ .* a \.png takes every picture"):
        save(tall, tmp_path / name)
    assert not any(tmp_path.iterdir())
    assert Image.open(save(tall, tmp_path / "x.png")).size == tall.size


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "x.png", tmp_path / "folder.png"):
        with pytest.raises(DataError, match="can't be written") as caught:
            save(Image.new("L", (2, 2)), path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


@pytest.mark.parametrize("write", [lambda image, path: save(image, path), lambda image, path: animate([image], path)])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, write):
    path = tmp_path / "x.gif"
    write(Image.new("L", (2, 2)), path)
    before = path.read_bytes()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # writes beyond fail as on a full disk
    try:
        with pytest.raises(DataError, match=r"can't be written .*File too large"):
            write(noise, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.gif"]


def test_who_is_reading_the_old_file_goes_on_reading_it(tmp_path):
    path = save(Image.new("L", (2, 2), 0), tmp_path / "x.png")
    before = path.read_bytes()
    with path.open("rb") as reader:
        save(Image.new("L", (2, 2), 200), path)
        assert reader.read() == before != path.read_bytes()


def test_a_gif_has_its_frames_its_speed_and_its_loop(tmp_path):
    frames = [torch.full((1, 6, 8), value) for value in (-1.0, 0.0, 1.0)]
    with Image.open(animate(iter(frames), tmp_path / "new" / "x.gif", frames_per_second=20)) as movie:
        assert (movie.n_frames, movie.size, movie.info["loop"], movie.info["duration"]) == (3, (8, 6), 0, 50)
        levels = []
        for index in range(3):
            movie.seek(index)
            levels.append(movie.convert("L").getpixel((0, 0)))
    assert levels == [0, 128, 255]
    with Image.open(animate(frames, tmp_path / "once.gif", loop=False)) as movie:
        assert movie.n_frames == 3 and "loop" not in movie.info


def test_a_gif_shows_transparent_images_on_white(tmp_path):
    frames = []
    for place in (0, 2, 4):  # a black dot that moves over black, of which hardly anything is seen
        frame = torch.cat([torch.full((3, 6, 6), -1.0), torch.full((1, 6, 6), -0.99)])
        frame[3, 2, place] = 1
        frames.append(frame)
    with Image.open(animate(frames, tmp_path / "x.gif")) as movie:
        for index, place in enumerate((0, 2, 4)):
            movie.seek(index)
            shown = np.asarray(movie.convert("L"))
            assert [*zip(*np.nonzero(shown < 128))] == [(2, place)] and (np.sort(shown.flatten())[1:] > 250).all()
    with Image.open(save(torch.stack(frames), tmp_path / "grid.gif")) as sheet:
        assert (np.asarray(sheet.convert("L")) < 128).sum() == 3
    assert written_here((tmp_path / "grid.gif").read_bytes()) == "sheet"


def test_a_gif_is_as_fast_as_its_hundredths_of_a_second_allow(tmp_path):
    for speed, milliseconds in ((50, 20), (45, 20), (34, 30), (25, 40), (12, 80)):
        frames = [torch.full((1, 6, 8), value) for value in (-1.0, 1.0)]
        with Image.open(animate(frames, tmp_path / "x.gif", frames_per_second=speed)) as movie:
            assert movie.info["duration"] == milliseconds


def test_animations_take_pil_images_batches_and_webp(tmp_path):
    batches = [pixels((4, 3, 5, 5)) for _ in range(3)]
    with Image.open(animate(batches, tmp_path / "x.webp")) as movie:
        assert movie.n_frames == 3 and movie.size == grid(batches[0]).size
    with Image.open(animate([grid(each) for each in batches], tmp_path / "x.gif")) as movie:
        assert movie.n_frames == 3


def test_a_bad_animation_says_why_and_writes_nothing(tmp_path):
    frame = torch.zeros(1, 4, 4)
    for frames, name, speed, error, words in (
        ([], "x.gif", 10, ConfigError, "needs one frame or more"),
        ([frame, torch.zeros(1, 4, 5)], "x.gif", 10, ShapeError, r"frame 1 is \(5, 4\)"),
        ([frame], "x.mp4", 10, ConfigError, r'"\.mp4" is an unsupported ending'),
        ([frame], "x.gif", 0, ConfigError, "frames_per_second must be at least 0.1 and at most 50, got 0"),
        ([frame], "x.gif", float("nan"), ConfigError, "frames_per_second must be"),
        ([frame], "x.gif", "fast", ConfigError, "frames_per_second must be a float"),
    ):
        with pytest.raises(error, match=words):
            animate(frames, tmp_path / name, frames_per_second=speed)
    assert os.listdir(tmp_path) == []


def test_images_stream_into_a_folder_with_one_batch_in_memory(tmp_path):
    alive = []

    def batches():
        for index in range(4):
            batch = pixels((3, 3, 4, 4))
            alive.append(batch)
            yield batch
            # by the time the next batch is asked for, this one is on the disk
            assert len(os.listdir(tmp_path / "new")) == 3 * (index + 1)

    assert save_each(batches(), tmp_path / "new") == 12
    assert sorted(os.listdir(tmp_path / "new")) == [f"{index:05d}.png" for index in range(12)]
    for index, image in enumerate(torch.cat(alive)):
        with Image.open(tmp_path / "new" / f"{index:05d}.png") as opened:
            assert torch.equal(to_uint8(from_pil(opened))[0], image)


def test_importing_images_does_not_import_torchvision():
    code = "import sys, ganzoo.images, ganzoo.latents, ganzoo.augment, ganzoo.losses, ganzoo.penalties;"
    code += "sys.exit(any(m in sys.modules for m in ('torchvision', 'timm', 'accelerate', 'huggingface_hub')))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == 0
