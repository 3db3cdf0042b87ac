"""Push and pull over real HTTP, with the real client, against `hub_server.HubServer`.

What this proves: that we use the client's side of the protocol rightly, and what we say when the other side refuses.
What it does not: that the real Hub answers as the server here does; that is a person's first push.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import load_file

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import (
    ConfigError,
    GanzooError,
    HubAccessError,
    HubConflictError,
    HubConnectionError,
    HubDamagedError,
    HubError,
    HubMissingError,
    SourceError,
    WeightsError,
)
from ganzoo.hub import client, remote
from ganzoo.hub.push import push_folder
from ganzoo.hub.remote import pull
from ganzoo.hub_errors import hub_errors
from ganzoo.runs.card import model_card, whole_card
from ganzoo.saving.model import LAYOUT, SavedModel
from ganzoo.saving.results import Figure, weights_hash
from hub_api import httpx

OWNER, READER = "hf_owner", "hf_reader"
NAME = "owner/gan"
FIGURE = Figure(
    name="FD", value=1.5, features="net", how="100 samples", data="mini", split="test", command="ganzoo evaluate it"
)


def small(seed=0, **options):
    return ganzoo.create(
        "fashion-mnist", image_size=8, seed=seed,
        generator={"latent_size": 4, "widths": (8, 4), **options}, discriminator={"widths": (4, 8)},
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    gan = small()
    folder = gan.save_pretrained(tmp_path / "saved", generator_raw=small(1).generator)
    ganzoo.images.save(ganzoo.images.grid(gan.sample(4, seed=0)), folder / "samples" / "grid.png")
    return folder


@pytest.fixture
def usual_hub(hub, monkeypatch):
    """The Hub that is asked, as a reader, if nothing is said of one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    address = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setenv("HF_TOKEN", READER)
    return hub


def push(hub, folder, name=NAME, token=OWNER, **options):
    return push_folder(folder, name, token=token, endpoint=hub.endpoint, **options)


def load(hub, name=NAME, token=READER, **options):
    return ganzoo.from_pretrained(name, token=token, endpoint=hub.endpoint, **options)


def downloads(hub):
    return [path for method, path in hub.requests if method == "GET" and "/resolve/" in path]


def held(hub, revision="main"):
    return set(hub.files(NAME, revision)) - {".gitattributes"}


# --- the round trip ---------------------------------------------------------------------------------------------


def test_what_is_pushed_pulled_and_sampled_is_equal_to_the_bit(hub, saved, tmp_path):
    pushed = push(hub, saved)
    assert pushed.changed and pushed.url == f"{hub.endpoint}/{NAME}" and len(pushed.commit) == 40
    pull(NAME, tmp_path / "pulled", token=READER, endpoint=hub.endpoint)
    here = ganzoo.from_pretrained(saved).sample(5, seed=3)
    assert torch.equal(ganzoo.from_pretrained(tmp_path / "pulled").sample(5, seed=3), here)
    assert torch.equal(load(hub).sample(5, seed=3), here)
    for name in LAYOUT:
        if name != "README.md" and (saved / name).exists():
            assert (tmp_path / "pulled" / name).read_bytes() == (saved / name).read_bytes(), name


def test_a_gan_pushes_itself_with_a_grid_and_a_card(hub):
    gan = small()
    pushed = gan.push_to_hub(NAME, token=OWNER, endpoint=hub.endpoint, private=True, dtype="float16")
    assert pushed.commit == hub.repositories[NAME].branches["main"][-1].oid and hub.repositories[NAME].private
    assert held(hub) == {
        "config.json", "model.safetensors", "discriminator/config.json", "discriminator/model.safetensors",
        "samples/grid.png", "README.md",
    }  # fmt: skip
    card = hub.files(NAME)["README.md"].decode()
    assert "library_name: ganzoo" in card and "pipeline_tag: unconditional-image-generation" in card and NAME in card
    assert torch.allclose(load(hub, token=OWNER).sample(2, seed=0), gan.sample(2, seed=0), atol=0.02)


def test_the_commit_has_the_message_that_is_given_or_names_the_model(hub, saved):
    push(hub, saved)
    small(5).save_pretrained(saved)
    push(hub, saved, message="Better hands")
    titles = [commit.title for commit in hub.repositories[NAME].branches["main"]]
    assert titles[-2:] == ["Model of ganzoo: saved", "Better hands"]


def test_a_large_file_goes_by_lfs_and_comes_back(hub, tmp_path):
    gan = small(widths=(1024, 256))  # 17 MB
    push(hub, gan.save_pretrained(tmp_path / "large"))
    assert any(path.endswith("/info/lfs/objects/batch") for _, path in hub.requests)
    assert len(hub.files(NAME)["model.safetensors"]) > 15_000_000
    assert torch.equal(load(hub).sample(1, seed=0), gan.sample(1, seed=0))


def test_pushing_again_without_changes_makes_no_commit(hub, saved):
    first = push(hub, saved)
    again = push(hub, saved)
    assert (again.commit, again.changed) == (first.commit, False)
    small(5).save_pretrained(saved)
    assert push(hub, saved).changed


def test_what_an_earlier_model_left_in_the_repository_goes(hub, saved, tmp_path):
    hub.add(NAME, {"notes.txt": b"a person's"})
    push(hub, saved)
    second = small(7)
    second.push_to_hub(NAME, token=OWNER, endpoint=hub.endpoint)
    assert held(hub) == {
        "config.json", "model.safetensors", "discriminator/config.json", "discriminator/model.safetensors",
        "samples/grid.png", "README.md", "notes.txt",
    }  # fmt: skip
    second.discriminator = None
    pushed = push(hub, second.save_pretrained(tmp_path / "alone"))
    assert held(hub) == {"config.json", "model.safetensors", "README.md", "notes.txt"} and pushed.changed
    with pytest.raises(SourceError, match="holds no discriminator"):
        load(hub, discriminator=True)
    assert not push(hub, tmp_path / "alone").changed


