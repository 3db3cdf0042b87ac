"""The tests' own Hub, under the bare `huggingface_hub` client.

What this proves: that client and server speak the same protocol, so that a test which pushes and pulls through
`hub_server.HubServer` does what it says. What it does not: that the real Hub answers in the same way.
"""

from __future__ import annotations

import hashlib
import os

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, errors

from hub_api import httpx
from hub_server import HubServer

WEIGHTS = "model.safetensors"
FILES = {"config.json": b'{"format": 1}', WEIGHTS: bytes(range(256)) * 40, "samples/grid.png": b"\x89PNG and more"}


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token="hf_owner", library_name="ganzoo", library_version="9.9")


@pytest.fixture
def reader(hub):
    return HfApi(endpoint=hub.endpoint, token="hf_reader")


@pytest.fixture
def stranger(hub):
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "saved", FILES)


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def held(hub, repo_id="owner/gan", revision="main"):
    return {name: content for name, content in hub.files(repo_id, revision).items() if name != ".gitattributes"}


def downloads(hub):
    return [path for method, path in hub.requests if method == "GET" and "/resolve/" in path]


def test_a_folder_is_pushed_in_one_commit_and_not_again_unchanged(hub, api, folder):
    url = api.create_repo("owner/gan")
    assert (url, url.repo_id) == (f"{hub.endpoint}/owner/gan", "owner/gan")
    first = api.upload_folder(repo_id="owner/gan", folder_path=folder, commit_message="the model")
    assert held(hub) == FILES
    assert [commit.title for commit in api.list_repo_commits("owner/gan")] == ["the model", "initial commit"]
    before = len(hub.objects)
    again = api.upload_folder(repo_id="owner/gan", folder_path=folder, commit_message="once more")
    assert again.oid == first.oid == api.model_info("owner/gan").sha
    assert len(hub.objects) == before == 1
    assert len(hub.repositories["owner/gan"].branches["main"]) == 2


def test_a_large_file_goes_by_lfs_and_comes_back_equal(hub, api, tmp_path):
    content = os.urandom(1 << 20) * 15
    write(tmp_path / "large", {WEIGHTS: content, "notes.txt": b"small"})
    api.create_repo("owner/gan")
    api.upload_folder(repo_id="owner/gan", folder_path=tmp_path / "large")
    sha256 = hashlib.sha256(content).hexdigest()
    assert ("PUT", f"/lfs/{sha256}") in hub.requests and ("POST", f"/lfs/{sha256}/verify") in hub.requests
    assert list(hub.objects) == [sha256]
    named = {file.path: file for file in api.list_repo_tree("owner/gan", recursive=True)}
    assert named[WEIGHTS].lfs.sha256 == sha256 and named[WEIGHTS].size == len(content)
    assert named["notes.txt"].lfs is None
    path = api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=tmp_path / "cache")
    with open(path, "rb") as file:
        assert file.read() == content
    before = list(hub.requests)
    api.upload_folder(repo_id="owner/gan", folder_path=tmp_path / "large", path_in_repo="copy")
    assert "PUT" not in {method for method, _ in hub.requests[len(before) :]}  # known by its hash


def test_what_cannot_be_under_its_hash_is_refused(hub):
    assert httpx.put(f"{hub.endpoint}/lfs/{'0' * 64}", content=b"other").status_code == 400
    assert not hub.objects


def test_files_and_folders_are_deleted_with_the_commit_that_adds(hub, api, folder, tmp_path):
    api.create_repo("owner/gan")
    api.upload_folder(repo_id="owner/gan", folder_path=folder)
    write(tmp_path / "new", {"config.json": b"{}"})
    api.upload_folder(repo_id="owner/gan", folder_path=tmp_path / "new", delete_patterns=["*.safetensors"])
    assert held(hub) == {"config.json": b"{}", "samples/grid.png": FILES["samples/grid.png"]}
    api.delete_folder("samples", "owner/gan")
    api.delete_file("config.json", "owner/gan")
    assert held(hub) == {}
    with pytest.raises(errors.RemoteEntryNotFoundError):
        api.delete_file("config.json", "owner/gan")


