"""The demo page: what it draws, by clicks in a browser, as a Space on this machine and on the tests' Hub."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
from huggingface_hub import RepoCard
from PIL import Image, ImageChops

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, HubAccessError, MissingExtraError
from ganzoo.hub.push import SPACE, Pushed, push_folder
from ganzoo.hub.remote import pull
from ganzoo.integrations.space import export_space
from ganzoo.latents import sign_class
from ganzoo.registry import Origin

pytest.importorskip("gradio", reason="no Gradio: pip install 'ganzoo-torch[demo]'")
from ganzoo.integrations.demo import Choice, Studio, _Page, page

HASH = "0123456789abcdef" * 4  # as a card names its weights
ELSEWHERE = """![a [b] c](https://a.example/1.png) ![d][1] ![1] !<!-- -->[e](https://a.example/2.png)

<im<img>g src="https://a.example/3.png"> <IMG
src=https://a.example/4.png> <video poster="https://a.example/5.png"></video> <p style="background:url(https://a.example/6.png)">

```mermaid
flowchart LR
  A@{ img: "https://a.example/7.png" }
```

[1]: https://a.example/8.png"""


def small():
    torch.manual_seed(0)
    config = ganzoo.MODELS["dcgan-generator"].config_class(latent_size=6, widths=(8, 4), num_classes=12)
    generator = ganzoo.MODELS["dcgan-generator"](config)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return ganzoo.GAN(generator, num_classes=3, clusters=4, class_names=["bag", "boot", "coat"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A saved model in colour, with classes, clusters and a card, which tries to ask another server."""
    folder = small().save_pretrained(tmp_path_factory.mktemp("two words") / "mine")
    (folder / "README.md").write_text(
        f"---\nlicense: mit\n---\n# Mine\n\n![x](samples/grid.png)\n\nMade of noise. `{HASH}`\n\n{ELSEWHERE}\n"
    )
    return folder


@pytest.fixture
def studio(model):
    return Studio(ganzoo.from_pretrained(model))


# --- what is drawn ------------------------------------------------------------------------------------------------


def test_the_page_draws_the_images_of_sample(studio):
    gan = studio.gan
    assert torch.equal(studio.draw(Choice(5, 7)), gan.sample(7, seed=5))
    assert torch.equal(studio.draw(Choice(5, 7, label=1)), gan.sample(7, seed=5, labels=1))
    assert studio.latents(Choice(5, 7, truncation=0.5)).abs().max() <= 0.5


def test_no_move_is_the_image_itself_and_a_move_stays_in_its_cluster(studio, monkeypatch):
    choice, still = Choice(3, 4), [0.0] * len(studio.directions)
    assert torch.allclose(studio.moved(choice, 2, still), studio.draw(choice)[2:3], atol=1e-5)
    assert not torch.allclose(studio.moved(choice, 2, [4.0, *still[1:]]), studio.draw(choice)[2:3], atol=1e-2)
    moved, sample = [], studio.gan.sample
    monkeypatch.setattr(
        studio.gan, "sample", lambda latents, labels: moved.append(latents) or sample(latents=latents, labels=labels)
    )
    for direction in range(len(still)):
        for strength in (-6.0, 6.0):
            studio.moved(choice, 2, [*still[:direction], strength, *still[direction + 1 :]])
    assert {*sign_class(torch.cat(moved), 4).tolist()} == {*sign_class(studio.latents(choice)[2:3], 4).tolist()}


def test_a_walk_begins_at_one_image_and_ends_at_the_other(studio):
    first, middle, last = studio.between(Choice(0, 24, label=2), 1, 0.0)
    assert torch.equal(first, middle) and torch.allclose(first, studio.gan.sample(1, seed=0, labels=2)[0], atol=1e-5)
    assert torch.equal(studio.between(Choice(0, 24, label=2), 1, 1.0)[1], last)


def test_the_recipes_command_draws_the_same_grid_again(studio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choice = Choice(4, 9, label=2, truncation=0.7)
    recipe = studio.recipe(choice)
    assert recipe["labels"] == [2] * 9 and (recipe["seed"], recipe["count"], recipe["truncation"]) == (4, 9, 0.7)
    assert run(shlex.split(recipe["command"])[1:]) == 0
    wanted = ganzoo.images.grid(studio.draw(choice))
    assert ImageChops.difference(Image.open("grid.png").convert("RGB"), wanted.convert("RGB")).getbbox() is None


def test_the_recipe_of_a_class_draws_it_though_classes_are_named_by_other_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gan = small()
    gan.class_names = ("1", "2", "0")
    studio = Studio(ganzoo.from_pretrained(gan.save_pretrained(tmp_path / "mine")))
    recipe = studio.recipe(Choice(4, 9, label=1))
    assert "--label 2" in recipe["command"] and run(shlex.split(recipe["command"])[1:]) == 0
    wanted = ganzoo.images.grid(studio.draw(Choice(4, 9, label=1)))
    assert ImageChops.difference(Image.open("grid.png").convert("RGB"), wanted.convert("RGB")).getbbox() is None


def test_the_pages_picture_of_one_image_is_that_of_its_recipe(studio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, sheet, recipe, *_ = _Page(studio).redraw(4, 1, 2, 4.0)
    command = json.loads(Path(recipe.value["path"]).read_text())["command"]
    assert run(shlex.split(command)[1:]) == 0
    with Image.open(sheet.value["path"]) as ours, Image.open("grid.png") as theirs:
        assert ours.size == theirs.size == (16, 16) and ours.tobytes() == theirs.tobytes()


def test_the_recipe_of_a_gan_that_was_not_loaded_has_no_command(studio):
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    assert "command" not in Studio(gan).recipe(Choice(0)) and "command" in studio.recipe(Choice(0))


def test_the_card_comes_without_its_header_and_pictures(studio):
    assert studio.card().startswith(f"# Mine\n\n\n\nMade of noise. `{HASH}`\n\n")


def test_a_card_on_the_page_holds_no_picture_tag_or_diagram_of_another_server(studio):
    rest = studio.card().partition(HASH)[2]
    assert not re.search(r"!\[|<[a-z/!?]|mermaid", rest, re.IGNORECASE) and rest.count("https://a.example") == 8


def test_a_custom_module_without_a_first_layer_has_a_page_without_directions():
    module = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Unflatten(1, (1, 8, 8)), torch.nn.Tanh())
    gan = ganzoo.GAN(module, latent_size=4)
    assert Studio(gan).directions is None and "Directions" not in json.dumps(page(gan).get_config_file(), default=str)


def test_without_gradio_the_extra_is_named_before_a_model_is_looked_for(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "ganzoo.integrations.demo")
    assert run(["demo", "./nowhere"]) == 2
    assert 'pip install "ganzoo-torch[demo]"' in capsys.readouterr().err


# --- in a browser -------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Served:
    """A process that serves a page; gone when the test is over."""

    def __init__(self, command, folder, port):
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        self.address = f"http://127.0.0.1:{port}/"
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stdout), daemon=True).start()

    def __enter__(self):
        for _ in range(600):
            try:
                with urlopen(self.address, timeout=5) as answer:
                    self.html = answer.read().decode()
                return self
            except OSError:
                assert self.process.poll() is None, "".join(self.said)
                time.sleep(0.2)
        raise AssertionError(f"no page came: {''.join(self.said)}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def served(model):
    port = free_port()
    with Served(["-m", "ganzoo", "demo", str(model), "--port", str(port)], model, port) as page:
        yield page


@pytest.fixture
def opened(served, browser):
    """The page in a browser; in the end nothing was asked of another server, and nothing complained."""
    complaints, pages = [], []

    def open_page(**options):
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        ours = (served.address, "data:", "blob:")
        page.on("request", lambda ask: None if ask.url.startswith(ours) else complaints.append(ask.url))
        page.goto(served.address)
        page.wait_for_selector("#gallery img >> nth=23", timeout=60_000)
        return page

    yield open_page
    for each in pages:
        each.close()
    assert complaints == []


def shown_as(page, text):
    page.wait_for_function("text => document.querySelector('#large').innerText.includes(text)", arg=text)


def changed(page, selector, action):
    """Do `action`, and wait until the picture at `selector` is another."""
    before = page.get_attribute(selector, "src")
    action()
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).src !== before", arg=[selector, page.evaluate(
            "selector => document.querySelector(selector).src", selector) if before is None else before],
    )  # fmt: skip


@pytest.mark.slow
def test_clicks_draw_choose_move_walk_and_download(model, opened, tmp_path):
    gan, page = ganzoo.from_pretrained(model), opened()
    assert page.inner_text("h1 >> nth=0") == "mine"
    assert "Made of noise." in page.inner_text("#card")
    names = ["bag", "boot", "coat"]
    drawn = ganzoo.latents.sample_latents(24, 6, 0, num_classes=3)[1]
    shown_as(page, f"image 0 of seed 0, {names[drawn[0]]}")
    page.locator("#gallery button img").nth(3).click()
    shown_as(page, f"image 3 of seed 0, {names[drawn[3]]}")

    page.get_by_role("tab", name="Directions").click()
    changed(page, "#large img", lambda: page.locator("#direction-0 input[type=range]").fill("5"))
    page.get_by_role("tab", name="Walk").click()
    changed(page, "#walk-between img", lambda: page.locator("#share input[type=range]").fill("0.9"))
    page.get_by_role("tab", name="Samples").click()

    page.locator("#seed input").fill("7")
    page.locator("#class input").click()
    page.get_by_role("option", name="boot").click()
    shown_as(page, "image 0 of seed 7, boot")
    with page.expect_download() as picture:
        page.locator("#sheet").click()
    picture.value.save_as(tmp_path / "grid.png")
    wanted = ganzoo.images.grid(gan.sample(24, seed=7, labels=1)).convert("RGB")
    assert ImageChops.difference(Image.open(tmp_path / "grid.png").convert("RGB"), wanted).getbbox() is None
    with page.expect_download() as recipe:
        page.locator("#recipe").click()
    assert recipe.value.suggested_filename == "mine-seed-7.json"
    recipe.value.save_as(tmp_path / "seeds.json")
    assert json.loads((tmp_path / "seeds.json").read_text())["labels"] == [1] * 24
    page.locator("#another").click()
    page.wait_for_function("() => !document.querySelector('#large').innerText.includes('seed 7,')")


@pytest.mark.slow
def test_on_a_phone_nothing_is_wider_than_the_screen(opened):
    page = opened(viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = "const card = document.querySelector('#card .prose'); return card.scrollWidth - card.clientWidth"
    assert page.evaluate(f"() => {{ {wide} }}") == 0, "the hash of the weights is cut off"


@pytest.mark.slow
def test_the_command_names_the_address_and_a_taken_port_is_an_error(model, served, capsys):
    line = f"{model}: {served.address.rstrip('/')} (Ctrl-C ends it)\n"
    for _ in range(300):  # the line comes after the page
        if line in served.said:
            break
        time.sleep(0.1)
    assert line in served.said
    assert run(["demo", str(model), "--port", served.address.rstrip("/").rpartition(":")[2]]) == 2
    assert "no page can be served at 127.0.0.1" in capsys.readouterr().err


def test_a_host_that_is_not_known_is_an_error_at_once(model, monkeypatch, capsys):
    asked = []

    def unknown(host, *_):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert run(["demo", str(model), "--host", "nosuch.invalid"]) == 2
    assert "served at nosuch.invalid" in capsys.readouterr().err and asked == ["nosuch.invalid"]


# --- as a Space ---------------------------------------------------------------------------------------------------


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_port_that_no_computer_has_is_refused(capsys):
    assert run(["demo", "fashion-mnist", "--port", "99999"]) == 2
    assert "equal to 65535" in capsys.readouterr().err


def test_a_space_has_its_page_its_packages_its_metadata_and_the_generator(model, tmp_path, capsys):
    assert run(["demo", str(model), "--export-space", str(tmp_path / "space")]) == 0
    space = tmp_path / "space"
    assert f"ganzoo push {space} OWNER/NAME --space" in capsys.readouterr().out
    assert files_in(space) == set(SPACE)
    assert (space / "requirements.txt").read_text() == f"ganzoo-torch[demo]=={ganzoo.__version__}\n"
    facts = RepoCard.load(space / "README.md").data
    assert (facts.title, facts.sdk, facts.app_file) == ("mine demo", "gradio", "app.py")
    assert "\n# mine demo\n" in (space / "README.md").read_text()
    assert facts.sdk_version == importlib.metadata.version("gradio")
    again = ganzoo.from_pretrained(space / "model")
    assert torch.equal(again.sample(3, seed=0), ganzoo.from_pretrained(model).sample(3, seed=0))


def test_a_space_names_the_packages_of_its_plug_ins(tmp_path, monkeypatch):
    with ganzoo.NORMS.temporarily("acme.plain", lambda channels: torch.nn.BatchNorm2d(channels)):
        monkeypatch.setitem(ganzoo.NORMS._origins, "acme.plain", Origin("acme-gan", "0.1"))
        config = ganzoo.MODELS["dcgan-generator"].config_class(widths=(8,), norm="acme.plain")
        space = export_space(ganzoo.GAN(ganzoo.MODELS["dcgan-generator"](config)), tmp_path / "space")
    assert (space / "requirements.txt").read_text().splitlines()[1:] == ["acme-gan==0.1"]


def test_a_space_replaces_a_space_and_nothing_else(model, tmp_path):
    gan, space = ganzoo.from_pretrained(model), tmp_path / "space"
    export_space(gan, space)
    (space / "notes.txt").write_text("a person's")
    (space / "requirements.txt").write_text("nonsense")
    export_space(gan, space)
    assert files_in(space) == {*SPACE, "notes.txt"} and "nonsense" not in (space / "requirements.txt").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "app.py").write_text("print('mine')")
    with pytest.raises(ConfigError, match="holds something else than a Space of ganzoo; name a new folder"):
        export_space(gan, tmp_path / "other")
    assert (tmp_path / "other" / "app.py").read_text() == "print('mine')"


def test_a_space_is_put_where_a_file_manager_alone_wrote(model, tmp_path):
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / ".DS_Store").touch()
    assert (export_space(ganzoo.from_pretrained(model), tmp_path / "space") / "app.py").is_file()


def test_a_bundled_models_space_says_its_own_name(tmp_path):
    space = export_space(ganzoo.from_pretrained("fashion-mnist"), tmp_path / "space")
    assert RepoCard.load(space / "README.md").data.title == "fashion-mnist demo"
    assert "gan.source = 'fashion-mnist'" in (app := (space / "app.py").read_text())
    assert "name='fashion-mnist'" in app
    assert (space / "model" / "README.md").read_text().startswith("---")


def test_a_space_of_a_folder_names_no_model_of_the_hub(model, tmp_path, monkeypatch):
    shutil.copytree(model, tmp_path / "runs" / "drawings")
    monkeypatch.chdir(tmp_path)
    gan = ganzoo.from_pretrained("runs/drawings")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    space = export_space(gan, tmp_path / "space")
    assert "models" not in RepoCard.load(space / "README.md").data.to_dict()
    assert "gan.source = None" in (space / "app.py").read_text()


def test_a_space_of_a_model_of_the_hub_names_it(hub, model, tmp_path):
    push_folder(model, "owner/gan", token="hf_owner", endpoint=hub.endpoint)
    space = export_space(ganzoo.from_pretrained("owner/gan", endpoint=hub.endpoint), tmp_path / "space")
    assert RepoCard.load(space / "README.md").data.models == ["owner/gan"]
    assert "gan.source = 'owner/gan'" in (space / "app.py").read_text()


def test_a_space_has_its_models_name_in_any_letters(model, tmp_path):
    name = "draw'ings 🎨 {NAME}"
    shutil.copytree(model, tmp_path / name)
    space = export_space(ganzoo.from_pretrained(tmp_path / name), tmp_path / "space")
    assert f"name={name!r}" in (space / "app.py").read_text(encoding="utf-8")
    assert RepoCard.load(space / "README.md").data.title == f"{name} demo"
    compile((space / "app.py").read_bytes(), "app.py", "exec")


def test_without_gradio_a_space_names_the_extra(model, tmp_path, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("ganzoo.integrations.space.version", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "ganzoo-torch\[demo\]"'):
        export_space(ganzoo.from_pretrained(model), tmp_path / "space")


@pytest.mark.slow
def test_a_space_runs_as_it_runs_on_the_hub(model, tmp_path):
    space = export_space(ganzoo.from_pretrained(model), tmp_path / "space")
    with Served(["app.py"], space, free_port()) as page:
        assert "mine: a GAN to play with" in page.html


# --- on the Hub ---------------------------------------------------------------------------------------------------


def log_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)


def test_push_space_sends_a_page_of_a_model_and_the_models_repository_stays(hub, model, tmp_path, monkeypatch, capsys):
    log_in(monkeypatch)
    push_folder(model, "owner/demo", token="hf_owner", endpoint=hub.endpoint)
    before = hub.files("owner/demo")
    assert run(["push", str(model), "owner/demo", "--space", "--endpoint", hub.endpoint]) == 0
    assert f"{hub.endpoint}/spaces/owner/demo" in capsys.readouterr().out
    sent = hub.files("spaces/owner/demo")
    assert set(sent) - {".gitattributes"} == set(SPACE) and hub.files("owner/demo") == before
    assert b"sdk: gradio" in sent["README.md"] and "name='mine'" in sent["app.py"].decode()
    assert "gan.source = 'owner/demo'" in sent["app.py"].decode()
    assert RepoCard(sent["README.md"].decode()).data.models == ["owner/demo"]
    for name, content in sent.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert torch.equal(
        ganzoo.from_pretrained(tmp_path / "model").sample(2, seed=0), ganzoo.from_pretrained(model).sample(2, seed=0)
    )


def test_a_card_that_is_a_link_out_of_the_models_folder_gets_into_no_space(hub, model, tmp_path, monkeypatch, capsys):
    log_in(monkeypatch)
    (tmp_path / "id_ed25519").write_text("PRIVATE KEY")
    folder = ganzoo.from_pretrained(model).save_pretrained(tmp_path / "mine")
    (folder / "README.md").symlink_to(tmp_path / "id_ed25519")
    assert run(["push", str(folder), "owner/demo", "--space", "--endpoint", hub.endpoint]) == 2
    assert "README.md is a link out of the folder" in capsys.readouterr().err
    assert run(["demo", str(folder), "--export-space", str(tmp_path / "space")]) == 2
    assert not hub.requests and not (tmp_path / "space").exists()


@pytest.mark.parametrize("name", ["app.py", "requirements.txt"])
def test_another_space_is_not_pushed_over(hub, model, tmp_path, name):
    space = export_space(ganzoo.from_pretrained(model), tmp_path / "space")
    hub.add("spaces/owner/app", {name: b"print('mine')", "README.md": b"mine"})
    before = hub.files("spaces/owner/app")
    with pytest.raises(ConfigError, match=f"owner/app holds {name} of something else than a Space of ganzoo"):
        push_folder(space, "owner/app", token="hf_owner", endpoint=hub.endpoint)
    assert hub.files("spaces/owner/app") == before


def test_a_space_in_the_home_folder_is_sent_as_it_is(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    space, sent = export_space(ganzoo.from_pretrained(model), tmp_path / "space"), []
    monkeypatch.setattr("ganzoo.hub.push.push_folder", lambda root, *_, **__: sent.append(root) or Pushed("", "", True))
    assert run(["push", "~/space", "me/mine", "--space"]) == 0
    assert sent == [space]


def test_a_space_of_the_working_folder_has_that_folders_name(model, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(model, tmp_path / "drawings"))
    gan = ganzoo.from_pretrained(".")
    space = export_space(gan, tmp_path / "space")
    assert RepoCard.load(space / "README.md").data.title == "drawings demo"
    assert "name='drawings'" in (space / "app.py").read_text() and Studio(gan).name == "drawings"


def test_a_space_of_a_runs_model_has_the_runs_name(model, tmp_path):
    shutil.copytree(model, tmp_path / "drawings" / "model")
    (tmp_path / "drawings" / "run.json").write_text("{}")
    for source in (tmp_path / "drawings" / "model", tmp_path / "drawings"):
        gan = ganzoo.from_pretrained(source)
        space = export_space(gan, tmp_path / "space")
        assert RepoCard.load(space / "README.md").data.title == "drawings demo"
        assert "name='drawings'" in (space / "app.py").read_text() and Studio(gan).name == "drawings"


def test_a_models_card_links_to_its_space_while_there_is_one_that_its_readers_may_see(hub, model, tmp_path):
    gan = ganzoo.from_pretrained(model)
    folder, space = gan.save_pretrained(tmp_path / "mine"), export_space(gan, tmp_path / "space")
    to = {"token": "hf_owner", "endpoint": hub.endpoint}
    link = f"Try it in a browser: [demo page]({hub.endpoint}/spaces/owner/gan).".encode()
    assert push_folder(folder, "owner/gan", **to).changed and link not in hub.files("owner/gan")["README.md"]
    push_folder(space, "owner/gan", **to)
    assert push_folder(folder, "owner/gan", **to).changed and not push_folder(folder, "owner/gan", **to).changed
    assert hub.files("owner/gan")["README.md"].count(link) == 1
    hub.repositories["spaces/owner/gan"].private = True
    pulled = pull("owner/gan", tmp_path / "pulled", **to)
    push_folder(pulled, "owner/gan", **to)
    assert link not in hub.files("owner/gan")["README.md"] and link in (pulled / "README.md").read_bytes()


def test_a_finished_space_is_sent_without_gradio():
    code = "import sys; sys.modules['gradio'] = None; import ganzoo.integrations.space"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_a_folder_of_export_space_is_sent_as_it_is_and_again_without_a_commit(
    hub, model, tmp_path, monkeypatch, capsys
):
    log_in(monkeypatch)
    space = export_space(ganzoo.from_pretrained(model), tmp_path / "space")
    (space / "secret.txt").write_text("a person's")
    (space / "app.py").write_text((space / "app.py").read_text() + "\n# mine\n")
    capsys.readouterr()
    assert run(["push", str(space), "owner/demo", "--space", "--endpoint", hub.endpoint, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    sent = hub.files("spaces/owner/demo")
    assert sent["app.py"].endswith(b"# mine\n") and "secret.txt" not in sent
    assert not push_folder(space, "owner/demo", token="hf_owner", endpoint=hub.endpoint).changed


def test_a_token_without_the_right_to_write_is_refused_for_a_space_too(hub, model, tmp_path):
    space = export_space(ganzoo.from_pretrained(model), tmp_path / "space")
    with pytest.raises(HubAccessError):
        push_folder(space, "owner/demo", token="hf_reader", endpoint=hub.endpoint)