def test_a_card_of_other_weights_is_renewed_before_it_is_pushed(hub, saved):
    text = whole_card(replace(model_card(saved, "it"), figures=(FIGURE,)))
    (saved / "README.md").write_text(text + "\nMy own words.\n")
    push(hub, saved)
    assert "| FD | 1.5" in hub.files(NAME)["README.md"].decode()
    small(5).save_pretrained(saved)
    assert not (saved / "samples" / "grid.png").exists()  # another's
    push(hub, saved)
    card = hub.files(NAME)["README.md"].decode()
    assert weights_hash(saved) in card and "Not measured." in card and "My own words." in card
    assert "1.5" not in card and "model-index" not in card and "grid.png" not in card
    assert (saved / "README.md").read_text() == text + "\nMy own words.\n"


def test_a_card_of_a_persons_own_is_pushed_as_it_is(hub, saved):
    (saved / "README.md").write_text("Mine.")
    (saved / "evaluation.json").write_text('{"fid": 3}')  # another program's
    push(hub, saved)
    assert hub.files(NAME)["README.md"] == b"Mine."


@pytest.mark.parametrize(("status", "said"), [(401, None), (403, None), (500, "answered 500"), (503, "answered 503")])
def test_a_card_is_not_pushed_if_the_hub_cannot_say_whether_there_is_a_demo(hub, saved, monkeypatch, status, said):
    """401 and 403 are answers: there is none that this account may see."""
    ask = HfApi.repo_info

    def answered(self, repo_id, *, repo_type=None, **options):
        if repo_type != "space":
            return ask(self, repo_id, repo_type=repo_type, **options)
        response = httpx.Response(status, request=httpx.Request("GET", hub.endpoint))
        raise HfHubHTTPError("no", response=response)

    monkeypatch.setattr(HfApi, "repo_info", answered)
    if said is None:
        assert push(hub, saved).changed
    else:
        with pytest.raises(HubError, match=said):
            push(hub, saved)
        assert "README.md" not in hub.files(NAME)