def test_a_repository_is_made_once_and_deleted(hub, api):
    api.create_repo("gan", private=True)  # a bare name is the user's own
    assert hub.repositories["owner/gan"].private and api.model_info("owner/gan").private
    assert api.create_repo("owner/gan", exist_ok=True).repo_id == "owner/gan"
    with pytest.raises(errors.HfHubHTTPError) as caught:
        api.create_repo("owner/gan")
    assert caught.value.response.status_code == 409
    api.delete_repo("owner/gan")
    assert not hub.repositories and not api.repo_exists("owner/gan")


def test_a_private_repository_is_not_there_for_others(hub, api, reader, stranger, tmp_path):
    hub.add("owner/gan", FILES, private=True)
    assert api.hf_hub_download("owner/gan", "config.json", cache_dir=tmp_path)
    for other in (reader, stranger):
        with pytest.raises(errors.RepositoryNotFoundError):
            other.model_info("owner/gan")
        with pytest.raises(errors.RepositoryNotFoundError):
            other.hf_hub_download("owner/gan", "config.json", cache_dir=tmp_path / "other")
    hub.repositories["owner/gan"].readers.add("reader")
    reader.auth_check("owner/gan")
    assert reader.hf_hub_download("owner/gan", "config.json", cache_dir=tmp_path / "other")


def test_gated_and_disabled_repositories(hub, api, reader, tmp_path):
    hub.add("owner/gated", FILES, gated=True)
    assert reader.model_info("owner/gated").gated == "auto"
    for call in (reader.auth_check, lambda name: reader.hf_hub_download(name, "config.json", cache_dir=tmp_path)):
        with pytest.raises(errors.GatedRepoError):
            call("owner/gated")
    assert api.hf_hub_download("owner/gated", "config.json", cache_dir=tmp_path)
    hub.add("owner/gone", FILES, disabled=True)
    with pytest.raises(errors.DisabledRepoError):
        api.model_info("owner/gone")


def test_tokens_and_rights(hub, api, reader, stranger):
    assert (api.whoami()["name"], reader.whoami()["name"]) == ("owner", "reader")
    hub.add("owner/gan", FILES)
    api.auth_check("owner/gan", write=True)

    def refused(call, status, kind=errors.HfHubHTTPError):
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.response.status_code == status
        return str(caught.value)

    change = {"repo_id": "owner/gan", "operations": [CommitOperationAdd("a", b"1")], "commit_message": "a"}
    assert "no right to write" in refused(lambda: reader.create_commit(**change), 403)
    refused(lambda: reader.auth_check("owner/gan", write=True), 403)
    refused(lambda: reader.create_repo("owner/other"), 403)
    refused(lambda: stranger.create_repo("owner/other"), 401)
    refused(lambda: stranger.create_commit(**change), 401, errors.RepositoryNotFoundError)
    bad = HfApi(endpoint=hub.endpoint, token="hf_wrong")
    assert "Invalid credentials" in refused(lambda: bad.model_info("owner/gan"), 401)
    assert held(hub) == FILES


def test_missing_repository_revision_and_file(hub, api, tmp_path):
    commit = hub.add("owner/gan", FILES).find("main").oid
    with pytest.raises(errors.RepositoryNotFoundError):
        api.hf_hub_download("owner/none", "config.json", cache_dir=tmp_path)
    for revision in ("none", "0" * 40, commit[:7]):
        with pytest.raises(errors.RevisionNotFoundError):
            api.hf_hub_download("owner/gan", "config.json", revision=revision, cache_dir=tmp_path)
    with pytest.raises(errors.RemoteEntryNotFoundError):
        api.hf_hub_download("owner/gan", "none.json", cache_dir=tmp_path)
    assert (tmp_path / "models--owner--gan" / ".no_exist" / commit / "none.json").is_file()


