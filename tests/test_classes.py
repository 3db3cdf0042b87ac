"""Classes: hidden ones found without labels, what each network is told of them, and wrong labels on purpose."""

import dataclasses
import json

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import ganzoo
from ganzoo import LOSSES
from ganzoo.config import ConfigError
from ganzoo.data import clusters as module
from ganzoo.data import open_data
from ganzoo.data.clusters import ROUNDS, _coordinates, divide
from ganzoo.errors import ShapeError
from ganzoo.latents import sample_latents, sign_class, with_sign_class
from ganzoo.models import DCGANDiscriminatorConfig, DCGANGeneratorConfig
from ganzoo.training import MicroBatch, Trainer, classes, discriminator_step

LIKENESSES = ["pixels", "shape"]
POWERS = [2, 4, 64, 1024]


def images(count=50, size=8, channels=1, labels=None):
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)
    return open_data(pixels if labels is None else (pixels, labels))


def small(num_classes=0, hidden_classes=4, **discriminator):
    return ganzoo.create(
        "fashion-mnist",
        image_size=8,
        seed=0,
        generator={
            "latent_size": 6,
            "widths": (8, 4),
            "num_classes": num_classes,
            "hidden_classes": hidden_classes,
        },
        discriminator={"widths": (4, 8), **discriminator},
    )


# --- latents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", POWERS)
def test_signs_say_the_class_that_was_written_into_them(count):
    latents, _ = sample_latents(200, 12, 0)
    wanted = torch.arange(200) % count
    written = with_sign_class(latents, wanted, count)
    assert torch.equal(sign_class(written, count), wanted)
    assert torch.equal(sign_class(written.reshape(200, 12, 1, 1), count), wanted)
    assert torch.equal(written.abs(), latents.abs())


def test_the_first_sign_counts_most_and_later_numbers_not_at_all():
    latents = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
    assert sign_class(latents, 4).tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize("count", [2, 8, 64])
def test_all_classes_are_equally_likely(count):
    found = torch.bincount(sign_class(sample_latents(20_000, 10, 3)[0], count), minlength=count) / 20_000
    assert (found - 1 / count).abs().max() < 5 * (1 / count / 20_000) ** 0.5


# --- division ------------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("by", LIKENESSES)
def test_dividing_holds_two_bytes_of_each_number_it_compares(by, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    data = images(2000, size=14, channels=3)
    whole = divide(data, 8, by)
    look = {"pixels": module._thumbnails, "shape": module._shapes}[by](data.pixels(torch.arange(2)))
    with Largest() as largest:
        assert torch.equal(divide(data, 8, by), whole)
    # what is compared, as two bytes; the coordinates, as eight; 1,000 images' own numbers while they are looked at
    assert largest.bytes <= max(2000 * look.shape[1] * 2, 2000 * 64 * 8, 1000 * 3 * 14 * 14 * 8)


def test_parts_do_not_depend_on_the_block_that_is_worked_on(monkeypatch):
    whole = divide(images(500), 8, "shape")
    monkeypatch.setattr(module, "BLOCK", 17)
    assert torch.equal(divide(images(500), 8, "shape"), whole)


@pytest.mark.parametrize("by", LIKENESSES)
@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("number", [128, 150, 201])
def test_parts_are_equal_to_one_image(count, number, by):
    sizes = torch.bincount(divide(images(number), count, by))[count:]
    assert len(sizes) == count and sizes.sum() == number and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("number", "parts"), [(1, 1), (31, 1), (32, 2), (63, 2), (64, 4), (1023, 32), (1024, 64)])
def test_a_part_keeps_sixteen_images(number, parts):
    assert divide(images(number), 64).unique().tolist() == list(range(parts, 2 * parts))


def test_a_stream_is_one_part():
    assert divide(dataclasses.replace(images(100), stream=object()), 4).unique().tolist() == [1]


