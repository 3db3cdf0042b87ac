"""torch-fidelity, called as its users call it, measures in our features what `compare` measures."""

import sys

import pytest
import torch
from torch.utils.data import Dataset

import ganzoo
from ganzoo.data import open_data
from ganzoo.errors import MissingExtraError
from ganzoo.evaluation import metrics as scores
from ganzoo.evaluation.features import FEATURES
from ganzoo.images import to_uint8
from ganzoo.integrations.fidelity import register
from ganzoo.seeds import derive_seed


class Bytes(Dataset):
    """Images (N, 1, H, W) in [-1, 1] as torch-fidelity takes them: bytes (3, H, W)."""

    def __init__(self, images):
        self.images = to_uint8(images).expand(-1, 3, -1, -1)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def test_the_whole_pipeline_of_torch_fidelity_finds_what_compare_finds(tmp_path):
    fidelity = pytest.importorskip("torch_fidelity")
    real = torch.from_numpy(open_data("fashion-mnist-mini").images[:300]).float() / 127.5 - 1
    fake = ganzoo.from_pretrained("fashion-mnist").sample(300, seed=0)
    space = FEATURES.make("fashion-net")
    found = fidelity.calculate_metrics(
        input1=Bytes(fake), input2=Bytes(real), feature_extractor=register(space), fid=True, kid=True, prc=True,
        cuda=False, verbose=False, cache=False, cache_root=str(tmp_path), samples_shuffle=False,
        prc_neighborhood=scores.K, kid_subsets=10, kid_subset_size=150, rng_seed=derive_seed(0, "kernel") % 2**32,
    )  # fmt: skip
    metrics = scores.make_metrics(("fd", "kd(subsets=10)", "prdc"))
    ours = scores.compare(*(space(to_uint8(images).float() / 127.5 - 1) for images in (real, fake)), metrics)
    assert found["frechet_inception_distance"] == pytest.approx(ours["FD"].value, rel=1e-4)
    assert found["kernel_inception_distance_mean"] == pytest.approx(ours["KD(subsets=10)"].value, rel=1e-3)
    assert found["precision"] == pytest.approx(ours["precision"].value, abs=1e-7)
    assert found["recall"] == pytest.approx(ours["recall"].value, abs=1e-7)


def test_registered_twice_the_features_keep_their_name():
    pytest.importorskip("torch_fidelity")
    assert register(FEATURES.make("fashion-net")) == register(FEATURES.make("fashion-net"))


def test_without_torch_fidelity_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingExtraError, match=r"ganzoo-torch\[metrics\]"):
        register(FEATURES.make("fashion-net"))