@pytest.mark.parametrize("name", ["README.md", "samples/grid.png", "discriminator/config.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_not_pushed(hub, saved, tmp_path, name):
    secret = tmp_path / "id_ed25519"
    secret.write_bytes((saved / name).read_bytes() if (saved / name).exists() else b"PRIVATE KEY")
    (saved / name).unlink(missing_ok=True)
    (saved / name).symlink_to(secret)
    with pytest.raises(
        ConfigError, match=f"{name} is a link out of the folder, to .*id_ed25519, and would be published"
    ):
        push(hub, saved)
    assert not hub.requests
    if name == "README.md":
        return
    (saved / name).unlink()
    (saved / "inside").write_bytes(secret.read_bytes())
    (saved / name).symlink_to(saved / "inside")
    (tmp_path / "link").symlink_to(saved)
    assert push(hub, tmp_path / "link").changed


def test_modules_of_ones_own_are_not_pushed(hub):
    gan = ganzoo.GAN(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Unflatten(1, (1, 2, 2))), latent_size=4)
    with pytest.raises(WeightsError, match="nobody could load a Sequential from owner/gan: register it"):
        gan.push_to_hub(NAME, token=OWNER, endpoint=hub.endpoint)


def test_a_run_is_pushed_as_it_is_without_its_checkpoints(hub, tmp_path):
    data = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    options = {"batch_size": 8, "steps": 3, "checkpoint_every": 1, "score_every": 1, "progress": False}
    ganzoo.Trainer(small(), data, tmp_path / "run", **options).fit()
    (tmp_path / "run" / "model" / "optimizer.safetensors").write_bytes(b"mine")
    (tmp_path / "run" / "model" / ".env").write_text("SECRET=1")
    (tmp_path / "run" / "model" / "samples" / "other.png").write_bytes(b"x")
    push(hub, tmp_path / "run")
    assert held(hub) <= set(LAYOUT) and {"README.md", "generator_raw/model.safetensors"} <= held(hub)
    assert "3" in hub.files(NAME)["README.md"].decode()


def test_sampling_never_downloads_the_discriminator(hub, saved):
    push(hub, saved)
    load(hub)
    assert not any("discriminator" in path or "generator_raw" in path for path in downloads(hub))
    assert load(hub, discriminator=True).discriminator is not None
    assert any("discriminator" in path for path in downloads(hub))


def test_the_config_is_asked_for_first_and_the_library_is_named(hub, saved):
    push(hub, saved)
    hub.requests.clear()
    load(hub)
    first = next(path for _, path in hub.requests if "/resolve/" in path)
    assert first.endswith("/config.json")
    assert any(agent.startswith(f"ganzoo/{ganzoo.__version__}") for agent in hub.agents)


def test_branches_tags_and_commits_are_pinned(hub, saved):
    first = push(hub, saved)
    HfApi(endpoint=hub.endpoint, token=OWNER).create_tag(NAME, tag="v1", revision=first.commit)
    other = small(7)
    second = push(hub, other.save_pretrained(saved.parent / "other"), revision="tries/one")
    third = push(hub, small(9).save_pretrained(saved.parent / "third"))
    sample = {name: load(hub, revision=name).sample(1, seed=0) for name in ("v1", first.commit, "tries/one", "main")}
    assert torch.equal(sample["v1"], ganzoo.from_pretrained(saved).sample(1, seed=0))
    assert torch.equal(sample["v1"], sample[first.commit])
    assert torch.equal(sample["tries/one"], other.sample(1, seed=0))
    assert len({first.commit, second.commit, third.commit}) == 3
    assert torch.equal(load(hub).sample(1, seed=0), sample["main"]) and not torch.equal(sample["v1"], sample["main"])


def test_a_pull_request_leaves_main_as_it_is(hub, saved):
    push(hub, saved)
    before = hub.files(NAME)
    proposed = push(hub, small(3).save_pretrained(saved.parent / "other"), create_pr=True)
    assert hub.files(NAME) == before and "/discussions/1" in proposed.url
    assert torch.equal(load(hub, revision="refs/pr/1").sample(1, seed=0), small(3).sample(1, seed=0))
    push(hub, small(4).save_pretrained(saved.parent / "again"), revision="refs/pr/1")
    assert hub.files(NAME) == before and sorted(hub.repositories[NAME].branches) == ["main"]
    assert torch.equal(load(hub, revision="refs/pr/1").sample(1, seed=0), small(4).sample(1, seed=0))


def test_all_files_come_from_the_commit_of_the_config(hub, saved, monkeypatch):
    """Another push between two downloads must not mix two models."""
    push(hub, saved)
    opened = remote._Repository.open

    def then_another_push(self):
        path = opened(self)
        push(hub, small(8, widths=(4, 4)).save_pretrained(saved.parent / "other"))
        return path

    monkeypatch.setattr(remote._Repository, "open", then_another_push)
    assert torch.equal(load(hub).sample(1, seed=0), ganzoo.from_pretrained(saved).sample(1, seed=0))


def test_a_warm_cache_needs_no_network_and_asks_for_nothing(hub, saved, monkeypatch):
    from huggingface_hub import constants

    push(hub, saved)
    images = load(hub).sample(2, seed=0)
    hub.requests.clear()
    assert torch.equal(load(hub, local_files_only=True).sample(2, seed=0), images)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(load(hub).sample(2, seed=0), images)
    assert hub.requests == []
    with pytest.raises(HubConnectionError, match="local_files_only"):
        load(hub, "owner/other", local_files_only=True)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_out_of_order_is_taken_for_one_that_is_away(hub, saved, monkeypatch, status):
    push(hub, saved)
    images = load(hub).sample(2, seed=0)

    def down(*_, **__):
        response = httpx.Response(status, request=httpx.Request("GET", hub.endpoint))
        raise HfHubHTTPError("no", response=response)

    monkeypatch.setattr(HfApi, "model_info", down)
    assert torch.equal(load(hub).sample(2, seed=0), images)
    with pytest.raises(HubConnectionError, match=f"the Hub answered {status} .*; try again later"):
        load(hub, "owner/other")


def test_pull_needs_the_network_and_says_why_it_has_none(hub, saved, tmp_path, monkeypatch):
    push(hub, saved)
    load(hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubConnectionError, match="the Hub can't be reached .*HF_HUB_OFFLINE"):
        pull(NAME, tmp_path / "pulled", endpoint=hub.endpoint)
    assert not (tmp_path / "pulled").exists()


def test_a_part_that_is_not_in_the_cache_is_not_taken_for_one_that_is_not_there(usual_hub, saved, monkeypatch):
    from huggingface_hub import constants

    from ganzoo.training.finetuning import continued

    push(usual_hub, saved)
    load(usual_hub)
    for offline in (False, True):  # asked for by the user, and because nobody answers
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(HubConnectionError, match="owner/gan: its discriminator is not in the cache"):
            load(usual_hub, discriminator=True, local_files_only=not offline)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    load(usual_hub, discriminator=True)
    for folder in Path(constants.HF_HUB_CACHE).glob("models--owner--gan/snapshots/*/generator_raw"):
        shutil.rmtree(folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.warns(UserWarning, match="its generator_raw is not in the cache.*the averaged one is taken"):
        averaged = continued(NAME)[0].sample(2, seed=0)
    assert torch.equal(averaged, ganzoo.from_pretrained(saved).sample(2, seed=0))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    online = continued(NAME)[0].sample(2, seed=0)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(continued(NAME)[0].sample(2, seed=0), online)


def test_a_part_that_the_hub_does_not_have_is_not_wanted_offline(usual_hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    from ganzoo.training.finetuning import continued

    push(usual_hub, small().save_pretrained(tmp_path / "without a raw generator"))
    online = continued(NAME)[0].sample(2, seed=0)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(continued(NAME)[0].sample(2, seed=0), online)


def test_a_part_whose_download_fails_is_not_taken_for_one_that_is_not_there(hub, saved):
    push(hub, saved)
    hub.fail("discriminator/model.safetensors", status=500)
    with pytest.raises(HubError, match="500"):
        load(hub, discriminator=True)


def test_a_second_load_downloads_nothing(hub, saved):
    push(hub, saved)
    load(hub)
    before = downloads(hub)
    load(hub)
    assert downloads(hub) == before


def test_a_cache_of_ones_own_is_used(hub, saved, tmp_path):
    push(hub, saved)
    load(hub, cache_dir=tmp_path / "mine")
    assert list((tmp_path / "mine").rglob("model.safetensors"))


def test_training_goes_on_from_the_hub(usual_hub, saved, tmp_path, monkeypatch):
    from ganzoo.training.finetuning import continued

    push(usual_hub, saved)
    gan, remarks = continued(NAME)
    assert remarks == []
    for name, value in load_file(saved / "generator_raw" / "model.safetensors").items():
        assert torch.equal(gan.generator.state_dict()[name], value)


def test_a_pulled_folder_takes_nothing_of_the_model_before(hub, saved, tmp_path):
    push(hub, saved)
    target = pull(NAME, tmp_path / "pulled", token=READER, endpoint=hub.endpoint)
    (target / "notes.txt").write_text("mine")
    alone = small(2)
    alone.discriminator = None
    push(hub, alone.save_pretrained(tmp_path / "alone"), name="owner/alone")
    pull("owner/alone", target, token=READER, endpoint=hub.endpoint)
    assert not (target / "discriminator").exists() and not (target / "generator_raw").exists()
    assert (target / "notes.txt").read_text() == "mine"
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(ConfigError, match="something else than a saved model"):
        pull(NAME, tmp_path / "letters", token=READER, endpoint=hub.endpoint)


def test_a_folder_in_which_a_file_manager_alone_wrote_is_pulled_into(hub, saved, tmp_path):
    push(hub, saved)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".DS_Store").touch()
    assert pull(NAME, tmp_path / "new", token=READER, endpoint=hub.endpoint).joinpath("config.json").is_file()


@pytest.mark.parametrize("config", ['{"architectures": ["Bert"]}', "{", '{"format": 1}'])
def test_another_librarys_model_is_not_pulled_over(hub, saved, tmp_path, config):
    push(hub, saved)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="something else than a saved model"):
        pull(NAME, tmp_path / "other", token=READER, endpoint=hub.endpoint)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"x"},
        {"config.json": b" " * 1_000_001, "model.safetensors": b"x"},
        {"model.safetensors": b"x"},
        {
            "model.onnx": b"x",
            "README.md": b"# theirs",
            "samples/grid.png": b"x",
            "discriminator/model.safetensors": b"x",
        },
    ],
    ids=["transformers", "a large config", "weights", "onnx"],
)
def test_another_librarys_model_is_not_pushed_over(hub, saved, files):
    hub.add(NAME, files)
    with pytest.raises(ConfigError, match=f"{NAME} holds .*model.* of something else .* new repository"):
        push(hub, saved)
    assert {name: hub.files(NAME)[name] for name in files} == files
    assert len(files.get("config.json", b"")) < 1_000_000 or not downloads(hub)


