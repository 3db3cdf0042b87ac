"""The static page of examples/web: built as its docs say, it draws in a browser what Python draws, and asks nobody."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.images import to_uint8
from ganzoo.latents import sample_latents, slerp

pytestmark = pytest.mark.slow
WEB = Path(__file__).parents[1] / "examples" / "web"
BUILT = {"index.html", "model.json", "model.onnx", "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that build.py makes of a small model in colour, with classes and clusters; and the model."""
    if shutil.which("npm") is None:
        pytest.skip("no npm: apt-get install npm")
    work = tmp_path_factory.mktemp("web")
    shutil.copytree(WEB, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"], cwd=work, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"npm can't fetch onnxruntime-web: {done.stderr[-200:]}")
    torch.manual_seed(0)
    config = ganzoo.MODELS["dcgan-generator"].config_class(latent_size=6, widths=(8, 4), num_classes=12)
    generator = ganzoo.MODELS["dcgan-generator"](config)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    gan = ganzoo.GAN(generator, num_classes=3, clusters=4, class_names=["bag", "boot", "coat"])
    gan.save_pretrained(work / "mine")
    done = subprocess.run(
        [sys.executable, "build.py", "./mine", "site"], cwd=work, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return work / "site", ganzoo.from_pretrained(work / "mine")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def page(site, browser):
    """The page, served; in the end nothing was asked of another server, and nothing complained."""
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site[0]))
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    address, complaints = f"http://127.0.0.1:{served.server_port}/", []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda ask: None if ask.url.startswith((address, "data:")) else complaints.append(ask.url))
    page.goto(address)
    page.wait_for_selector("#grid canvas:nth-child(24)", timeout=60_000)
    yield page
    page.close()
    served.shutdown()
    served.server_close()
    assert complaints == []


def pixels(page, selector):
    """Of each canvas: uint8 (N, 3, H, W)."""
    code = """all => all.map(each => {
        const copy = new OffscreenCanvas(each.width, each.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(each, 0, 0);
        return [each.width, ...copy.getImageData(0, 0, each.width, each.height).data];
    })"""
    found = torch.tensor(page.eval_on_selector_all(selector, code))
    side = int(found[0, 0])
    return found[:, 1:].reshape(-1, side, side, 4).permute(0, 3, 1, 2)[:, :3].to(torch.uint8)


def close(found, wanted):
    return (found.int() - to_uint8(wanted).int()).abs().max() <= 1


def test_the_folder_holds_what_the_page_needs(site):
    assert {path.name for path in site[0].iterdir()} == BUILT


def test_the_browser_draws_the_images_of_sample_for_seeds_and_classes(site, page):
    _, gan = site
    assert page.inner_text("h1") == "mine" and "24 images in" in page.inner_text("#status")
    assert close(pixels(page, "#grid canvas"), gan.sample(24, seed=0))
    page.fill("#seed", "123456789")
    page.wait_for_selector('#grid canvas[title^="seed 123456789"]')
    assert close(pixels(page, "#grid canvas"), gan.sample(24, seed=123456789))
    page.select_option("#label", label="boot")
    wanted = gan.sample(24, seed=123456789, labels=1)
    page.wait_for_function("document.body.dataset.label === '1'")
    assert close(pixels(page, "#grid canvas"), wanted)


def test_a_seed_that_python_would_refuse_becomes_one_that_it_takes_and_is_shown(site, page):
    for typed, used in (("1.5", 1), ("-3", 0)):
        page.fill("#seed", typed)
        page.wait_for_function(f"document.querySelector('#status').innerText.startsWith('Seed {used}: 24 images')")
        assert close(pixels(page, "#grid canvas"), site[1].sample(24, seed=used))


def test_the_slider_walks_from_one_image_to_the_other_within_a_cluster(site, page):
    _, gan = site
    start, end = (sample_latents(1, gan.latent_size, seed, num_classes=3) for seed in (0, 1))
    other = gan.with_cluster(end[0], start[0][0])
    for share in (0.5, 0.25, 1):
        page.fill("#share", str(share))
        page.wait_for_function(f"document.body.dataset.share === '{share}'")
        found = pixels(page, "#walk canvas")
        wanted = gan.sample(latents=torch.cat([start[0], slerp(start[0], other, share), other]), labels=int(start[1]))
        assert close(found, wanted)
    assert torch.equal(found[1], found[2])


def test_without_a_script_or_a_screen_the_page_says_what_it_shows():
    html = (WEB / "index.html").read_text()
    assert "<noscript>" in html and '<p id="status" role="status">' in html
    assert re.findall(r"<canvas(?! id=\"\w+\" role=\"img\" aria-label=)", html) == []


def test_build_says_what_is_missing(tmp_path):
    shutil.copy(WEB / "build.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "build.py", "fashion-mnist", "site"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and "run `npm install` in" in done.stderr and not (tmp_path / "site").exists()
