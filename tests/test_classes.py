"""Labels of a run: clusters found without labels, latents that choose them, and mismatched labels."""

import copy
import dataclasses
import json
import shutil

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import ganzoo
from ganzoo import LOSSES
from ganzoo.config import ConfigError
from ganzoo.data import clusters as module
from ganzoo.data import open_data
from ganzoo.data.clusters import ROUNDS, _coordinates, cluster_images
from ganzoo.errors import ShapeError, WeightsError
from ganzoo.latents import sample_latents, sign_class, with_sign_class
from ganzoo.settings import Settings
from ganzoo.training import MicroBatch, Trainer, discriminator_step
from ganzoo.training.classes import LabelMap, attach_labels, labelled
from tiny import KillAt, log_of

CLUSTER_BY = ["pixels", "shape"]
POWERS = [2, 4, 64, 1024]


def images(count=50, size=8, channels=1, labels=None):
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)
    return open_data(pixels if labels is None else (pixels, labels))


def small(num_classes=0, clusters=4, **discriminator):
    return ganzoo.create(
        "fashion-mnist",
        image_size=8,
        seed=0,
        generator={"latent_size": 6, "widths": (8, 4), "num_classes": num_classes},
        discriminator={"widths": (4, 8), **discriminator},
        clusters=clusters,
    )


def divided(data, count, by="pixels"):
    """The cluster of each image, of those of its class."""
    found = cluster_images(data, count, by)
    first = torch.tensor((0, *found.clusters)).cumsum(0)  # label of each class
    return found.labels - first[torch.zeros_like(found.labels) if data.labels is None else data.labels]


@pytest.mark.parametrize("shape", [(200, 6), (200, 6, 1, 1)])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_latent_that_is_given_a_label_gets_the_signs_of_its_cluster(num_classes, shape):
    gan, latents = small(num_classes), torch.randn(shape)
    labels = torch.randint(0, 4 * max(1, num_classes), (200,))
    moved, same = labelled(gan, latents, labels)
    classes = labels // 4 if num_classes else None
    assert same is labels and moved.shape == shape and torch.equal(moved.abs(), latents.abs())
    assert torch.equal(gan.network_labels(moved, classes), labels)
    assert torch.equal(labelled(gan, moved, labels)[0], moved)
    if not num_classes:
        assert torch.equal(labelled(gan, moved, None)[1], labels)


def test_without_clusters_latents_stay_as_they_are():
    latents, labels = torch.randn(5, 6), torch.arange(5)
    assert labelled(small(5, clusters=0), latents, labels) == (latents, labels)
    assert labelled(small(0, clusters=0), latents, None) == (latents, None)


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


def test_a_number_of_exactly_0_is_the_digit_0():
    assert sign_class(torch.tensor([[0.0, 1], [1, 0], [0, 0], [-0.0, 1]]), 4).tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("count", [2, 8, 64])
def test_all_classes_are_equally_likely(count):
    found = torch.bincount(sign_class(sample_latents(20_000, 10, 3)[0], count), minlength=count) / 20_000
    assert (found - 1 / count).abs().max() < 5 * (1 / count / 20_000) ** 0.5


# --- clusters ------------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("by", CLUSTER_BY)
def test_clustering_holds_two_bytes_of_each_number_it_compares(by, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    data = images(2000, size=14, channels=3)
    whole = divided(data, 8, by)
    look = {"pixels": module._thumbnails, "shape": module._shapes}[by](data.pixels(torch.arange(2)))
    with Largest() as largest:
        assert torch.equal(divided(data, 8, by), whole)
    # what is compared, as two bytes; the coordinates, as eight; 1,000 images' own numbers while they are looked at
    assert largest.bytes <= max(2000 * look.shape[1] * 2, 2000 * 64 * 8, 1000 * 3 * 14 * 14 * 8)


def test_clusters_do_not_depend_on_the_block_that_is_worked_on(monkeypatch):
    whole = divided(images(500), 8, "shape")
    monkeypatch.setattr(module, "BLOCK", 17)
    assert torch.equal(divided(images(500), 8, "shape"), whole)


@pytest.mark.parametrize("by", CLUSTER_BY)
@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("number", [128, 150, 201])
def test_clusters_are_equal_to_one_image(count, number, by):
    sizes = torch.bincount(divided(images(number), count, by))
    assert len(sizes) == count and sizes.sum() == number and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("number", "parts"), [(1, 1), (31, 1), (32, 2), (63, 2), (64, 4), (1023, 32), (1024, 64)])