def test_another_librarys_model_is_not_pushed_over_on_a_branch(hub, saved):
    push(hub, saved)
    HfApi(endpoint=hub.endpoint, token=OWNER).create_branch(NAME, branch="theirs")
    hub.repositories[NAME].commit({"config.json": b'{"architectures": ["Bert"]}'}, "theirs")
    before = hub.files(NAME, "theirs")
    with pytest.raises(ConfigError, match=f"{NAME}, revision theirs, holds config.json.* of something else"):
        push(hub, saved, revision="theirs")
    assert hub.files(NAME, "theirs") == before and push(hub, saved, revision="ours").url


def test_a_branch_of_ours_is_pushed_to_though_main_is_another_librarys_and_none_is_made_from_it(hub, saved):
    push(hub, saved)
    HfApi(endpoint=hub.endpoint, token=OWNER).create_branch(NAME, branch="ours")
    hub.repositories[NAME].commit({"config.json": b'{"architectures": ["Bert"]}'})
    assert push(hub, small(7).save_pretrained(saved.parent / "other"), revision="ours").changed
    with pytest.raises(ConfigError, match="something else than a model of ganzoo"):
        push(hub, saved, revision="new")
    assert sorted(hub.repositories[NAME].branches) == ["main", "ours"]


def test_pictures_of_ones_own_beside_the_models_stay(hub, saved, tmp_path):
    push(hub, saved)
    target = small(3).save_pretrained(tmp_path / "there")
    (target / "samples").mkdir()
    for name in ("mine.png", "losses.png"):
        (target / "samples" / name).write_text(name)
    pull(NAME, target, token=READER, endpoint=hub.endpoint)
    assert sorted(path.name for path in (target / "samples").iterdir()) == ["grid.png", "mine.png"]


@pytest.mark.parametrize("folder", ["run", "run/model"])
def test_a_run_is_pushed_with_a_card_of_now_by_either_of_its_folders(hub, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    data = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    ganzoo.Trainer(small(), data, "run", batch_size=8, steps=2, score_every=0, progress=False).fit()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    facts["command"] = "ganzoo train what-was-recorded-since"
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    assert run(["push", folder, NAME, "--endpoint", hub.endpoint]) == 0
    assert b"what-was-recorded-since" in hub.files(NAME)["README.md"]


# --- the command line -------------------------------------------------------------------------------------------


def test_push_pull_and_sample_by_command(hub, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    there = ["--endpoint", hub.endpoint]
    assert run(["push", "saved", NAME, "--private", *there]) == 0
    assert NAME in capsys.readouterr().out and hub.repositories[NAME].private
    assert run(["push", "saved", NAME, *there]) == 0
    assert "the same already" in capsys.readouterr().out
    assert run(["pull", NAME, "deep/pulled", *there]) == 0
    assert run(["sample", NAME, "--count", "4", "--output", "hub.png", *there]) == 0
    assert run(["sample", "deep/pulled", "--count", "4", "--output", "here.png"]) == 0
    assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "here.png").read_bytes()
    assert run(["pull", "owner/nothing", "x", *there]) == 2
    assert "owner/nothing is not on the Hub, or private" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


# --- what is refused --------------------------------------------------------------------------------------------


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda folder: (folder / "config.json").unlink(), SourceError),
        (lambda folder: (folder / "model.safetensors").unlink(), SourceError),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04K\x01."), WeightsError),
        (lambda folder: (folder / "discriminator" / "model.safetensors").write_bytes(b"no"), WeightsError),
        (lambda folder: (folder / "generator_raw" / "model.safetensors").write_bytes(b"no"), WeightsError),
        (lambda folder: (folder / "generator_raw" / "config.json").write_text("{}"), GanzooError),
    ],
)
def test_what_cannot_be_loaded_is_not_pushed(hub, saved, change, error):
    change(saved)
    hub.requests.clear()
    with pytest.raises(error):
        push(hub, saved)
    assert hub.requests == [] and NAME not in hub.repositories


