"""Two doors to one picture give one result, and what people hold is taken or refused by its type."""

import gzip
import io
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, StackDataset, Subset, TensorDataset, random_split

import ganzoo
from ganzoo.data import cache_dir, describe, open_data
from ganzoo.data import given as given_module
from ganzoo.data.open import splits_of
from ganzoo.errors import DataError

NAMES = ("bird", "cat", "dog")


def wide_pictures():
    """Six colour pictures of 40x20 pixels: the middle square tells cropping from squashing."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (20, 40, 3), dtype=np.uint8) for _ in range(6)]


class Pictures(Dataset):
    """Pairs (picture, label), by any makers of both."""

    def __init__(self, images, labels=None, item=None):
        self.images, self.labels = images, [i // 2 for i in range(len(images))] if labels is None else labels
        self.item = item or (lambda image, label: (image, label))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.item(self.images[index], self.labels[index])


class NamedPictures(Pictures):
    classes = NAMES


def folder_of(arrays, root):
    for index, array in enumerate(arrays):
        (root / NAMES[index // 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / NAMES[index // 2] / f"{index}.png")
    return root


def zip_of(arrays, root):
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as archive:
        for path in folder_of(arrays, root).rglob("*.png"):
            archive.write(path, path.relative_to(root))
    return root.with_suffix(".zip")


def pil(arrays):
    return [Image.fromarray(array) for array in arrays]


def named(labels):
    return [NAMES[label] for label in labels]


def tensors(arrays):
    return [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]


def hf_rows(arrays, kind="image"):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    label = datasets.ClassLabel(names=list(NAMES))
    shapes = {"image": datasets.Image(), "array": datasets.Array3D((20, 40, 3), "uint8")}
    features = datasets.Features(image=shapes[kind], label=label)
    images = pil(arrays) if kind == "image" else [array.tolist() for array in arrays]
    return datasets.Dataset.from_dict({"image": images, "label": LABELS}, features=features)


def parquet_of(arrays, root):
    hf_rows(arrays).to_parquet(str(root.with_suffix(".parquet")))
    return f"hf:{root.with_suffix('.parquet')}"


def halves_of(arrays, root, write):
    """The pattern of two files, which `write` makes of halves of the pictures and their numbers."""
    root.mkdir(parents=True, exist_ok=True)
    for number, indices in enumerate((range(3), range(3, 6))):
        ending = write(arrays, indices, root / f"part-{number}")
    return f"hf:{root}/part-*.{ending}"


def parquet_files(arrays, indices, path):
    hf_rows(arrays).select(indices).to_parquet(f"{path}.parquet")
    return "parquet"


def shard(arrays, indices, path):
    with tarfile.open(f"{path}.tar", "w") as archive:
        for index in indices:
            picture = io.BytesIO()
            Image.fromarray(arrays[index]).save(picture, "PNG")
            for ending, content in (("png", picture.getvalue()), ("cls", NAMES[index // 2].encode()), ("json", b"{")):
                member = tarfile.TarInfo(f"a.b/{index:03}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return "tar"


def transformed_rows(arrays):
    return hf_rows(arrays).with_transform(
        lambda rows: {"pixel_values": [picture.convert("RGB") for picture in rows["image"]], "label": rows["label"]}
    )


def normalised(arrays, root):
    steps = [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize([0.5] * 3, [0.5] * 3)]
    return torchvision.datasets.ImageFolder(folder_of(arrays, root), torchvision.transforms.Compose(steps))


LABELS = [0, 0, 1, 1, 2, 2]
DOORS = {
    "zip": zip_of,
    "hf: parquet": parquet_of,
    "hf: two parquet files": lambda a, root: halves_of(a, root, parquet_files),
    "hf: shards": lambda a, root: halves_of(a, root, shard),
    "hf: folder": lambda a, root: f"hf:{folder_of(a, root)}",
    "torchvision's ImageFolder": lambda a, root: torchvision.datasets.ImageFolder(folder_of(a, root)),
    "ImageFolder, normalised": normalised,
    "a part of it": lambda a, root: Subset(torchvision.datasets.ImageFolder(folder_of(a, root)), range(6)),
    "Dataset of PIL": lambda a, _: NamedPictures(pil(a)),
    "Dataset of arrays": lambda a, _: NamedPictures(a),
    "Dataset of tensors": lambda a, _: NamedPictures(tensors(a)),
    "Dataset of floats": lambda a, _: NamedPictures([each.float() / 127.5 - 1 for each in tensors(a)]),
    "Dataset of dicts": lambda a, _: NamedPictures(pil(a), item=lambda image, label: {"label": label, "image": image}),
    "StackDataset": lambda a, _: StackDataset(img=pil(a), labels=named(LABELS)),
    "list of PIL": lambda a, _: (pil(a), named(LABELS)),
    "list of pairs": lambda a, _: list(zip(pil(a), named(LABELS))),
    "array NHWC": lambda a, _: (np.stack(a), np.array(named(LABELS))),
    "array NCHW": lambda a, _: (np.stack(a).transpose(0, 3, 1, 2), named(LABELS)),
    "array of floats": lambda a, _: (np.stack(a) / 127.5 - 1, named(LABELS)),
    "array of int64": lambda a, _: (np.stack(a).astype(int), named(LABELS)),
    "tensor": lambda a, _: (torch.stack(tensors(a)), named(LABELS)),
    "tensor NHWC": lambda a, _: (torch.from_numpy(np.stack(a)), named(LABELS)),
    "datasets.Dataset": lambda a, _: hf_rows(a),
    "datasets.Dataset of arrays": lambda a, _: hf_rows(a, "array"),
    "datasets.Dataset with a transform": lambda a, _: transformed_rows(a),
    "datasets.DatasetDict": lambda a, _: __import__("datasets").DatasetDict(train=hf_rows(a)),
}


@pytest.mark.parametrize("size", [8, None])
@pytest.mark.parametrize("door", DOORS)
def test_two_doors_to_one_picture_give_one_result(tmp_path, monkeypatch, door, size):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    arrays = wide_pictures()
    expected = open_data(folder_of(arrays, tmp_path / "expected"), image_size=size)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data = open_data(DOORS[door](arrays, tmp_path / "set"), image_size=size)
    assert np.array_equal(data.images, expected.images)
    assert (data.labels.tolist(), data.class_names) == (LABELS, NAMES)
    assert data.hash == expected.hash


TRANSPARENT = Image.new("RGBA", (6, 6), (10, 20, 30, 0))
DEEP = Image.fromarray(np.full((6, 6), 257 * 200, np.uint16))
PALETTE = Image.new("RGB", (6, 6), (10, 200, 30)).quantize(4)


@pytest.mark.filterwarnings("ignore:.*nearly blank")
@pytest.mark.parametrize("picture", [TRANSPARENT, DEEP, PALETTE, Image.new("L", (6, 6), 77)], ids=lambda p: p.mode)
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_modes_of_pictures_are_converted_alike_at_each_door(tmp_path, monkeypatch, picture, channels):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "set/one").mkdir(parents=True)
    picture.save(tmp_path / "set/one/a.png")
    hashes = {
        name: open_data(door, image_channels=channels).hash
        for name, door in {
            "folder": tmp_path / "set",
            "hf": f"hf:{tmp_path / 'set'}",
            "list": [picture],
            "folder of torchvision": [
                image for image, _ in [given_module._reader(torchvision.datasets.ImageFolder(tmp_path / "set"))(0)]
            ],
        }.items()
    }
    assert hashes["folder"] != "" and len(set(hashes.values())) == 1, hashes


@pytest.mark.filterwarnings("ignore:.*(nearly|wholly)")
def test_the_ground_under_transparency_is_chosen_alike_at_each_door(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "set/one").mkdir(parents=True)
    TRANSPARENT.save(tmp_path / "set/one/a.png")
    rows, folder = hf_rows([np.asarray(TRANSPARENT)] * 6), torchvision.datasets.ImageFolder(tmp_path / "set")
    array = np.asarray(TRANSPARENT)
    for source in (tmp_path / "set", f"hf:{tmp_path / 'set'}", folder, [TRANSPARENT], array[None], [array], rows):
        for ground, expected in (("white", [255] * 3), ("black", [0] * 3), ("#804000", [128, 64, 0])):
            data = open_data(source, image_channels=3, ground=ground)
            assert data.images[0, :, 0, 0].tolist() == expected
    streamed = open_data(f"hf:{tmp_path / 'set'}?stream=yes", ground="black")
    kept = open_data([TRANSPARENT], image_channels=4)
    assert streamed.images.max() == 0 and open_data(kept, image_channels=3, ground="black").images.max() == 0


def test_grey_arrays_need_no_axis_of_channels():
    images = np.random.default_rng(0).integers(0, 256, (6, 9, 9), dtype=np.uint8)
    assert np.array_equal(open_data(images).images, images[:, None])
    assert open_data(images).hash == open_data([*images]).hash == open_data(torch.from_numpy(images)).hash
    assert open_data(images).hash == open_data(images[..., None]).hash == open_data(images[:, ::-1][:, ::-1]).hash


def test_sixteen_bits_and_booleans_are_brought_to_bytes_as_pictures_of_files_are():
    deep = (np.random.default_rng(0).random((6, 9, 9)) * 65535).astype(np.uint16)
    assert np.array_equal(open_data(deep).images, open_data([Image.fromarray(each) for each in deep]).images)
    masks = deep > 30_000
    assert set(np.unique(open_data(masks).images)) == {0, 255}


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([1, 0], ("0", "1"), [1, 0]),
        ((np.int64(1), 0), ("0", "1"), [1, 0]),
        (np.array([[1], [0]]), ("0", "1"), [1, 0]),
        (torch.tensor([1, 0], dtype=torch.int32), ("0", "1"), [1, 0]),
        (["dog", "cat"], ("cat", "dog"), [1, 0]),
        (np.array(["dog", "cat"]), ("cat", "dog"), [1, 0]),
    ],
)
def test_labels_are_numbers_or_names_in_a_list_array_or_tensor(labels, names, numbers):
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    data = open_data((images, labels))
    assert (data.class_names, data.labels.tolist()) == (names, numbers)


def images_of(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (images_of(2, 3, 8, 3), "may be either of two; give a tensor with channels first"),
        (images_of(9, 9, 3), r"got \(9, 9, 3\); of one picture give images\[None\], of grey"),
        (images_of(9, 81), r"must have shape .*got \(9, 81\)"),
        (images_of(2, 9, 9, 5), r"must have shape .*got \(2, 9, 9, 5\)"),
        (images_of(2, 9, 9).astype(float), r"must lie in \[-1, 1\], got \d+ to 2..; give uint8: images.astype"),
        (images_of(2, 9, 9).astype(complex), "got torch.complex128"),
        (np.full((2, 9, 9), "a"), "must be uint8 .*got <U1"),
        ((images_of(5, 9, 9), np.eye(5)), r"got \(5, 5\), float64; of one-hot rows give labels.argmax\(1\)"),
        ((images_of(5, 9, 9), [0, 1]), "labels must be 5 ints from 0, or 5 names, got 2"),
        ((images_of(5, 9, 9), "abcde"), 'got "abcde"'),
        ((images_of(5, 9, 9), 3), "got 3"),
        (
            (images_of(5, 9, 9), ["a", "b", "c", None, "d"]),
            'array: item 3 has the label null, others have names .*"a".; give each a name, or each a number',
        ),
        (Image.new("L", (9, 9)), r"\(Image\) holds no images .*give a list of pictures"),
        ({"images": images_of(5, 9, 9)}, r"\(dict\) holds no .*give the pair"),
        (iter([Image.new("L", (9, 9))]), r"iterator\) holds no .*give a list"),
        (DataLoader(Pictures(images_of(5, 9, 9))), r"\(DataLoader\) holds no .*loader.dataset"),
        (["a.png"], r'list: item 0 is not an image but "a.png" \(str\); open it with PIL.Image.open, or'),
        ([], "list is empty"),
        ([np.zeros((3, 9, 9)), np.zeros((9, 9, 5))], r"list: item 1 must have shape .*got \(9, 9, 5\)"),
        ([("a", 1, 2.0)], "list: item 0 holds no image among its 3 parts"),
        ([images_of(5, 9, 9, 3)], r"list: item 0 must have shape .*got \(5, 9, 9, 3\)"),
        ([images_of(9, 9), images_of(8, 9)], r"several sizes \(9x9, 9x8\)"),
        ([Image.new("L", (9, 0))], "list: item 0 is a picture without pixels"),
        (np.array(None, dtype=object), "must be uint8 .*got object"),
        (torch.full((5, 9, 9), 300, dtype=torch.uint32), "got torch.uint32 of 300 to 300"),
        (Pictures(images_of(5, 9, 9), [0, 1]), "Pictures: item 2 can't be read .*IndexError"),
        (Pictures(images_of(2, 9, 9), np.ones((2, 40))), r"item 0 has the label array.*Give one number of it"),
        (
            [{"image": images_of(9, 9), "label": 0}, {"image": images_of(9, 9)}],
            "item 1 has not the parts .*first item",
        ),
    ],
)
def test_what_is_not_taken_is_refused_by_its_type_with_the_remedy(source, said):
    with pytest.raises(DataError, match=said):
        open_data(source)


def test_longer_tuples_give_their_first_image_and_label_which_is_said():
    images = images_of(3, 9, 9, 3)
    items = [(f"{index}.png", images[index], images[0], 2 - index) for index in range(3)]
    with pytest.warns(UserWarning, match=r"1 is taken as the image and 3 as the label; left out: \[0, 2\]"):
        data = open_data(items)
    assert np.array_equal(data.images, images.transpose(0, 3, 1, 2)) and data.labels.tolist() == [2, 1, 0]
    with pytest.warns(UserWarning, match="0 is taken as the image and nothing as the label"):
        assert open_data([(images[0], images[1])]).labels is None
    assert open_data(TensorDataset(torch.from_numpy(images))).labels is None
    for pair in ((images[0], images[1]), ((images[0], 1), (images[1], 0)), tuple(pil(images[:2]))):
        assert len(open_data(pair)) == 2  # a tuple of pictures, or of pairs, is a list of them


def test_a_number_before_the_image_is_its_index_and_no_label():
    items = [(index, image, 2 - index) for index, image in enumerate(images_of(3, 9, 9, 3))]
    with pytest.warns(UserWarning, match=r"1 is taken as the image and 2 as the label; left out: \[0\]"):
        assert open_data(items).labels.tolist() == [2, 1, 0]


def test_captions_that_would_each_be_a_class_are_remarked():
    pictures = pil(images_of(3, 9, 9, 3))
    with pytest.warns(UserWarning, match="each image has a label of its own.*file names or captions"):
        open_data([(picture, f"img_{index}.png") for index, picture in enumerate(pictures)])


def test_numbers_that_would_each_be_a_class_are_remarked():
    pictures = images_of(12, 9, 9)
    with pytest.warns(UserWarning, match=r"a label of its own \(0, 1, ...\).*the images' numbers, leave"):
        assert open_data(Pictures(pictures, range(12))).num_classes == 12
    pictures = pictures[:3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # three images may well be of three classes
        assert open_data(Pictures(pictures, range(3))).num_classes == 3
    with pytest.raises(DataError, match="item 1 has the label 10000; .*image's number, leave the labels out"):
        open_data(Pictures(pictures, [9999, 10000, 10001]))


# --- names of classes ---


class Pets(Pictures):
    classes = ("cat", "dog", "fox")
    target_transform = None


def test_parts_of_a_dataset_keep_the_names_of_its_classes():
    whole = Pets(images_of(6, 9, 9))
    assert open_data(whole).class_names == Pets.classes
    for part in (Subset(whole, [0, 1, 3]), random_split(whole, [3, 3])[0], Subset(Subset(whole, range(4)), [2])):
        assert open_data(part).class_names == Pets.classes
    assert open_data(Subset(whole, [5, 0])).labels.tolist() == [2, 0]
    assert open_data(ConcatDataset([whole, whole])).class_names == Pets.classes


@pytest.mark.parametrize(
    ("targets", "names", "labels"),
    [("category", ("Abyssinian", "Beagle", "Sphynx"), [0, 1, 2]), ("binary-category", ("Cat", "Dog"), [0, 1, 0])],
)
def test_pets_of_torchvision_are_named_by_their_breed_or_as_cats_and_dogs(tmp_path, targets, names, labels):
    for folder in ("images", "annotations"):
        (tmp_path / "oxford-iiit-pet" / folder).mkdir(parents=True)
    lines = ["Abyssinian_1 1 1 1", "beagle_1 2 2 1", "Sphynx_1 3 1 2"]
    (tmp_path / "oxford-iiit-pet/annotations/trainval.txt").write_text("\n".join(lines))
    for line, pixels in zip(lines, images_of(3, 9, 9)):
        Image.fromarray(pixels).save(tmp_path / "oxford-iiit-pet/images" / f"{line.split()[0]}.jpg")
    data = open_data(torchvision.datasets.OxfordIIITPet(tmp_path, target_types=targets))
    assert data.class_names == names and data.labels.tolist() == labels


def test_a_dataset_around_another_has_not_its_names():
    class Binary(Dataset):
        def __init__(self, dataset):
            self.dataset = dataset

        def __len__(self):
            return len(self.dataset)

        def __getitem__(self, index):
            image, label = self.dataset[index]
            return image, int(label > 0)

    assert open_data(Binary(Pets(images_of(6, 9, 9)))).class_names == ("0", "1")


def test_one_number_for_two_classes_is_refused():
    with pytest.raises(DataError, match="ConcatDataset: its parts have different classes"):
        open_data(ConcatDataset([Pets(images_of(6, 9, 9)), NamedPictures(images_of(6, 9, 9))]))


@pytest.mark.parametrize(("change", "kept"), [(int, True), (torch.tensor, True), (lambda n: 2 - n, False)])
def test_names_hold_only_if_a_target_transform_keeps_the_numbers(change, kept):
    pets = Pets(images_of(6, 9, 9), item=lambda image, label: (image, change(label)))
    pets.target_transform = change
    assert (open_data(pets).class_names == Pets.classes) is kept


def test_strings_are_numbered_by_the_dataset_s_own_classes():
    pets = Pets(images_of(3, 9, 9), ["fox", "cat", "fox"])
    assert open_data(pets).labels.tolist() == [2, 0, 2]
    with pytest.raises(DataError, match='Pets: item 1 has the label "cta".*Did you mean "cat"'):
        open_data(Pets(images_of(3, 9, 9), ["fox", "cta", "fox"]))


def test_a_column_of_strings_is_labels(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    rows = datasets.Dataset.from_dict({"img": pil(wide_pictures()[:2]), "label": ["dog", "cat"]})
    rows.to_parquet(str(tmp_path / "set.parquet"))
    for source in (rows, f"hf:{tmp_path / 'set.parquet'}", f"hf:{tmp_path / 'set.parquet'}?label=label"):
        data = open_data(source)
        assert (data.class_names, data.labels.tolist()) == (("cat", "dog"), [1, 0])


@pytest.mark.parametrize("labels", [[-1, 3], [0.5, 1.5], ["a", None]])
def test_a_column_that_only_its_name_makes_labels_is_left_out_aloud_if_it_holds_none(labels):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    rows = datasets.Dataset.from_dict({"image": pil(wide_pictures()[:2]), "label": labels})
    with pytest.warns(UserWarning, match='column "label" is not taken for labels: Dataset: row . has the label'):
        assert open_data(rows).labels is None


def test_labels_that_are_hidden_are_no_labels_which_is_said():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]))
    rows = datasets.Dataset.from_dict({"image": pil(wide_pictures()[:2]), "label": [-1, -1]}, features=features)
    images = images_of(2, 9, 9)
    for source in (rows, (images, [-1, -1]), Pets(images, [-1, -1]), Pets(images, [torch.tensor(-1)] * 2)):
        with pytest.warns(UserWarning, match="all labels are -1, which hides them, so there are no classes"):
            data = open_data(source)
        assert data.labels is None and data.class_names == ()


def test_splits_of_a_dict_of_rows_are_those_that_it_has():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    rows = hf_rows(wide_pictures())
    both = datasets.DatasetDict(train=rows, test=rows.select([0]), other=rows)
    assert splits_of(both) == ("train", "test") and splits_of(rows) == ()
    assert len(open_data(both)) == 6 and len(open_data(both, split="test")) == 1


def test_a_part_of_rows_and_rows_with_a_transform_keep_the_class_labels_names():
    rows = hf_rows(wide_pictures()).rename_column("label", "kind").add_column("id", list(range(6)))
    part = open_data(Subset(rows, [5, 0]))
    assert (part.class_names, part.labels.tolist()) == (NAMES, [2, 0])
    with pytest.warns(UserWarning, match='"image" is taken as the image and "kind" as the label; left out: ."id"'):
        data = open_data(rows.with_transform(lambda batch: batch))
    assert (data.class_names, data.labels.tolist()) == (NAMES, LABELS)


def test_rows_of_the_caller_s_may_name_any_file_of_pictures(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.chdir(tmp_path)
    (picture,) = pil(wide_pictures()[:1])
    picture.save("a.png")
    for path in ("a.png", str(tmp_path / "a.png")):
        rows = datasets.Dataset.from_dict({"image": [path]}).cast_column("image", datasets.Image())
        assert open_data(rows).hash == open_data([picture]).hash
    rows = datasets.Dataset.from_dict({"image": ["none.png"]}).cast_column("image", datasets.Image())
    with pytest.raises(DataError, match='Dataset: item 0 names "none.png", which can.t be read'):
        open_data(rows)


def test_a_data_set_of_datasets_without_what_is_asked_is_refused():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    with pytest.raises(DataError, match=r'Dataset has no column of images but text; rename one to "image"'):
        open_data(datasets.Dataset.from_dict({"text": ["a"]}))
    with pytest.raises(DataError, match="Dataset: item 0 is not an image but np.int64.1."):
        open_data(datasets.Dataset.from_dict({"image": [1, 2]}))
    with pytest.raises(DataError, match='Dataset: column "image" holds no pictures'):
        open_data(datasets.Dataset.from_dict({"image": [{"bytes": 1, "path": 2.5}]}))
    with pytest.raises(DataError, match="Dataset: item 0 is not an image but .*a.*dict"):
        open_data(datasets.Dataset.from_dict({"image": [{"a": 1}]}))
    with pytest.raises(DataError, match=r'DatasetDict has no split "test"; give one of it: train'):
        open_data(datasets.DatasetDict(train=hf_rows(wide_pictures())), split="test")


# --- random transforms, memory, ranges, duplicates ---


def test_a_dataset_with_random_transforms_is_remarked(tmp_path):
    folder_of(wide_pictures(), tmp_path / "set")
    flipped = torchvision.datasets.ImageFolder(tmp_path / "set", torchvision.transforms.RandomHorizontalFlip())
    with pytest.warns(UserWarning, match=r"ImageFolder: item \d is another image each time.*flip=True and augmenta"):
        open_data(flipped, image_size=8)


class Many(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return torch.linspace(-1, 1, 3 * 64 * 64).reshape(3, 64, 64)


@pytest.mark.parametrize(
    "source", [Many(2000), torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64).expand(2000, -1, -1, -1)]
)
def test_images_of_a_dataset_become_bytes_one_by_one_outside_memory(source):
    import tracemalloc

    open_data(Many(1))  # imports
    tracemalloc.start()
    data = open_data(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.images.nbytes == 2000 * 3 * 64 * 64 and peak < data.images.nbytes / 10
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]  # nothing is left of it later


def test_a_full_disk_is_said_for_a_dataset_too(monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganzoo.data.cache.tempfile.TemporaryFile", full)
    with pytest.raises(DataError, match="No space left on device.*GANZOO_CACHE"):
        open_data(Many(2))


DARK = np.random.default_rng(0).random((32, 32))


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("float01.tif", DARK.astype("float32"), "no pixel is above 1 of 255"),
        ("bits12.tif", (DARK * 4095).astype("uint16"), "no pixel is above 16 of 255"),
        ("int32.tif", (DARK * 255).astype("int32"), "no pixel is above 1 of 255"),
        ("mask.png", (DARK > 0.5).astype("uint8"), "no pixel is above 1 of 255"),
        (
            "white.png",
            np.full((32, 32), 255, np.uint8),
            "1 of 1 pictures looked at are wholly white; if they are drawings",
        ),
    ],
)
def test_pictures_that_do_not_span_the_range_are_remarked_at_every_door(tmp_path, name, array, said):
    Image.fromarray(array).save(tmp_path / name)
    for source in (tmp_path, [Image.open(tmp_path / name)]):
        with pytest.warns(UserWarning, match=said):
            open_data(source)


def test_drawings_whose_shape_is_in_the_transparency_are_not_remarked():
    shape = np.zeros((6, 6, 4), np.uint8)
    shape[2:4, 2:4, 3] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_data([Image.fromarray(shape)], image_channels=4)
    with pytest.warns(UserWarning, match="wholly black.*--ground white"):
        open_data([Image.fromarray(shape)], image_channels=3, ground="black")


def test_duplicates_are_counted():
    images = images_of(6, 9, 9)
    images[[2, 5]] = images[0]
    data = open_data(images)
    assert data.duplicates.tolist() == [2, 5]
    assert describe(data)["duplicates"] == 2 and describe(open_data(images[[0, 1]]))["duplicates"] == 0


def test_a_run_is_trained_on_arrays_and_resumed_with_them(tmp_path):
    images, labels = images_of(12, 28, 28), [f"kind {index % 3}" for index in range(12)]
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
    quiet = {"progress": False, "sample_every": 0, "report_every": 0, "doctor_every": 0, "score_every": 0}
    ganzoo.Trainer(gan, (images, labels), tmp_path / "run", steps=1, batch_size=4, **quiet).fit()
    resumed = ganzoo.Trainer.resume(tmp_path / "run", data=(pil(images), labels), progress=False)
    assert resumed.data.class_names == ("kind 0", "kind 1", "kind 2")


def test_floats_that_are_not_of_0_to_255_are_not_advised_to_become_bytes():
    with pytest.raises(DataError, match=r"got 0 to 1.5; scale it"):
        open_data(np.linspace(0, 1.5, 64).reshape(1, 1, 8, 8))
    with pytest.raises(DataError, match=r"got 0 to 255; give uint8"):
        open_data(np.linspace(0, 255, 64).reshape(1, 1, 8, 8))


def test_floats_that_rounding_put_a_little_beyond_the_range_are_cut_off():
    images = torch.tensor([-1.0004, -1, 1, 1.0000002]).reshape(1, 1, 2, 2)
    assert open_data(images).images.flatten().tolist() == [0, 0, 255, 255]
    with pytest.raises(DataError, match="got -1 to 1.002; scale it"):
        open_data(np.linspace(-1, 1.002, 64).reshape(1, 1, 8, 8))


def test_an_array_that_is_read_only_is_taken_without_a_warning():
    array = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_data(array)) == 1


def test_a_folder_of_save_to_disk_is_called_what_it_is_behind_hf_too(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"label": [0]}).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match="save_to_disk of the datasets library wrote them.*load_from_disk"):
        open_data(f"hf:{tmp_path / 'set'}")


@pytest.mark.parametrize(
    "query, said",
    [
        ("stream", "options are written as"),
        ("split=", "split must be given once, with a value"),
        ("split=test&split=train", "split must be given once"),
        ("splt=test", 'Did you mean "split"'),
    ],
)
def test_an_option_of_hf_that_would_be_dropped_is_refused(query, said):
    with pytest.raises(DataError, match=said):
        open_data(f"hf:owner/name?{query}")


def test_shards_are_streamed_and_a_folder_of_them_has_splits_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "set").mkdir()
    for split, indices in (("train", range(4)), ("test", range(4, 6))):
        shard(wide_pictures(), indices, tmp_path / "set" / f"{split}-0")
    name = f"hf:{tmp_path / 'set'}"
    assert splits_of(name) == ("train", "test")
    assert [len(open_data(name, split=split, image_size=8)) for split in ("train", "test")] == [4, 2]
    streamed = open_data(f"{name}?stream=yes", image_size=8)
    assert streamed.stream is not None and streamed.images.shape == (4, 3, 8, 8)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(gzip.compress(b"0" * 2000)), "is not a plain tar file"),
        (lambda path: shard_of(path, [("0.png", 1000), ("1.png", 70_000_000)]), "takes more than 64,000,000 bytes"),
        (lambda path: shard_of(path, [("0.png", 10), ("0.png", 10)]), "holds .*0.png.* twice"),
        (lambda path: shard_of(path, [("0.npy", 10)]), "can't be opened"),
        (lambda path: None, "there is no such file"),
    ],
)
def test_a_shard_that_is_none_is_refused_before_it_is_unpacked(write, words, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    write(tmp_path / "part.tar")
    with pytest.raises(DataError, match=words):
        open_data(f"hf:{tmp_path / 'part.tar'}")


def shard_of(path, members):
    """A shard of members of zeros, which claim the size given; the file has holes for them."""
    with tarfile.open(path, "w") as archive, open("/dev/zero", "rb") as zeros:
        for name, size in members:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, zeros)
