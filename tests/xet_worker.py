"""Push and load by Xet, with a folder for its storage; the client reads its switch at import, so this is a process.

`python tests/xet_worker.py FOLDER` prints nothing if all is as it should be. `HF_HOME` is a folder of its own.
"""

import hashlib
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from hf_xet import hash_files
from huggingface_hub import HfApi, constants

import ganzoo
from ganzoo.errors import HubDamagedError
from ganzoo.hub import client
from ganzoo.hub.push import push_folder
from hub_server import HubServer

FOLDER = Path(sys.argv[1])
STORE = Path(constants.HF_HUB_CACHE, "blobs")


def model(name, seed):
    gan = ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, seed=seed)
    return gan.save_pretrained(FOLDER / name)


def announce(hub, folder):
    """Let `hub` take the weights in `folder` for such as Xet has brought."""
    for path in folder.rglob("*.safetensors"):
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        hub.objects[sha256], hub.xet[sha256] = content, hash_files([str(path)])[0].hash


def images(source, **options):
    return ganzoo.from_pretrained(source, **options).sample(2, seed=0)


@contextmanager
def damaged(said="model.safetensors came damaged: its hash is not"):
    try:
        yield
    except HubDamagedError as error:
        assert said in str(error), error
    else:
        raise AssertionError("what is damaged was loaded")


def main():
    assert not constants.HF_HUB_DISABLE_XET
    (FOLDER / "cas").mkdir()
    trusted, refuse = f"local://{FOLDER / 'cas'}", client._refuse_paths
    client._refuse_paths = lambda got: None if got.headers.get("X-Xet-Cas-Url") == trusted else refuse(got)
    first, second = model("first", 0), model("second", 1)
    with HubServer() as hub:
        hub.storage = trusted
        there = {"token": "hf_owner", "endpoint": hub.endpoint}
        for folder in (first, second):
            announce(hub, folder)
            push_folder(folder, f"owner/{folder.name}", **there)
        here = images(first)

        # a model is loaded, from the Hub and from the cache, and its file is in the store of all repositories
        sha256 = hashlib.sha256((first / "model.safetensors").read_bytes()).hexdigest()
        shared = STORE / hub.xet[sha256][:2] / hub.xet[sha256]
        for options in ({}, {}, {"local_files_only": True}):
            assert torch.equal(images("owner/first", **there, **options), here)
        assert shared.is_file() and any("xet-read-token" in path for _, path in hub.requests)
        assert not any(path.endswith("/model.safetensors") for method, path in hub.requests if method == "GET")

        # another repository's file is not deleted if a Hub gives out its hash for that of other weights
        other = hashlib.sha256((second / "model.safetensors").read_bytes()).hexdigest()
        right, hub.xet[other] = hub.xet[other], hub.xet[sha256]
        with damaged():
            images("owner/second", **there)
        hub.xet[other] = right
        assert torch.equal(images("owner/first", **there, local_files_only=True), here)
        assert torch.equal(images("owner/second", **there), images(second))

        # what has been damaged in the store comes anew
        content = shared.read_bytes()
        shared.chmod(0o600)
        shared.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with damaged():
            images("owner/first", **there)
        assert not shared.exists()
        assert torch.equal(images("owner/first", **there), here)

        # what hardly compresses takes more bytes to transfer than it has, and nothing is printed for that
        noise = FOLDER / "noise" / "noise.safetensors"
        noise.parent.mkdir()
        noise.write_bytes(os.urandom(300_000))
        announce(hub, noise.parent)
        api = client.client(**there)
        api.create_repo("owner/noise")
        api.upload_file(path_or_fileobj=noise, path_in_repo=noise.name, repo_id="owner/noise")
        bar = client.bounded_bar("noise", 300_000)
        came = Path(api.hf_hub_download("owner/noise", noise.name, tqdm_class=bar))
        assert came.read_bytes() == noise.read_bytes() and not came.samefile(noise)

        # a Hub can't let hf_xet write into another folder
        hub.storage = f"local://{FOLDER / 'evil'}"
        with damaged("as its storage: this Hub can't be trusted"):
            images("owner/first", **{**there, "token": "hf_reader"}, cache_dir=FOLDER / "cache")  # another token's way
        assert not (FOLDER / "evil").exists()
        hub.storage = trusted

        # a file with more bytes than were announced is not taken
        info = HfApi.model_info

        def announced(*arguments, **options):
            found = info(*arguments, **options)
            for file in found.siblings:
                if file.rfilename == "model.safetensors":
                    file.size, file.lfs, file.blob_id = 10, None, None
            return found

        HfApi.model_info = announced
        with damaged("model.safetensors has more than the 10 bytes that were announced"):
            images("owner/first", **there)


if __name__ == "__main__":
    main()