@pytest.mark.parametrize("name", ["", "bare", "a/b/c", "/", 3, "own er/gan", "-owner/gan", "owner/gan.git"])
def test_names_that_the_hub_does_not_allow_are_said(hub, saved, name):
    with pytest.raises(ConfigError, match="repo_id must look like owner/name"):
        push(hub, saved, name=name)


@pytest.mark.parametrize("name", [None, "me/..", "..", "me/../gan"])
def test_a_name_that_is_a_way_out_of_a_folder_touches_no_file(hub, tmp_path, monkeypatch, name):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ConfigError, match="repo_id must look like owner/name"):
        small().push_to_hub(name, token=OWNER, endpoint=hub.endpoint)
    assert list(tmp_path.iterdir()) == [] and hub.requests == []


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_each_refusal_has_its_words_and_its_type(hub, saved):
    push(hub, saved)
    files = {name: (saved / name).read_bytes() for name in LAYOUT if (saved / name).exists()}
    hub.add("owner/secret", files, private=True, readers={"owner"})
    hub.add("owner/gated", files, gated=True, readers={"owner"})
    hub.add("owner/closed", files, disabled=True)
    cases = [
        ({"name": "owner/nothing"}, HubMissingError, "owner/nothing is not on the Hub, or private: check the name"),
        ({"revision": "v9"}, HubMissingError, 'owner/gan has no revision "v9"; name a branch, tag or commit'),
        ({"name": "owner/secret"}, HubMissingError, "not on the Hub, or private"),
        ({"name": "owner/gated"}, HubAccessError, "owner/gated is gated: accept its terms"),
        ({"name": "owner/closed"}, HubAccessError, "owner/closed has been disabled by the Hub"),
        ({"token": "hf_wrong"}, HubAccessError, "the Hub refuses the token"),
    ]
    for options, error, said in cases:
        with pytest.raises(error, match=said) as caught:
            load(hub, **options)
        assert isinstance(caught.value, HubError) and caught.value.__cause__ is not None, options
        assert "hf_" not in str(caught.value)


def test_a_mistyped_path_is_not_sent_to_the_hub(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "fashion").mkdir(parents=True)
    for command in (["sample", "runs/fashon"], ["train", "--from", "runs/fashon", "--data", "runs"]):
        assert run([*command, *(["--endpoint", hub.endpoint] if command[0] == "sample" else [])]) == 2
        said = capsys.readouterr().err
        assert "the folder runs is here" in said and 'holds no "fashon". Did you mean "fashion"?' in said
    assert not hub.requests


def test_a_name_that_is_nowhere_says_both(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = rf'owner/nothing is not on the Hub, or private.* no folder "owner/nothing" here either \({tmp_path}\)'
    with pytest.raises(HubMissingError, match=both) as caught:
        load(hub, "owner/nothing")
    assert caught.value.__cause__ is not None
    with pytest.raises(HubConnectionError, match='no folder "owner/nothing" here either'):
        load(hub, "owner/nothing", local_files_only=True)


def test_a_source_is_resolved_once_and_stays_one_commit(usual_hub, saved, monkeypatch):
    from ganzoo.training.finetuning import continued

    push(usual_hub, saved)
    gan = load(usual_hub)
    assert gan.folder.name == usual_hub.repositories[NAME].branches["main"][-1].oid
    build = SavedModel.build

    def then_another_push(model):
        monkeypatch.setattr(SavedModel, "build", build)
        push(usual_hub, small(8).save_pretrained(saved.parent / "other", generator_raw=small(9).generator))
        return model.build()

    monkeypatch.setattr(SavedModel, "build", then_another_push)
    gan, _ = continued(NAME)
    raw = load_file(saved / "generator_raw" / "model.safetensors")
    assert all(torch.equal(value, raw[name]) for name, value in gan.generator.state_dict().items())
    assert gan.source == NAME


@pytest.mark.parametrize("where", ["here", "on the Hub"])
def test_each_file_of_a_model_is_parsed_once_to_load_it(hub, saved, monkeypatch, where):
    from ganzoo.saving import format, weights

    push(hub, saved)
    source, options = (str(saved), {}) if where == "here" else (NAME, {"token": READER, "endpoint": hub.endpoint})
    parsed = []

    def parse(text, place):
        parsed.append(str(Path(*Path(place).parts[-2:])) if "discriminator" in place else Path(place).name)
        return parse_json(text, place)

    parse_json = format.parse_json
    for module in (format, weights):
        monkeypatch.setattr(module, "parse_json", parse)
    ganzoo.from_pretrained(source, discriminator=True, **options)
    files = ["config.json", "model.safetensors (header)"]  # the description that stands in its header
    assert sorted(parsed) == sorted([*files, *(f"discriminator/{file}" for file in files)])


def test_a_missing_file_is_named(hub, saved):
    push(hub, saved)
    hub.repositories[NAME].commit({"model.safetensors": None})
    with pytest.raises(HubMissingError, match=r"lacks a file that a ganzoo model has \(\"model.safetensors\"\)"):
        load(hub)
    hub.repositories[NAME].commit({"discriminator/config.json": None})
    push(hub, saved)
    hub.repositories[NAME].commit({"discriminator/config.json": None})
    with pytest.raises(SourceError, match="holds no discriminator"):
        load(hub, discriminator=True)


def test_an_account_without_the_right_to_write_is_told(hub, saved):
    push(hub, saved)
    for name in (NAME, "owner/new"):
        with pytest.raises(HubAccessError, match="no right to do that"):
            push(hub, small(4).save_pretrained(saved.parent / "other"), name=name, token=READER)
    with pytest.raises(HubAccessError):
        push(hub, saved, token="hf_wrong")


def test_on_another_hub_an_account_without_the_right_to_write_is_told(hub, saved, monkeypatch):
    push(hub, saved)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://localhost:9")  # of another host than this Hub
    with pytest.raises(HubAccessError, match="no right to do that"):
        push(hub, saved, token=READER)


def test_pushing_without_a_token_says_where_one_comes_from(hub, saved, monkeypatch):
    with pytest.raises(HubAccessError, match="hf auth login"):
        push(hub, saved, token=None)
    assert NAME not in hub.repositories


def test_another_commit_in_the_meantime_is_not_overwritten(hub, saved):
    push(hub, saved)
    hub.race(NAME, {"notes.txt": b"theirs"})
    with pytest.raises(HubConflictError, match="has changed in the meantime"):
        push(hub, small(4).save_pretrained(saved.parent / "other"))
    assert hub.files(NAME)["notes.txt"] == b"theirs"
    assert push(hub, saved.parent / "other").changed


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": json.dumps({"model_type": "b\x1b[31m" + "x" * 9000}).encode()},
        {"config.json": json.dumps({"k\x1b[31m" + "x" * 9000: 1}).encode()},
        {"\x1b[31m" + "x" * 900 + ".pkl": b"x"},
        {"\x1b[31m" + "x" * 900: b"x"},
    ],
)
def test_what_a_stranger_wrote_is_quoted_and_cut(hub, files):
    hub.add("owner/other", files)
    with pytest.raises(HubMissingError) as caught:
        load(hub, "owner/other")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "files, looks",
    [
        ({"config.json": b'{"model_type": "bert", "architectures": ["Bert"]}'}, 'a model of transformers ."bert".'),
        ({"config.json": b'{"architecture": "resnet18"}'}, "a model of timm"),
        ({"config.json": b'{"_class_name": "UNet2DModel"}'}, "part of a diffusers pipeline"),
        ({"model_index.json": b"{}"}, "a diffusers pipeline"),
        ({"network-snapshot.pkl": b"\x80\x04"}, 'pickled weights ."network-snapshot.pkl"., which may run any code'),
        ({"weights.h5": b"x", "notes.md": b"x"}, "its files: .*weights.h5"),
        ({"config.json": b'{"widths": 3}'}, 'its config says "widths"'),
    ],
)
def test_another_librarys_model_is_recognised(hub, files, looks):
    hub.add("owner/other", files)
    with pytest.raises(HubMissingError, match=f"owner/other is not a ganzoo model: .*{looks}"):
        load(hub, "owner/other")