def test_a_cluster_keeps_sixteen_images(number, parts):
    assert divided(images(number), 64).unique().tolist() == list(range(parts))


def test_a_stream_is_one_cluster():
    assert divided(dataclasses.replace(images(100), stream=object()), 4).unique().tolist() == [0]


def test_the_first_cut_by_pixels_is_the_plainest_one():
    dark, light = torch.randint(0, 100, (40, 3, 20, 20)), torch.randint(130, 256, (40, 3, 20, 20))
    parts = divided(open_data(torch.cat([dark, light]).to(torch.uint8)), 4)
    assert {*(parts[:40] // 2).tolist()} | {*(parts[40:] // 2 + 10).tolist()} in ({0, 11}, {1, 10})


def test_the_first_cut_by_shape_is_between_shapes_whatever_their_colours():
    stripes = (torch.arange(20) // 2 % 2).expand(80, 3, 20, 20)
    pixels = stripes * torch.randint(40, 256, (80, 3, 1, 1))
    lying, standing = pixels[:40].transpose(2, 3), pixels[40:]
    parts = divided(open_data(torch.cat([lying, standing]).to(torch.uint8)), 4, "shape")
    assert {*(parts[:40] // 2).tolist()} | {*(parts[40:] // 2 + 10).tolist()} in ({0, 11}, {1, 10})


def test_halves_by_shape_are_closer_together_than_those_of_the_median(monkeypatch):
    data = dataclasses.replace(open_data("fashion-mnist-mini"), labels=None)
    places = _coordinates(data, "shape")

    def spread():
        parts = divided(data, 16, "shape")
        return sum(float(places[parts == part].var(0, unbiased=False).sum()) for part in parts.unique())

    found = spread()
    monkeypatch.setitem(ROUNDS, "shape", 1)
    assert found < 0.99 * spread()


@pytest.mark.parametrize("by", CLUSTER_BY)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 33])
def test_images_of_any_size_can_be_clustered(size, by):
    assert torch.bincount(divided(images(64, size), 4, by)).tolist() == [16, 16, 16, 16]


def test_the_images_of_each_class_are_clustered_apart():
    labels = torch.arange(240) % 3
    parts = divided(images(240, labels=labels), 4)
    for label in range(3):
        assert torch.bincount(parts[labels == label]).tolist() == [20, 20, 20, 20]


def test_a_class_has_as_many_clusters_as_its_images_allow():
    sizes = [15, 260, 0, 70, 32]
    labels = torch.arange(5).repeat_interleave(torch.tensor(sizes))
    with pytest.warns(UserWarning, match="no images of class 2"):
        data = images(sum(sizes), labels=labels)
    found = cluster_images(data, 8)
    assert found.clusters == (1, 8, 1, 4, 2)
    assert torch.bincount(found.labels).tolist() == [15, *[33, 32] * 4, 0, *[18, 17] * 2, 16, 16]


def test_a_person_is_told_if_classes_have_fewer_clusters_than_asked_for(tmp_path, capsys):
    data = images(210, labels=torch.arange(210).clamp(max=40) // 20)
    Trainer(small(3), data, tmp_path / "run", progress=False)
    told = "Clusters of each class: 1 to 4 (4 asked for), since min_cluster_size is 16 images.\n"
    assert capsys.readouterr().err == told
    Trainer(small(3), images(210, labels=torch.arange(210) % 3), tmp_path / "run", progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("classes", "clusters", "used"), [(0, 0, False), (1, 0, False), (2, 0, True), (0, 2, True)])
def test_a_person_is_told_if_mismatched_labels_have_nothing_to_tell_apart(classes, clusters, used, tmp_path, capsys):
    labels = torch.arange(40) % classes if classes else None
    options = {"mismatched_labels": 0.3, "progress": False}
    Trainer(small(classes, clusters=clusters), images(40, labels=labels), tmp_path / "run", **options)
    told = "" if used else "mismatched_labels=0.3 is not used: the images have no two classes or clusters.\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("by", CLUSTER_BY)
def test_clusters_depend_on_nothing_but_the_images(by):
    data, threads = images(300, 28), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = divided(data, 16, by)
        torch.set_num_threads(2)
        assert torch.equal(divided(data, 16, by), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("by", CLUSTER_BY)
def test_equal_images_can_be_clustered(by):
    same = open_data(torch.zeros(64, 1, 8, 8, dtype=torch.uint8))
    assert torch.bincount(divided(same, 4, by)).tolist() == [16, 16, 16, 16]


@pytest.mark.parametrize("by", CLUSTER_BY)
def test_clusters_depend_on_neither_torchs_default_device_nor_dtype(by, other_default):
    data, gan = images(64), small()
    known = attach_labels(data, gan, Settings(cluster_by=by))
    with other_default():
        found = attach_labels(data, gan, Settings(cluster_by=by))
    assert found.hash == known.hash and torch.equal(found.labels, known.labels) and len(known.labels.unique()) == 4


def test_a_run_depends_on_neither_torchs_default_device_nor_dtype(tmp_path, other_default):
    def trained(name):
        gan = copy.deepcopy(made)
        Trainer(gan, data, tmp_path / name, steps=2, batch_size=16, device="cpu", progress=False).fit()
        return gan.generator.state_dict()

    data, made = images(64), small()
    known = trained("known")
    with other_default():
        found = trained("found")
    assert all(torch.equal(found[name], value) for name, value in known.items())


def test_a_run_clusters_by_what_its_setting_says(tmp_path):
    data = open_data("fashion-mnist-mini")
    found = {}
    for by in CLUSTER_BY:
        gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
        trainer = Trainer(gan, data, tmp_path / by, steps=1, cluster_by=by, progress=False)
        found[by] = trainer._labelled.labels
        assert torch.equal(found[by], divided(dataclasses.replace(data, labels=None), 64, by))
    assert not torch.equal(*found.values())


def test_clusters_are_found_as_in_the_run_that_is_trained_on_from_unless_told_otherwise(tmp_path):
    from ganzoo.training.finetuning import continued

    small = {"latent_size": 4, "widths": (8, 4)}
    data = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    gan = ganzoo.create("pokemon-64", 8, {**small, "image_channels": 1}, {"widths": (4, 8)}, seed=0, clusters=2)
    settings = {"steps": 1, "batch_size": 8, "progress": False}
    first = Trainer(gan, data, tmp_path / "first", cluster_by="shape", **settings)
    first.fit()

    def found(name, gan=None, **changes):
        gan = gan or ganzoo.from_pretrained(tmp_path / "first", discriminator=True)
        return Trainer(gan, data, tmp_path / name, **settings, **changes)

    again = found("again")
    assert again.settings.cluster_by == "shape" and torch.equal(again._labelled.labels, first._labelled.labels)
    wider, _ = continued(tmp_path / "first", discriminator={"widths": (4, 4)})
    assert found("wider", wider).settings.cluster_by == "shape"
    assert found("by pixels", cluster_by="pixels").settings.cluster_by == "pixels"
    shutil.copytree(tmp_path / "first/model", tmp_path / "first/elsewhere")  # not the run's model
    elsewhere = ganzoo.from_pretrained(tmp_path / "first/elsewhere", discriminator=True)
    assert found("elsewhere", elsewhere).settings.cluster_by == "pixels"  # the preset's
    facts = json.loads((tmp_path / "first/run.json").read_text())
    for damaged in ([], None, {}, {"cluster_by": ["shape"]}):
        (tmp_path / "first/run.json").write_text(json.dumps({**facts, "settings": damaged}))
        assert found(f"damaged {damaged}").settings.cluster_by == "pixels"


# --- networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 6, 2048, -2, 4.0, True])
def test_clusters_are_a_power_of_two(count):
    with pytest.raises(ConfigError, match="clusters"):
        small(clusters=count)
    with pytest.raises(ConfigError, match="clusters"):
        ganzoo.Settings(clusters=count)


def test_a_short_latent_reaches_fewer_classes():
    latents, _ = sample_latents(200, 2, 0)
    assert sign_class(latents, 8).unique().tolist() == [0, 2, 4, 6]
    assert sign_class(with_sign_class(latents, torch.full((200,), 6), 8), 8).unique().tolist() == [6]


@pytest.mark.parametrize("num_classes", [0, 3])
def test_the_latent_chooses_the_cluster_and_the_user_the_class(num_classes):
    gan = small(num_classes)
    assert gan.label_count == gan.generator.num_classes == gan.discriminator.num_classes == 4 * max(1, num_classes)
    assert gan.num_classes == num_classes and gan.clusters == 4
    latents, labels = sample_latents(50, 6, 0, num_classes=num_classes)
    found = gan.network_labels(latents, labels)
    assert found.dtype == torch.int64 and torch.equal(found % 4, sign_class(latents, 4))
    assert torch.equal(found // 4, torch.zeros(50, dtype=torch.long) if labels is None else labels)
    drawn = gan.generator.eval()(latents, found).detach().clamp(-1, 1)
    torch.testing.assert_close(gan.sample(latents=latents, labels=labels), drawn)
    torch.testing.assert_close(gan.sample(50, seed=0), drawn)


def test_a_pair_without_clusters_takes_labels_as_they_are():
    labels = torch.tensor([0, 2])
    assert small(3, clusters=0).network_labels(torch.randn(2, 6), labels) is labels
    assert small(clusters=0).network_labels(torch.randn(2, 6), None) is None


@pytest.mark.parametrize(("num_classes", "clusters"), [(None, 4), (0, 4), (3, 4), (None, 0), (12, 0), (6, 2)])
def test_classes_and_clusters_must_fit_the_networks(num_classes, clusters):
    pair = small(3)  # 12 labels
    fits = max(1, 3 if num_classes is None and clusters else 12 if num_classes is None else num_classes)
    if fits * max(1, clusters) == 12:
        assert ganzoo.GAN(pair.generator, num_classes=num_classes, clusters=clusters).label_count == 12
    else:
        with pytest.raises(ConfigError, match=f"num_classes 12; a GAN with .* {clusters} clusters needs"):
            ganzoo.GAN(pair.generator, num_classes=num_classes, clusters=clusters)


def test_modules_of_any_kind_gain_clusters(tmp_path):
    """Neither network knows of clusters: they are called as conditional ones."""

    class Draw(nn.Module):
        def __init__(self):
            super().__init__()
            self.images = nn.Embedding(8, 64)

        def forward(self, latents, labels):
            return torch.tanh(self.images(labels) + latents.mean(1, keepdim=True)).view(-1, 1, 8, 8)

    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.images = nn.Embedding(8, 64)

        def forward(self, images, labels):
            return (images.flatten(1) * self.images(labels)).sum(1)

    gan = ganzoo.GAN(Draw(), Judge(), latent_size=5, clusters=8)
    settings = {"steps": 2, "batch_size": 8, "mismatched_labels": 0.3, "clusters": 8, "progress": False}
    assert Trainer(gan, images(200), tmp_path / "run", **settings).fit().finished
    back = ganzoo.GAN(Draw(), Judge(), latent_size=5, clusters=8).load_weights(tmp_path / "run")
    assert torch.isfinite(back.sample(4, seed=0)).all()


@pytest.mark.parametrize(("num_classes", "labels"), [(0, torch.zeros(5)), (3, None), (3, torch.zeros(5, 3))])
def test_labels_of_another_shape_or_kind_are_refused(num_classes, labels):
    with pytest.raises(ShapeError, match="DCGANDiscriminator"):
        small(num_classes).discriminator(torch.randn(5, 1, 8, 8), labels)


@pytest.mark.parametrize("num_classes", [0, 1, 3])
def test_a_saved_pair_comes_back_with_its_clusters(tmp_path, num_classes):
    gan = small(num_classes)
    found = ganzoo.from_pretrained(gan.save_pretrained(tmp_path / "gan"), discriminator=True)
    assert (found.num_classes, found.clusters, found.discriminator.num_classes) == (num_classes, 4, gan.label_count)
    assert torch.equal(found.sample(5, seed=1), gan.sample(5, seed=1))
    torch.testing.assert_close(found.sample(5, seed=1, precision="fast"), gan.sample(5, seed=1), atol=0.05, rtol=0)
    saved = json.loads((tmp_path / "gan" / "config.json").read_text())
    assert saved["clusters"] == 4 and "clusters" not in saved["generator"]["config"]


@pytest.mark.parametrize("clusters", [3, -1, "4", True, 8])
def test_a_file_with_other_clusters_than_its_networks_is_refused(tmp_path, clusters):
    path = small().save_pretrained(tmp_path / "gan") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "clusters": clusters}))
    with pytest.raises(WeightsError, match="clusters"):
        ganzoo.from_pretrained(tmp_path / "gan")


def test_training_on_keeps_the_clusters_of_a_model_or_takes_others(tmp_path):
    from ganzoo.training.finetuning import continued

    source = small().save_pretrained(tmp_path / "gan")
    for changes, clusters, num_classes in (
        ({}, 4, 0),
        ({"generator": {"num_classes": 3}}, 4, 3),
        ({"clusters": 8}, 8, 0),
    ):
        gan, remarks = continued(source, **changes)
        assert (gan.clusters, gan.num_classes, gan.generator.num_classes) == (clusters, num_classes, gan.label_count)
        assert bool(remarks) == bool(changes)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_more_clusters_begin_as_the_parts_of_those_that_were_there(num_classes, tmp_path):
    from ganzoo.training.finetuning import continued

    source = small(num_classes).save_pretrained(tmp_path / "gan")
    old = ganzoo.from_pretrained(source, discriminator=True)
    new, remarks = continued(source, clusters=16)
    assert [remark.split(";")[0] for remark in remarks] == ["clusters: 16 in place of 4"]
    assert torch.equal(old.sample(64, seed=0), new.sample(64, seed=0))
    labels = torch.arange(new.label_count)
    batch = torch.randn(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before, after = old.discriminator.eval(), new.discriminator.eval()
    assert torch.equal(before(batch, labels // 4), after(batch, labels))


def test_under_spectral_norm_more_clusters_begin_anew(tmp_path):
    from ganzoo.training.finetuning import continued

    source = small(norm="spectral").save_pretrained(tmp_path / "gan")
    _, remarks = continued(source, clusters=16)
    assert "new: embedding" in remarks[1]


def test_a_class_becomes_clusters_that_begin_with_its_weights(tmp_path):
    from ganzoo.training.finetuning import continued

    source = small(3, clusters=0).save_pretrained(tmp_path / "gan")
    new, _ = continued(source, clusters=4)
    old = ganzoo.from_pretrained(source)
    assert torch.equal(old.sample(9, seed=0, labels=[0, 1, 2] * 3), new.sample(9, seed=0, labels=[0, 1, 2] * 3))


def test_a_smaller_least_size_finds_more_clusters_and_is_kept_by_runs_that_train_on_from_it(tmp_path):
    gan, data = small(), images(24)
    first = Trainer(gan, data, tmp_path / "first", steps=1, batch_size=8, min_cluster_size=6, progress=False)
    assert first._labelled.clusters == (4,)
    usual = Trainer(small(), data, tmp_path / "usual", steps=1, batch_size=8, progress=False)
    assert usual._labelled.clusters == (1,)
    first.fit()
    gan = ganzoo.from_pretrained(tmp_path / "first", discriminator=True)
    on = Trainer(gan, data, tmp_path / "on", steps=1, batch_size=8, progress=False)
    assert on.settings.min_cluster_size == 6 and torch.equal(on._labelled.labels, first._labelled.labels)


def test_a_run_s_clusters_are_those_of_its_networks(tmp_path):
    trainer = Trainer(small(), images(), tmp_path / "run", progress=False)
    assert trainer.settings.clusters == 4
    with pytest.raises(ConfigError, match="clusters=8: .* has 4"):
        Trainer(small(), images(), tmp_path / "run", clusters=8, progress=False)
    trainer = Trainer("fashion-mnist", "fashion-mnist-mini", tmp_path / "run", clusters=16, progress=False)
    assert trainer.gan.clusters == trainer.gan.generator.num_classes == 16


# --- training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [0, 3])
def test_both_networks_get_the_label_of_the_real_image(num_classes, tmp_path):
    """The fake's latent chooses the cluster of the real image that stands beside it."""
    gan, labels = small(num_classes), torch.arange(210) % 3
    data = images(210, labels=labels)
    settings = {
        "steps": 2,
        "cluster_by": "pixels",
        "batch_size": 12,
        "mismatched_labels": 0.5,
        "score_every": 0,
        "progress": False,
    }
    trainer = Trainer(gan, data, tmp_path / "run", **settings)
    clusters, calls = divided(data if num_classes else images(210), 4), []
    judge, generate = gan.discriminator.forward, gan.generator.forward

    def generating(latents, labels=None):
        calls.append((labels, sign_class(latents, 4), None))
        return generate(latents, labels)

    def judging(x, labels=None, other_labels=None):
        calls.append((labels, x, other_labels))
        return judge(x, labels, other_labels)

    gan.generator.forward, gan.discriminator.forward = generating, judging
    trainer.fit()
    first = next(index for index, call in enumerate(calls) if call[2] is not None)  # before it, the trial and samples
    (drawn, chosen, _), (real, pixels, mismatched), (fake, _, none) = calls[first - 1 : first + 2]
    assert torch.equal(drawn, real) and torch.equal(real, fake) and torch.equal(real % 4, chosen)
    assert not (mismatched == real).any() and none is None
    everything = data.batch(torch.arange(210))
    for row, label in zip(pixels.float(), real.tolist()):
        index = int((everything - row).abs().flatten(1).sum(1).argmin())
        assert label == (int(labels[index]) * 4 if num_classes else 0) + clusters[index]


@pytest.mark.parametrize(
    ("num_classes", "clusters"), [(3, ()), (0, (1,)), (0, (4,)), (3, (1, 1, 1)), (3, (2, 2, 2)), (3, (1, 4, 2))]
)
def test_a_mismatched_label_is_any_other_one_and_never_the_right_one(num_classes, clusters):
    gan, count = small(num_classes, 4 if clusters else 0), 6000
    each = torch.tensor([max(1, gan.clusters) // found for found in clusters or (1, 1, 1) for _ in range(found)])
    meaning = torch.arange(len(each)).repeat_interleave(each)  # the data's label of each of the networks'
    assert len(meaning) == gan.label_count
    right, made = torch.arange(count) % len(each), LabelMap(gan, clusters)
    labels, latents = made.align_latents(right, sample_latents(count, 6, 0)[0])
    assert torch.equal(meaning[labels], right)
    assert torch.equal(gan.network_labels(latents, labels // max(1, gan.clusters) if num_classes else None), labels)
    chance = torch.rand(count, generator=torch.Generator().manual_seed(0))
    chance[0] = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    other = made.draw_mismatched(labels, chance)
    if len(each) == 1:
        assert other is None
        return
    assert not (meaning[other] == right).any()
    counts = torch.bincount(meaning[other])
    assert len(counts) == len(each) and counts.max() < 1.3 * counts.min()
    each = each[meaning[other]]
    assert torch.equal(other % each, labels % each)  # what the latent chose within the cluster is kept


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2, 0])])
def test_images_of_which_no_cluster_is_known_have_the_latents_own(labels):
    gan = small(0 if labels is None else 3)
    latents, _ = sample_latents(4, 6, 0)
    found, aligned = LabelMap(gan, (1,) * max(1, gan.num_classes)).align_latents(labels, latents)
    assert torch.equal(aligned, latents) and torch.equal(found % 4, sign_class(latents, 4))
    assert torch.equal(found // 4, torch.zeros(4, dtype=torch.long) if labels is None else labels)


def test_labels_of_data_are_one_number_each_and_their_hash_changes_with_them():
    data = images(210, labels=torch.arange(210) % 3)
    assert attach_labels(data, small(clusters=0), Settings()).labels is None
    assert attach_labels(data, small(3, clusters=0), Settings()) is data
    found = {by: attach_labels(data, small(3), Settings(cluster_by=by)) for by in CLUSTER_BY}
    for each in found.values():
        assert each.labels.shape == (210,) and each.labels.dtype == torch.int64 and each.clusters == (4, 4, 4)
        assert torch.equal(each.labels // 4, data.labels)
    assert len({data.hash, *(each.hash for each in found.values())}) == 3


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


@pytest.mark.parametrize("head", ["pooled", "spatial"])
def test_other_labels_give_the_logits_of_a_second_call(head):
    gan = small(3, 0, class_head=head)
    judge, pictures = gan.discriminator.eval(), torch.randn(4, 1, 8, 8)
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
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
        gan = ganzoo.GAN(gan.generator, Judge(gan.discriminator), clusters=gan.clusters) if wrap else gan
        settings = {
            "steps": 1,
            "cluster_by": "pixels",
            "batch_size": 8,
            "mismatched_labels": 0.3,
            "log_every": 1,
            "precision": "float32",
        }
        run = Trainer(gan, images(), tmp_path / name, progress=False, **settings).fit().run
        lines = log_of(run)
        return [line["discriminator_loss"] for line in lines if "discriminator_loss" in line]

    assert losses("twice", True) == pytest.approx(losses("at-once", False), rel=1e-5)


def test_a_run_with_clusters_resumes_to_the_same_bytes(tmp_path):
    data = images(210, labels=torch.arange(210).clamp(max=60) // 30)  # of 30, 30 and 150: unequal numbers of clusters

    def run(name, **more):
        settings = {"batch_size": 8, "checkpoint_every": 2, "log_every": 1, "mismatched_labels": 0.3, "doctor_every": 2}
        return Trainer(small(3), data, tmp_path / name, steps=6, progress=False, **settings, **more).fit()

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", callbacks=[KillAt(3)])
    Trainer.resume(tmp_path / "stopped", data=data, callbacks=[KillAt(0)], progress=False).fit()
    for name in ("log.jsonl", "model/model.safetensors", "model/discriminator/model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (whole.run / name).read_bytes()


@pytest.mark.parametrize("count", [1, 40])
def test_a_small_set_trains_with_many_clusters(tmp_path, count):
    options = {"steps": 2, "batch_size": 8, "mismatched_labels": 0.3, "progress": False}
    assert Trainer(small(clusters=64), images(count), tmp_path / "run", **options).fit().finished