def test_branches_tags_and_commits_each_give_their_own_files(hub, api, folder, tmp_path):
    api.create_repo("owner/gan")
    first = api.upload_folder(repo_id="owner/gan", folder_path=folder).oid
    api.create_tag("owner/gan", tag="v1", tag_message="the first")
    api.create_branch("owner/gan", branch="b/1")
    api.upload_file(repo_id="owner/gan", path_or_fileobj=b"branch", path_in_repo="config.json", revision="b/1")
    api.upload_file(repo_id="owner/gan", path_or_fileobj=b"main", path_in_repo="config.json")
    expected = {"v1": FILES["config.json"], first: FILES["config.json"], "b/1": b"branch", "main": b"main"}
    for number, (revision, content) in enumerate(expected.items()):
        root = api.snapshot_download("owner/gan", revision=revision, local_dir=tmp_path / str(number))
        with open(f"{root}/config.json", "rb") as file:
            assert file.read() == content
        assert hub.files("owner/gan", revision)["config.json"] == content
    refs = api.list_repo_refs("owner/gan")
    assert ([ref.name for ref in refs.branches], [ref.name for ref in refs.tags]) == (["main", "b/1"], ["v1"])
    assert refs.tags[0].target_commit == first
    for again in (lambda: api.create_tag("owner/gan", tag="v1"), lambda: api.create_branch("owner/gan", branch="b/1")):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            again()
        assert caught.value.response.status_code == 409
    api.create_branch("owner/gan", branch="b/1", exist_ok=True)
    api.create_branch("owner/gan", branch="old", revision=first)
    assert held(hub, revision="old") == FILES
    api.delete_branch("owner/gan", branch="b/1")
    api.delete_tag("owner/gan", tag="v1")
    for revision in ("b/1", "v1"):
        with pytest.raises(errors.RevisionNotFoundError):
            api.model_info("owner/gan", revision=revision)


def test_a_pull_request_leaves_main_alone_and_can_be_pulled(hub, reader, folder, tmp_path):
    hub.add("owner/gan", {"config.json": b"{}"})
    made = reader.upload_folder(repo_id="owner/gan", folder_path=folder, create_pr=True)
    assert made.pr_url == f"{hub.endpoint}/owner/gan/discussions/1" and made.pr_revision == "refs/pr/1"
    assert held(hub) == {"config.json": b"{}"} and held(hub, revision="refs/pr/1") == FILES
    root = reader.snapshot_download("owner/gan", revision="refs/pr/1", local_dir=tmp_path / "pulled")
    with open(f"{root}/{WEIGHTS}", "rb") as file:
        assert file.read() == FILES[WEIGHTS]
    refs = reader.list_repo_refs("owner/gan", include_pull_requests=True)
    assert [ref.target_commit for ref in refs.pull_requests] == [made.oid]


def test_a_race_on_the_parent_commit_is_refused(hub, api, folder):
    head = hub.add("owner/gan", {"config.json": b"{}"}).find("main").oid
    hub.race("owner/gan", {"other.txt": b"first"})
    with pytest.raises(errors.HfHubHTTPError, match="A commit has happened since") as caught:
        api.upload_folder(repo_id="owner/gan", folder_path=folder, parent_commit=head)
    assert caught.value.response.status_code == 412
    assert held(hub) == {"config.json": b"{}", "other.txt": b"first"}
    api.upload_folder(repo_id="owner/gan", folder_path=folder, parent_commit=api.model_info("owner/gan").sha)
    assert held(hub) == {**FILES, "other.txt": b"first"}


def test_the_cache_spares_a_second_download_and_works_without_the_hub(hub, api, tmp_path):
    hub.add("owner/gan", FILES)
    cache = tmp_path / "cache"
    first = api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=cache)
    assert len(downloads(hub)) == 1
    assert api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=cache) == first
    assert len(downloads(hub)) == 1
    root = api.snapshot_download("owner/gan", cache_dir=cache)
    before = list(hub.requests)
    assert api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=cache, local_files_only=True) == first
    assert api.snapshot_download("owner/gan", cache_dir=cache, local_files_only=True) == root
    assert hub.requests == before


def test_a_hub_that_is_gone_refuses_connections_that_were_open(hub, tmp_path):
    with HubServer() as other:
        other.add("owner/gan", FILES)
        api = HfApi(endpoint=other.endpoint, token="hf_owner")
        api.hf_hub_download("owner/gan", "config.json", cache_dir=tmp_path)
    count = len(other.requests)
    with pytest.raises(errors.HTTPError):
        api.model_info("owner/gan")
    assert len(other.requests) == count