def test_a_newer_format_says_how_to_read_it(hub, saved):
    push(hub, saved)
    newer = {**json.loads((saved / "config.json").read_text()), "format": 2}
    files = {"config.json": json.dumps(newer).encode(), "model.safetensors": None, "generator/model.safetensors": b"x"}
    hub.repositories[NAME].commit(files)
    with pytest.raises(WeightsError, match="format 2; this version reads up to 1: pip install -U ganzoo-torch"):
        load(hub)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'{"a": NaN}'], ids=repr)
def test_a_damaged_config_is_said(hub, saved, content):
    push(hub, saved)
    hub.repositories[NAME].commit({"config.json": content})
    with pytest.raises(GanzooError, match="config.json"):
        load(hub)


def test_a_hub_that_cannot_be_reached_is_said(saved, hub):
    nowhere = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(HubConnectionError, match="can't be reached .*refused.*check the network"):
        ganzoo.from_pretrained(NAME, endpoint=nowhere)


def test_a_revision_of_several_lines_is_one_line_in_a_message(saved, hub):
    with pytest.raises(HubConnectionError) as caught:
        ganzoo.from_pretrained(NAME, revision="a\nb", endpoint=f"http://127.0.0.1:{closed_port()}")
    assert "\n" not in str(caught.value) and "revision" in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["http://[::1", "huggingface.co", "", "ftp://host", "http://hub..example", "https://hub.example\n", 3]
)
def test_an_endpoint_that_is_no_address_is_named(saved, endpoint):
    with pytest.raises(ConfigError, match=r"endpoint must be an address, as https://huggingface.co, got"):
        ganzoo.from_pretrained(NAME, endpoint=endpoint)


@pytest.mark.parametrize("token", ["b\u00e4d-token", "hf_two words", "hf_a\nb", "", 5.25])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(hub, saved, token):
    with pytest.raises(ConfigError, match="token must be letters, digits and signs") as caught:
        load(hub, token=token)
    assert not token or str(token) not in "".join(traceback.format_exception(caught.value))
    assert not hub.requests


def test_a_token_as_it_is_read_from_a_file_works(hub, saved):
    push(hub, saved, token=f" {OWNER}\n")
    assert load(hub, token=f"{READER}\r\n").generator


def test_a_token_that_the_hub_sends_back_is_shown_nowhere(hub, saved):
    push(hub, saved)
    token = "hf_" + "aB1" * 10
    hub.tokens[token] = "reader"
    hub.fail("config.json", status=403, headers={"X-Error-Message": f"no {token}"}, times=9)
    with pytest.raises(HubError, match="no right") as caught:
        load(hub, token=token)
    said = "".join(traceback.format_exception(caught.value))
    assert token not in said and "***" in said


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("config.json", "ETag"),
        ("config.json", "X-Linked-Etag"),
        ("config.json", "X-Repo-Commit"),
        ("model.safetensors", "X-Linked-Etag"),
        ("model.safetensors", "X-Repo-Commit"),
    ],
)
def test_only_hashes_become_names_of_files(hub, saved, tmp_path, name, header):
    push(hub, saved)
    for evil in (tmp_path / "evil", "../../../../evil", "W/../evil", "z" * 40):
        hub.fail(name, headers={header: f'"{evil}"' if header != "X-Repo-Commit" else str(evil)})
        with pytest.raises(HubDamagedError, match="which is not a hash: this Hub can't be trusted"):
            load(hub, cache_dir=tmp_path / "cache")
        hub.faults.clear()
    assert not list(tmp_path.rglob("*evil*"))
    assert load(hub, cache_dir=tmp_path / "cache").generator