def test_the_first_cut_by_pixels_is_the_plainest_one():
    dark, light = torch.randint(0, 100, (40, 3, 20, 20)), torch.randint(130, 256, (40, 3, 20, 20))
    parts = divide(open_data(torch.cat([dark, light]).to(torch.uint8)), 4)
    assert {*(parts[:40] // 2).tolist()} | {*(parts[40:] // 2 + 10).tolist()} in ({2, 13}, {3, 12})


def test_the_first_cut_by_shape_is_between_shapes_whatever_their_colours():
    stripes = (torch.arange(20) // 2 % 2).expand(80, 3, 20, 20)
    pixels = stripes * torch.randint(40, 256, (80, 3, 1, 1))
    lying, standing = pixels[:40].transpose(2, 3), pixels[40:]
    parts = divide(open_data(torch.cat([lying, standing]).to(torch.uint8)), 4, "shape")
    assert {*(parts[:40] // 2).tolist()} | {*(parts[40:] // 2 + 10).tolist()} in ({2, 13}, {3, 12})


def test_halves_by_shape_are_closer_together_than_those_of_the_median(monkeypatch):
    data = dataclasses.replace(open_data("fashion-mnist-mini"), labels=None)
    places = _coordinates(data, "shape")

    def spread():
        parts = divide(data, 16, "shape")
        return sum(float(places[parts == part].var(0, unbiased=False).sum()) for part in parts.unique())

    found = spread()
    monkeypatch.setitem(ROUNDS, "shape", 1)
    assert found < 0.99 * spread()


@pytest.mark.parametrize("by", LIKENESSES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 33])
def test_images_of_any_size_can_be_divided(size, by):
    assert torch.bincount(divide(images(64, size), 4, by))[4:].tolist() == [16, 16, 16, 16]


def test_the_images_of_each_label_are_divided_apart():
    labels = torch.arange(240) % 3
    parts = divide(images(240, labels=labels), 4)
    for label in range(3):
        assert torch.bincount(parts[labels == label]).tolist() == [0, 0, 0, 0, 20, 20, 20, 20]


@pytest.mark.parametrize("by", LIKENESSES)
def test_parts_depend_on_nothing_but_the_images(by):
    data, threads = images(300, 28), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = divide(data, 16, by)
        torch.set_num_threads(2)
        assert torch.equal(divide(data, 16, by), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("by", LIKENESSES)
def test_equal_images_can_be_divided(by):
    same = open_data(torch.zeros(64, 1, 8, 8, dtype=torch.uint8))
    assert torch.bincount(divide(same, 4, by))[4:].tolist() == [16, 16, 16, 16]


def test_a_run_divides_by_what_its_setting_says(tmp_path):
    data = open_data("fashion-mnist-mini")
    told = {}
    for by in LIKENESSES:
        gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
        trainer = Trainer(gan, data, tmp_path / by, steps=1, cluster_by=by, progress=False)
        told[by] = trainer._classified.labels[:, 1]
        assert torch.equal(told[by], divide(dataclasses.replace(data, labels=None), 64, by))
    assert not torch.equal(*told.values())


# --- networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [DCGANGeneratorConfig, DCGANDiscriminatorConfig])
@pytest.mark.parametrize("count", [1, 3, 6, 2048, -2])
def test_hidden_classes_are_a_power_of_two(config, count):
    with pytest.raises(ConfigError, match="hidden_classes"):
        config(hidden_classes=count)


def test_a_short_latent_reaches_fewer_classes():
    latents, _ = sample_latents(200, 2, 0)
    assert sign_class(latents, 8).unique().tolist() == [0, 2, 4, 6]
    assert sign_class(with_sign_class(latents, torch.full((200,), 6), 8), 8).unique().tolist() == [6]


def test_the_generator_s_hidden_class_is_the_latent_s():
    gan = small()
    for modulation in gan.generator.modulations:
        torch.nn.init.normal_(modulation.shift.weight)
    latents = torch.full((2, 6), 1e-20)  # but for the signs the same
    latents[1, 0] *= -1
    one, other = gan.generator.eval()(latents)
    assert not torch.allclose(one, other)
    latents[1, :] = 1e-20
    latents[1, 2] *= -1  # the third sign says nothing where there are four classes
    one, other = gan.generator(latents)
    assert torch.allclose(one, other)


@pytest.mark.parametrize("head", ["pooled", "spatial"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_discriminator_is_told_both_classes_or_averages_over_the_hidden_ones(num_classes, head):
    judge = small(num_classes, class_head=head).discriminator.eval()
    x = torch.randn(5, 1, 8, 8)
    labels = torch.tensor([0, 1, 2, 0, 1]) if num_classes else None
    first = torch.zeros(5, dtype=torch.long) if labels is None else labels
    told = torch.stack([judge(x, torch.stack([first, torch.full((5,), hidden)], dim=1)) for hidden in range(4)])
    assert told.shape == (4, 5, 1, 1, 1)
    assert not torch.allclose(told[0], told[1])
    torch.testing.assert_close(judge(x, labels), told.mean(0))


@pytest.mark.parametrize(("num_classes", "labels"), [(0, torch.zeros(5)), (3, None), (3, torch.zeros(5, 3))])
def test_labels_of_another_shape_or_kind_are_refused(num_classes, labels):
    with pytest.raises(ShapeError, match="DCGANDiscriminator"):
        small(num_classes).discriminator(torch.randn(5, 1, 8, 8), labels)


def test_a_pair_agrees_on_its_hidden_classes():
    with pytest.raises(ConfigError, match="hidden_classes: 4 against 0"):
        ganzoo.GAN(small().generator, small(hidden_classes=0).discriminator)


def test_a_saved_pair_comes_back_and_samples_without_labels(tmp_path):
    gan = small()
    found = ganzoo.from_pretrained(gan.save_pretrained(tmp_path / "gan"), discriminator=True)
    assert (found.num_classes, found.hidden_classes, found.discriminator.hidden_classes) == (0, 4, 4)
    assert torch.equal(found.sample(5, seed=1), gan.sample(5, seed=1))
    torch.testing.assert_close(found.sample(5, seed=1, precision="fast"), gan.sample(5, seed=1), atol=0.05, rtol=0)


# --- training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [0, 3])
def test_the_networks_are_told_of_one_class(num_classes, tmp_path):
    """Whatever the generator reads off a latent is what the discriminator is told beside the fake, and of the real."""
    gan, labels = small(num_classes), torch.arange(210) % 3
    data = images(210, labels=labels)
    trainer = Trainer(
        gan, data, tmp_path / "run", steps=2, batch_size=12, mismatched_labels=0.5, score_every=0, progress=False
    )
    parts, told = divide(data if num_classes else images(210), 4), []
    judge, generate = gan.discriminator.forward, gan.generator.forward

    def generating(latents, labels=None):
        told.append(("generator", labels, sign_class(latents, 4), None))
        return generate(latents, labels)

    def judging(x, labels=None, other_labels=None):
        told.append(("discriminator", labels, x, other_labels))
        return judge(x, labels, other_labels)

    gan.generator.forward, gan.discriminator.forward = generating, judging
    trainer.fit()
    first = next(index for index, call in enumerate(told) if call[3] is not None)  # before it, the trial and samples
    (_, asked, hidden, _), (_, real, pixels, wrong), (_, fake, _, none) = told[first - 1 : first + 2]
    assert (asked is None) == (num_classes == 0)
    assert torch.equal(real, fake) and torch.equal(real[:, 1], hidden)
    assert torch.equal(real[:, 0], asked if num_classes else torch.zeros(12, dtype=torch.long))
    assert not (wrong == real).all(1).any() and none is None
    everything = data.batch(torch.arange(210))
    for row, (label, part) in zip(pixels.float(), real.tolist()):
        index = int((everything - row).abs().flatten(1).sum(1).argmin())
        assert part == parts[index] - 4 and label == (labels[index] if num_classes else 0)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize(("num_classes", "hidden_classes"), [(3, 0), (0, 4), (3, 4)])
def test_a_wrong_label_is_any_other_one_and_never_the_right_one(num_classes, hidden_classes, parts):
    gan, count = small(num_classes, hidden_classes), 6000
    parts = parts if hidden_classes else 1
    pairs = [(label, part) for label in range(max(1, num_classes)) for part in range(parts)]
    right = torch.tensor(pairs)[torch.arange(count) % len(pairs)]
    labels = torch.stack([right[:, 0], right[:, 1] + parts], dim=1) if hidden_classes else right[:, 0]
    told, _ = classes.meet(labels, sample_latents(count, 6, 0)[0], gan)
    chance = torch.rand(count, generator=torch.Generator().manual_seed(0))
    chance[0] = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    found = classes.wrong(labels, told, chance, gan)
    if len(pairs) == 1:
        assert found is None
        return
    several = hidden_classes // parts or 1
    rows = [(row[0], row[1] // several) if hidden_classes else (row, 0) for row in found.tolist()]
    assert not any(row == pairs[index % len(pairs)] for index, row in enumerate(rows))
    counts = {pair: rows.count(pair) for pair in pairs}
    assert set(rows) == set(pairs) and max(counts.values()) < 1.3 * min(counts.values())
    if hidden_classes:  # what the latent chose within the part is kept
        assert torch.equal(found[:, 1] % several, told[:, 1] % several)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2, 0])])
def test_images_of_which_no_part_is_known_have_the_latents_own(labels):
    gan = small(0 if labels is None else 3)
    latents, _ = sample_latents(4, 6, 0)
    told, met = classes.meet(labels, latents, gan)
    assert torch.equal(met, latents) and torch.equal(told[:, 1], sign_class(latents, 4))
    assert torch.equal(told[:, 0], torch.zeros(4, dtype=torch.long) if labels is None else labels)


@pytest.mark.parametrize("name", [name for name in LOSSES if not LOSSES.make(name).generator_sees_real])
def test_a_wrong_label_has_its_share_of_the_loss(name):
    loss = LOSSES.make(name)
    weight = torch.tensor([0.5, -0.25, 1.0], dtype=torch.float64, requires_grad=True)

    def judge(x, labels, other_labels=None):
        given = [labels] if other_labels is None else [labels, other_labels]
        return torch.cat([x * weight[each] for each in given])

    real, fake = torch.randn(2, 6, dtype=torch.float64)
    right, wrong = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    expected = 0.7 * loss.for_discriminator(judge(real, right), judge(fake, right))
    expected = expected + 0.3 * loss.for_discriminator(judge(real, right), judge(real, wrong))
    (gradient,) = torch.autograd.grad(expected, weight)
    discriminator_step(
        judge, torch.optim.SGD([weight], 1.0), loss, [MicroBatch(real, fake, right, wrong)], mismatched_share=0.3
    )
    torch.testing.assert_close(weight.grad, gradient)


@pytest.mark.parametrize("hidden_classes", [0, 4])
@pytest.mark.parametrize("head", ["pooled", "spatial"])
def test_other_labels_give_the_logits_of_a_second_call(head, hidden_classes):
    gan = small(3, hidden_classes, class_head=head)
    judge, pictures = gan.discriminator.eval(), torch.randn(4, 1, 8, 8)
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
    if hidden_classes:
        first, second = (torch.stack([each, (each + 1) % 4], 1) for each in (first, second))
    torch.testing.assert_close(
        judge(pictures, first, second), torch.cat([judge(pictures, first), judge(pictures, second)]), rtol=0, atol=0
    )
    with pytest.raises(ShapeError, match="wants labels"):
        judge(pictures, first, second[:3])


def test_a_discriminator_that_takes_no_other_labels_is_called_twice(tmp_path):
    class Judge(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, images, labels):
            return self.inner(images, labels)

    def losses(name, wrap):
        gan = small(norm="none", initialisation="torch")
        gan = ganzoo.GAN(gan.generator, Judge(gan.discriminator)) if wrap else gan
        settings = {"steps": 1, "batch_size": 8, "mismatched_labels": 0.3, "log_every": 1, "precision": "float32"}
        run = Trainer(gan, images(), tmp_path / name, progress=False, **settings).fit().run
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        return [line["discriminator_loss"] for line in lines if "discriminator_loss" in line]

    assert losses("twice", True) == pytest.approx(losses("at-once", False), rel=1e-5)


def test_a_run_of_hidden_classes_resumes_to_the_same_bytes(tmp_path):
    def run(name, steps, hooks=()):
        settings = {"batch_size": 8, "checkpoint_every": 2, "log_every": 1, "mismatched_labels": 0.3, "doctor_every": 2}
        trainer = Trainer(small(), images(), tmp_path / name, steps=steps, progress=False, hooks=hooks, **settings)
        return trainer.fit()

    def stop(state, logs):
        if state.step == 3:
            raise KeyboardInterrupt

    whole = run("whole", 6)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", 6, [stop])
    Trainer.resume(tmp_path / "stopped", data=images(), progress=False).fit()
    for name in ("log.jsonl", "model/model.safetensors", "model/discriminator/model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (whole.run / name).read_bytes()


@pytest.mark.parametrize("count", [1, 40])
def test_a_small_set_trains_with_many_hidden_classes(tmp_path, count):
    options = {"steps": 2, "batch_size": 8, "mismatched_labels": 0.3, "progress": False}
    assert Trainer(small(hidden_classes=64), images(count), tmp_path / "run", **options).fit().finished