def test_trees_and_logs_come_in_pages(hub, api):
    repository = hub.add("owner/gan", {f"folder/{number}.txt": b"x" for number in range(7)})
    repository.commit({"folder/0.txt": None, "last.txt": b"y"}, title="the last")
    hub.page_size = 2
    names = {*(f"folder/{number}.txt" for number in range(1, 7)), "last.txt", ".gitattributes"}
    assert set(api.list_repo_files("owner/gan")) == names
    assert len([path for _, path in hub.requests if "/tree/" in path]) == 5  # eight files, one folder
    assert [file.path for file in api.list_repo_tree("owner/gan")] == [".gitattributes", "folder", "last.txt"]
    assert len(list(api.list_repo_tree("owner/gan", "folder"))) == 6
    assert [commit.title for commit in api.list_repo_commits("owner/gan")] == ["the last", "a commit", "initial commit"]
    found = api.get_paths_info("owner/gan", ["last.txt", "folder", "none"])
    assert [line.path for line in found] == ["folder", "last.txt"]
    siblings = {line.rfilename: line.size for line in api.model_info("owner/gan", files_metadata=True).siblings}
    assert set(siblings) == names and siblings["last.txt"] == 1


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_download_that_is_cut_off_is_resumed(hub, api, tmp_path, name):
    hub.add("owner/gan", FILES)
    hub.fail(name, cut_after=5)
    path = api.hf_hub_download("owner/gan", name, cache_dir=tmp_path)
    assert len(downloads(hub)) == 2
    with open(path, "rb") as file:
        assert file.read() == FILES[name]


def test_a_download_that_is_cut_off_and_then_refused_fails(hub, api, tmp_path):
    hub.add("owner/gan", FILES)
    hub.fail(WEIGHTS, cut_after=5)
    hub.fail(WEIGHTS, status=403)
    with pytest.raises(errors.HfHubHTTPError, match="refused by the test"):
        api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=tmp_path)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
@pytest.mark.parametrize("extra", [-3, 1000])
def test_a_wrong_size_is_noticed_by_the_client(hub, api, tmp_path, name, extra):
    hub.add("owner/gan", FILES)
    hub.fail(name, extra_size=extra)
    with pytest.raises(OSError, match="Consistency check failed"):
        api.hf_hub_download("owner/gan", name, cache_dir=tmp_path)
    assert api.hf_hub_download("owner/gan", name, cache_dir=tmp_path)


def test_wrong_content_of_the_right_size_is_not_noticed_by_the_client(hub, api, tmp_path):
    hub.add("owner/gan", FILES)
    wrong = bytes(len(FILES[WEIGHTS]))
    hub.fail(WEIGHTS, content=wrong)
    path = api.hf_hub_download("owner/gan", WEIGHTS, cache_dir=tmp_path)
    with open(path, "rb") as file:
        assert file.read() == wrong  # so whoever wants to know must compare the hash


def test_a_range_is_served_and_clamped(hub):
    hub.add("owner/gan", FILES)
    url, content = f"{hub.endpoint}/owner/gan/resolve/main/{WEIGHTS}", FILES[WEIGHTS]
    size = len(content)
    for asked, status, part in [
        ("bytes=0-9", 206, content[:10]),
        ("bytes=10-", 206, content[10:]),
        ("bytes=0-100000", 206, content),
        (f"bytes={size}-", 416, b""),
    ]:
        answer = httpx.get(url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (status, part)
    assert httpx.head(url).headers["X-Linked-Size"] == str(size)


def test_a_card_with_faults_is_refused(hub, api):
    api.create_repo("owner/gan")
    card = CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n# A model\n")
    api.create_commit("owner/gan", [card], commit_message="a card")
    assert ModelCard(held(hub)["README.md"].decode()).data.license == "mit"
    hub.card_errors.append("license must be a licence")
    with pytest.raises(ValueError, match="license must be a licence"):
        api.create_commit("owner/gan", [CommitOperationAdd("README.md", b"# None")], commit_message="another")


def test_the_log_holds_every_request_and_its_agent(hub, api, tmp_path):
    hub.add("owner/gan", FILES)
    api.hf_hub_download("owner/gan", "config.json", revision="main", cache_dir=tmp_path)
    path = "/owner/gan/resolve/main/config.json"
    assert hub.requests == [("HEAD", path), ("GET", path)]
    assert len(hub.agents) == 2 and all("ganzoo/9.9" in agent for agent in hub.agents)


def test_a_call_that_forgets_its_endpoint_reaches_nothing(hub):
    with pytest.raises(errors.HTTPError):
        HfApi().model_info("owner/gan")
    assert not hub.requests