def test_a_missing_file_of_a_commit_that_is_no_hash_leaves_nothing(hub, tmp_path):
    """The client notes, in a file named after the commit, that there is none."""
    with pytest.raises(HubDamagedError, match="X-Repo-Commit"):
        client._refuse_paths(answer("HEAD", 404, {"X-Repo-Commit": "../../evil", "Location": "/x"}))
    client._refuse_paths(answer("HEAD", 307, {"ETag": '"of the redirect"', "Location": "/api/resolve-cache/x"}))
    with pytest.raises(HubDamagedError, match="ETag"):
        client._refuse_paths(answer("HEAD", 302, {"ETag": '"/evil"', "Location": "//cdn/x"}))
    client._refuse_paths(answer("HEAD", 200, {"ETag": '"/evil"'}, agent="another library"))
    for storage in ("local:///home/me", "memory://", "/home/me", ""):
        with pytest.raises(HubDamagedError, match="as its storage: this Hub can't be trusted"):
            client._refuse_paths(answer("GET", 200, {"X-Xet-Cas-Url": storage}))
    client._refuse_paths(answer("GET", 200, {"X-Xet-Cas-Url": "https://cas-server.xethub.hf.co"}))


def answer(method, status, headers, agent="ganzoo/1", path="/x", **content):
    request = httpx.Request(method, f"http://hub{path}", headers={"User-Agent": agent})
    return httpx.Response(status, headers=headers, request=request, **content)


@pytest.mark.parametrize("what", ["a data set", "weights of timm"])
def test_a_hub_that_refuses_is_asked_once_and_never_waited_for(hub, monkeypatch, what):
    from ganzoo.data import open_data
    from ganzoo.models.backbones import timm_network

    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits to try again"))
    with pytest.raises(HubConnectionError, match="is not in the cache, and the Hub can't be reached .*refused"):
        open_data("hf:owner/set") if what == "a data set" else timm_network("resnet18")


def test_an_answer_of_the_hub_is_bounded_before_it_is_parsed(hub, saved, monkeypatch):
    push(hub, saved)
    monkeypatch.setattr(client, "LARGEST_ANSWER", 50)
    with pytest.raises(HubDamagedError, match="answers with more than 50 bytes: this Hub can't be trusted"):
        load(hub)
    packed, options = {"Content-Encoding": "gzip"}, {"path": "/api/models/a/b"}
    with pytest.raises(HubDamagedError, match="more than 50 bytes"):  # 50 bytes unpacked
        client._bound_answer(answer("GET", 200, packed, **options, content=iter([gzip.compress(bytes(1000))])))
    small = answer("GET", 200, packed, **options, content=iter([gzip.compress(b"[1]")]))
    client._bound_answer(small)
    assert small.read() == b"[1]" and small.json() == [1]


def test_a_file_that_does_not_end_is_stopped_at_what_was_announced(hub, saved, tmp_path):
    push(hub, saved)
    hub.fail("config.json", content=b" " * 30_000_000)
    with pytest.raises(HubDamagedError, match=r"config.json does not end after the [\d,]+ bytes that were announced"):
        load(hub, cache_dir=tmp_path / "cache")
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) < 1000


def test_an_answer_that_the_client_does_not_understand_is_an_error_of_ours(hub, saved, monkeypatch):
    push(hub, saved)
    hub.fail("config.json", headers={"X-Linked-Size": "1" * 12})
    with pytest.warns(UserWarning, match="free disk space"), pytest.raises(HubError, match="answer is not understood"):
        load(hub)
    hub.faults.clear()
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: {}["id"])
    with pytest.raises(HubError, match=r"answer is not understood \(KeyError: 'id'\); check \$HF_ENDPOINT"):
        load(hub)


def test_a_config_that_is_announced_with_too_many_bytes_is_not_asked_for(hub, saved):
    push(hub, saved)
    hub.repositories[NAME].commit({"config.json": b" " * 1_000_001})
    with pytest.raises(HubError, match=r"config.json has 1,000,001 bytes; 1,000,000 is the most"):
        load(hub)
    assert not downloads(hub)


def test_a_cached_link_out_of_the_cache_is_not_followed(hub, saved, tmp_path):
    push(hub, saved)
    cache, secret = tmp_path / "cache", tmp_path / "key"
    load(hub, cache_dir=cache)
    secret.write_text("PRIVATE KEY")
    link = next(cache.rglob("config.json"))
    link.unlink()
    link.symlink_to(secret)
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(HubDamagedError, match="config.json is a link out of the cache"):
            load(hub, cache_dir=cache, **options)
    assert secret.exists()


def test_a_download_that_is_cut_off_is_resumed(hub, tmp_path):
    gan = small(widths=(64, 64))
    push(hub, gan.save_pretrained(tmp_path / "saved"))
    hub.fail("model.safetensors", cut_after=5000)
    assert torch.equal(load(hub).sample(1, seed=0), gan.sample(1, seed=0))
    assert len([path for path in downloads(hub) if path.endswith("/model.safetensors")]) == 2


