"""Shared by all tests: nothing here touches the network or the user's own caches."""

import gc
import multiprocessing
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # tests/hub_server.py speaks LFS; read when the client is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many workers as cores; processes that tests start inherit it
else:  # `datasets` keeps a copy of each Parquet file; read when it is imported, and removed when the tests end
    _COPIES = tempfile.TemporaryDirectory(prefix="ganzoo-datasets-", ignore_cleanup_errors=True)
    os.environ["HF_DATASETS_CACHE"] = _COPIES.name

import pytest
import torch

CHROMIUM = Path("/usr/bin/chromium")


SHARED = {"test_demo", "test_report", "test_web"}  # their slow tests share a server or a browser


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Slow tests first, each wherever there is room; a file's others in one process, with what they have made."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("slow") is None or item.path.stem in SHARED:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse=True)
def _little_to_collect():
    """What lives by now (torch, thousands of tests) is searched for garbage no more: each run's end would search it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(params=["device", "dtype"])
def other_default(request):
    """Makes a `with` block in which torch's default device (meta stands for a card) or dtype is another one."""

    @contextmanager
    def default():
        if request.param == "device":
            with torch.device("meta"):
                yield
            return
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)

    return default


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """A file of random weights for the backbone of projected discriminators, which tests can't fetch."""
    import timm
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("backbone") / "lite0.safetensors"
    save_file(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def children():
    """Children of a server that has imported torch and ganzoo, and never ran a parallel region: cheap and safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["accelerate", "kill_worker", "forked", "ganzoo.training", "ganzoo.penalties"])
    return context


@pytest.fixture(autouse=True)
def _small_score(monkeypatch):
    """Runs are scored by a hundred samples: most of a tiny run's seconds would go into a thousand."""
    monkeypatch.setattr("ganzoo.runs.export.SAMPLES", 100)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub on 127.0.0.1, with the client switched online for it, and for nothing else."""
    from huggingface_hub import constants

    from hub_server import HubServer

    nowhere = "http://127.0.0.1:9"  # a call that forgets its endpoint is refused at once
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", nowhere)  # for processes that a test starts
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with HubServer({"hf_owner": "owner", "hf_reader": "reader"}) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, which asks for nothing by itself."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    switches = ["disable-background-networking", "no-first-run", "disable-component-update", "disable-sync"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=str(CHROMIUM), args=[f"--{name}" for name in ("no-sandbox", "disable-gpu", *switches)]
        )
        yield browser
        browser.close()