def test_weights_come_by_xet_as_from_the_real_hub(tmp_path):
    pytest.importorskip("hf_xet", reason="no hf_xet on this machine: huggingface_hub brings it for most")
    worker = Path(__file__).with_name("xet_worker.py")
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "0", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    command = [sys.executable, str(worker), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_transfer_of_xet_that_breaks_off_is_no_defect_of_ours(hub, saved, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("Task error: error sending request for url (http://storage)")

    push(hub, saved)
    for name, attempt in (("hf_hub_download", lambda: load(hub)), ("create_commit", lambda: push(hub, saved))):
        with monkeypatch.context() as patch:
            patch.setattr(HfApi, name, broken)
            with pytest.raises(HubConnectionError, match="storage can't be reached, or .* broke off .Task error"):
                attempt()


def test_a_push_between_the_look_and_the_download_damages_nothing(hub, saved, monkeypatch):
    push(hub, saved)
    real = HfApi.model_info

    def looked_at(api, *given, **options):
        found = real(api, *given, **options)
        monkeypatch.setattr(HfApi, "model_info", real)
        gan = ganzoo.from_pretrained(saved)
        gan.class_names, gan.preset = gan.class_names, "another"
        gan.save_pretrained(saved)
        push(hub, saved)
        return found

    monkeypatch.setattr(HfApi, "model_info", looked_at)
    assert load(hub).preset == "another"


def test_weights_of_timm_that_do_not_fit_are_no_broken_transfer(monkeypatch):
    from ganzoo.models.backbones import timm_network

    def refuses(*_, **__):
        raise RuntimeError("Error(s) in loading state_dict for ResNet: size mismatch")

    monkeypatch.setattr("timm.create_model", refuses)
    with pytest.raises(WeightsError, match="timm/resnet18: its weights do not fit timm's model .*size mismatch"):
        timm_network("resnet18")


def test_an_error_of_our_own_is_no_broken_transfer():
    with pytest.raises(NotImplementedError), hub_errors("owner/name"):
        raise NotImplementedError("later")


@pytest.mark.parametrize("links", [True, False])
def test_what_came_with_another_hash_is_thrown_away(hub, saved, monkeypatch, links):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", not links)
    push(hub, saved)
    content = bytearray(hub.files(NAME)["model.safetensors"])
    content[-1] ^= 1
    hub.fail("model.safetensors", content=bytes(content))
    with pytest.raises(HubDamagedError, match="model.safetensors came damaged: its hash"):
        load(hub)
    assert torch.equal(load(hub).sample(1, seed=0), ganzoo.from_pretrained(saved).sample(1, seed=0))


@pytest.mark.parametrize("extra", [-100, 100])
def test_what_came_with_another_size_is_thrown_away(hub, saved, extra):
    push(hub, saved)
    hub.fail("model.safetensors", extra_size=extra)
    with pytest.raises(HubDamagedError):
        load(hub)
    assert load(hub).sample(1, seed=0).isfinite().all()


def test_a_file_that_is_too_large_is_not_downloaded(hub, saved, monkeypatch):
    push(hub, saved)
    monkeypatch.setattr(remote, "LARGEST_WEIGHTS", 1000)
    with pytest.raises(HubError, match=r"model.safetensors has [\d,]+ bytes; 1,000 is the most"):
        load(hub)
    assert not any(path.endswith("model.safetensors") for path in downloads(hub))


def test_a_cache_that_cannot_be_written_is_named(hub, saved, tmp_path):
    push(hub, saved)
    (tmp_path / "file").touch()
    with pytest.raises(HubError, match=r"owner/gan: .*file/cache.* can't be read or written .Not a directory.*HF_HOME"):
        load(hub, cache_dir=tmp_path / "file" / "cache")


def test_a_card_that_the_hub_refuses_is_named(hub, saved):
    hub.card_errors = ['"license" must be one of [mit]']
    with pytest.raises(HubError, match=r"refuses the header of README.md .*must be one of \[mit\].*; mend it there"):
        push(hub, saved)


def test_a_revision_is_not_ignored_for_a_model_that_is_here(hub, saved):
    for source in (saved, "fashion-mnist"):
        with pytest.raises(
            ConfigError, match='revision "v2" is for a model of the Hub, but .* is here: .*; leave it out'
        ):
            load(hub, source, revision="v2")


def test_an_endpoint_as_it_is_copied_from_a_browser_works(hub, saved):
    push(hub, saved)
    assert ganzoo.from_pretrained(NAME, token=READER, endpoint=f"{hub.endpoint}/").generator
    assert client.client(READER, f"{hub.endpoint}/").endpoint == hub.endpoint  # or //api/models would be asked for


def test_what_lies_outside_the_layout_is_never_pulled(hub, saved, tmp_path):
    push(hub, saved)
    hub.repositories[NAME].commit({"../evil.txt": b"x", "setup.py": b"boom", "discriminator/../../x": b"x"})
    target = pull(NAME, tmp_path / "a" / "pulled", token=READER, endpoint=hub.endpoint)
    found = {str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert found <= {f"{target.name}/{name}" for name in LAYOUT}


def test_a_damaged_model_is_not_pulled_over_a_good_one(hub, saved, tmp_path):
    push(hub, saved)
    target = pull(NAME, tmp_path / "pulled", token=READER, endpoint=hub.endpoint)
    good = (target / "model.safetensors").read_bytes()
    hub.repositories[NAME].commit({"model.safetensors": good[:-50]})
    with pytest.raises(WeightsError):
        pull(NAME, target, token=READER, endpoint=hub.endpoint)
    assert (target / "model.safetensors").read_bytes() == good
    assert {path.name for path in tmp_path.iterdir()} >= {"pulled"} and not list(tmp_path.glob(".*.tmp"))


def test_the_token_is_printed_written_and_logged_nowhere(hub, saved, tmp_path, capfd, caplog):
    caplog.set_level("DEBUG")
    push(hub, saved)
    pull(NAME, tmp_path / "pulled", token=OWNER, endpoint=hub.endpoint)
    with pytest.raises(HubError):
        push(hub, saved, name="reader/x")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ganzoo")]
    assert OWNER not in "".join([*capfd.readouterr(), *ours])
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert OWNER.encode() not in path.read_bytes(), path
    assert all(OWNER.encode() not in content for content in hub.files(NAME).values())


def test_two_loads_at_once_share_a_cache(hub, saved):
    push(hub, saved)
    images, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: images.append(load(hub).sample(1, seed=0))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(images) == 4 and all(torch.equal(image, images[0]) for image in images)
