"""What a stranger may put into a model, a data set or a run: some hundred hostile or damaged inputs, made by code.

`CASES` maps names to cases; `python hostile.py FOLDER 0` opens every one,
from number 0 on, in FOLDER, and prints a line of JSON for each:
what came of it, how long it took, how much memory it wanted, and what it did that it must not do. The worker is a
process of its own so that its memory can be limited, and so that a hang or a crash is seen from outside.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import hashlib
import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import signal
import stat
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY = 200 * 2**20  # bytes beside what the worker has after it opened sound inputs of each kind
HANG = 20  # seconds after which the worker is ended

Make = Callable[[Path], None]  # writes a case into a folder that holds copies of sound inputs
Open = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """One input: how it is made, how it is opened, and whether it may turn out sound (a bit that nobody misses)."""

    make: Make
    open: Open
    either: bool = False


CASES: dict[str, Case] = {}


def add(name: str, make: Make, opened: Open, either: bool = False) -> None:
    assert name not in CASES, name
    CASES[name] = Case(make, opened, either)


# --- how things are opened -------------------------------------------------------------------------------------


def load(folder: Path) -> Any:
    import ganzoo

    gan = ganzoo.from_pretrained(folder / "model")
    return gan.sample(1, seed=0)


def load_pair(folder: Path) -> Any:
    import torch

    import ganzoo

    gan = ganzoo.from_pretrained(folder / "model", discriminator=True)
    labels = torch.zeros(2, dtype=torch.long) if gan.label_count else None
    return gan.discriminator(gan.sample(2, seed=0), labels)  # type: ignore[misc]


def load_single(folder: Path) -> Any:
    import ganzoo

    return ganzoo.from_pretrained(folder / "model" / "model.safetensors").sample(1, seed=0)


def load_own(folder: Path) -> Any:
    """Weights into modules of the user's own, which no config describes."""
    import torch

    import ganzoo

    gan = ganzoo.GAN(torch.nn.Linear(4, 4), latent_size=4)
    return gan.load_weights(folder / "model")


def train_on(folder: Path) -> Any:
    from ganzoo.training.finetuning import continued

    return continued(folder / "model")


def open_set(folder: Path) -> Any:
    from ganzoo.data import open_data

    for name in ("set.zip", "set", "set.npz"):
        if (folder / name).exists() or (folder / name).is_symlink():
            return open_data(str(folder / name))
    return open_data(str(folder / "set"))


def resume(folder: Path) -> Any:
    import ganzoo

    return ganzoo.Trainer.resume(folder / "run", progress=False)


def resume_and_fit(folder: Path) -> Any:
    return resume(folder).fit()


def restore(folder: Path) -> Any:
    """The checkpoint alone, into networks made as the run's are."""
    from ganzoo.runs.checkpoint import TrainingState, checkpoints, load_checkpoint
    from ganzoo.settings import Settings
    from ganzoo.training.ema import AveragedGenerator
    from ganzoo.training.method import Method
    from ganzoo.training.optimizers import make_optimizer

    gan = small()
    optimizers = [make_optimizer(network, 2e-4, Settings()) for network in (gan.generator, gan.discriminator)]
    state = TrainingState(gan.generator, gan.discriminator, AveragedGenerator(gan.generator, 100).network, *optimizers)
    state.method = Method(Settings())
    load_checkpoint(state, checkpoints(folder / "run")[0])
    return state


# --- sound inputs ----------------------------------------------------------------------------------------------


def png(size: tuple[int, int] = (8, 8), mode: str = "L", color: Any = 9) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, "PNG")
    return buffer.getvalue()


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (16, 16)) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def small() -> Any:
    import ganzoo

    changes: dict[str, Any] = {"generator": {"latent_size": 4, "widths": (6, 4)}, "discriminator": {"widths": (4, 6)}}
    return ganzoo.create("fashion-mnist", image_size=8, **changes, seed=0)


def make_sound(folder: Path) -> None:
    """Write a saved pair, two sets and a finished run of one step: what the cases damage copies of."""
    import ganzoo

    small().save_pretrained(folder / "model", generator_raw=small().generator)
    (folder / "set").mkdir()
    for index in range(8):
        (folder / "set" / f"{index}.png").write_bytes(png(color=index * 20))
    write_zip(folder / "set.zip", {f"{index}.png": png(color=index) for index in range(3)})
    off = dict.fromkeys(("sample_every", "score_every", "report_every", "doctor_every"), 0)
    trainer = ganzoo.Trainer(small(), str(folder / "set"), folder / "run", steps=1, batch_size=4, progress=False, **off)
    trainer.fit()
    shutil.rmtree(folder / "run" / "checkpoints" / "step-00000000")
    for opened in (load, load_pair, load_single, train_on, open_set, resume, restore, resume_and_fit):
        opened(folder)


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# --- damage ----------------------------------------------------------------------------------------------------

CONFIG, WEIGHTS = "model/config.json", "model/model.safetensors"
JUDGE, JUDGE_WEIGHTS = "model/discriminator/config.json", "model/discriminator/model.safetensors"
RAW = "model/generator_raw/model.safetensors"
STATE, TENSORS = "run/checkpoints/step-00000001/state.json", "run/checkpoints/step-00000001/tensors.safetensors"


def put(path: str, content: bytes | str) -> Make:
    """Replace a file."""

    def make(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).unlink(missing_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def change(path: str, damage: Callable[[bytes], bytes]) -> Make:
    """Replace a file's content by what `damage` makes of it."""

    def make(folder: Path) -> None:
        (folder / path).write_bytes(damage((folder / path).read_bytes()))

    return make


def cut(share: float) -> Callable[[bytes], bytes]:
    """Keep a share of a file (without the line's end that nobody misses)."""
    return lambda content: content.rstrip()[: int(share * (len(content.rstrip()) - 1))]


def flip(seed: int, low: float = 0, high: float = 1) -> Callable[[bytes], bytes]:
    """Turn one bit between two shares of a file."""

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        place = random.Random(seed).randrange(int(low * len(content)), int(high * len(content)))
        changed[place] ^= 1 << random.Random(-seed).randrange(8)
        return bytes(changed)

    return damage


def edit(path: str, *keys: Any, to: Any) -> Make:
    """Set the entry of a JSON file at `keys` (`Ellipsis`: take it away)."""

    def damage(content: bytes) -> bytes:
        return json.dumps(edited(json.loads(content), keys, to)).encode()

    return change(path, damage)


def edited(values: Any, keys: tuple[Any, ...], to: Any) -> Any:
    place = values
    for key in keys[:-1]:
        place = place[key]
    if to is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return values


def unpack(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def pack(header: Any, body: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def header(path: str, damage: Callable[[dict[str, Any]], Any]) -> Make:
    """Change the header of a safetensors file; `damage` changes the dict in place or returns another header."""

    def make(content: bytes) -> bytes:
        values, body = unpack(content)
        return pack(damage(values) or values, body)

    return change(path, make)


def both(network: str, *keys: Any, to: Any) -> Make:
    """Change a network's description in its config file and, alike, in the header of its weights."""
    config, weights = {"generator": (CONFIG, WEIGHTS), "discriminator": (JUDGE, JUDGE_WEIGHTS)}[network]
    inside = ("generator",) if network == "generator" else ()

    def in_header(values: dict[str, Any]) -> None:
        described = edited(json.loads(values["__metadata__"]["ganzoo"]), keys, to)
        values["__metadata__"]["ganzoo"] = json.dumps(described)

    def make(folder: Path) -> None:
        edit(config, *inside, *keys, to=to)(folder)
        header(weights, in_header)(folder)

    return make


def entry(path: str, name: str | None = None, **changes: Any) -> Make:
    """Change the header's entry of one tensor, the first that is not a scalar if no name is given."""

    def damage(values: dict[str, Any]) -> None:
        key = name or next(key for key in values if key != "__metadata__" and len(values[key]["shape"]) > 1)
        values[key].update(changes)

    return header(path, damage)


def tensors(path: str, damage: Callable[[dict[str, Any]], Any]) -> Make:
    """Change the tensors of a file, as torch sees them; its header keeps the description."""

    def make(folder: Path) -> None:
        from safetensors.torch import load, save

        content = (folder / path).read_bytes()
        values = {name: value.clone() for name, value in load(content).items()}
        values = damage(values) or values
        (folder / path).write_bytes(save(values, metadata=unpack(content)[0].get("__metadata__")))
        if path == TENSORS:  # the hash is made to fit, so that what lies behind it is met
            numbers = json.loads((folder / STATE).read_text())
            numbers["sha256"]["tensors.safetensors"] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
            (folder / STATE).write_text(json.dumps(numbers))

    return make


def recoded(path: str, dtype: str, bits: int) -> Make:
    """Declare all weights as of another type, with bytes as many as it wants."""

    def make(content: bytes) -> bytes:
        values, _ = unpack(content)
        end = 0
        for key, value in values.items():
            if key != "__metadata__":
                value["dtype"] = dtype
                start, end = end, end + math.ceil(math.prod(value["shape"]) * bits / 8)
                value["data_offsets"] = [start, end]
        return pack(values, bytes(end))

    return change(path, make)


def replace(path: str, how: str) -> Make:
    """Put something that is not a plain file at `path`."""

    def make(folder: Path) -> None:
        target = folder / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        canary = folder.parent / "canary"
        targets = {
            "a link to the password file": "/etc/passwd",
            "a link to a secret text": canary / "secret.json",
            "a link to a secret list": canary / "secrets.json",
            "a link to a secret mapping": canary / "token.json",
            "a link to zeros without end": "/dev/zero",
            "a link to nothing": "nowhere",
            "a link to itself": target.name,
            "a link to its folder": ".",
        }
        if how == "nothing":
            return
        if how == "a pipe":
            os.mkfifo(target)
        elif how == "a folder":
            target.mkdir()
        elif how == "a link to a pipe":
            os.mkfifo(target.with_name("pipe"))
            target.symlink_to("pipe")
        else:
            target.symlink_to(targets[how])

    return make


ODD = (
    "nothing", "a pipe", "a folder", "a link to a pipe", "a link to the password file", "a link to a secret text",
    "a link to a secret list", "a link to a secret mapping", "a link to zeros without end", "a link to nothing",
    "a link to itself", "a link to its folder",
)  # fmt: skip


class Evil:
    """Unpickling it makes a file in the canary's folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (os.system, (f"touch '{self.place / 'pwned'}'",))


def evil(path: str, how: str) -> Make:
    """Put a pickle that makes a file when it is loaded at `path`."""

    def make(folder: Path) -> None:
        import numpy as np
        import torch

        target, load_me = folder / path, Evil(folder.parent / "canary")
        target.unlink(missing_ok=True)
        if how == "pickle":
            target.write_bytes(pickle.dumps(load_me))
        elif how == "npz":
            np.savez(target.with_suffix(".npz"), images=np.array([load_me], dtype=object))
        else:
            torch.save({"weight": load_me}, target, _use_new_zipfile_serialization=how == "torch")

    return make


def then(*makes: Make) -> Make:
    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make


def sparse(path: str, head: bytes, size: int) -> Make:
    """A file that begins with `head` and claims `size` bytes, of which the disk holds none."""

    def make(folder: Path) -> None:
        (folder / path).write_bytes(head)
        os.truncate(folder / path, size)

    return make


# --- saved models: the text of config.json ---------------------------------------------------------------------

for index in range(24):
    add(f"config cut to {index}/24", change(CONFIG, cut(index / 24)), load)
for seed in range(48):
    add(f"config with bit {seed} turned", change(CONFIG, flip(seed)), load, either=True)
for index in range(8):
    add(f"discriminator's config cut to {index}/8", change(JUDGE, cut(index / 8)), load_pair)
for seed in range(16):
    add(f"discriminator's config with bit {seed} turned", change(JUDGE, flip(seed)), load_pair, either=True)

DEEP = 100_000
TEXTS: dict[str, bytes | str] = {
    "empty": "",
    "spaces": " " * 1000,
    "null": "null",
    "a list": "[]",
    "a string": '"text"',
    "a number": "1",
    "NaN": "NaN",
    "minus infinity": "-Infinity",
    "an empty mapping": "{}",
    "brackets without end": "[" * DEEP,
    "brackets that close": "[" * DEEP + "]" * DEEP,
    "mappings without end": '{"a":' * DEEP,
    "mappings that close": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a deep generator": '{"format": 1, "generator": ' + "[" * DEEP + "]" * DEEP + "}",
    "deep class names": '{"format": 1, "class_names": ' + '[{"a":' * 5000 + "1" + "}]" * 5000 + "}",
    "two megabytes": '{"format": 1, "a": "' + "x" * 2_000_000 + '"}',
    "just over the limit": '{"format": 1}' + " " * 1_000_000,
    "a number of a million digits": '{"format": ' + "9" * 900_000 + "}",
    "a float of a million digits": '{"format": 1.' + "9" * 900_000 + "}",
    "a format beyond floats": '{"format": 1e999}',
    "a hundred thousand keys": "{" + ", ".join(f'"{n}": 0' for n in range(70_000)) + "}",
    "not UTF-8": b'{"format": 1, "preset": "\xff\xfe"}',
    "UTF-16": '{"format": 1}'.encode("utf-16"),
    "UTF-32": '{"format": 1}'.encode("utf-32"),
    "NUL bytes": b"\0" * 1000,
    "a NUL inside": b'{"format"\0: 1}',
    "a NUL in a string": b'{"format": 1, "preset": "a\0b"}',
    "comments": '{"format": 1 /* one */}',
    "single quotes": "{'format': 1}",
    "two documents": '{"format": 1} {"format": 1}',
    "YAML": "format: 1\ngenerator: !!python/object/apply:os.system ['true']\n",
    "Python": "__import__('os').system('true')",
    "HTML": "<html><body>404</body></html>",
    "a pointer of Git LFS": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "the format twice": '{"format": 1, "format": 1}',
    "no generator": '{"format": 1}',
    "a lone surrogate": '{"format": "\\ud800"}',
    "control characters": '{"format": "\\u001b[2J\\u001b]0;x\\u0007\\r\\n"}',
    "a pickle": pickle.dumps({"format": 1}),
    "a prototype": '{"__proto__": {"format": 1}, "__class__": "os"}',
}
for name, text in TEXTS.items():
    add(f"config is {name}", put(CONFIG, text), load)
    if name not in ("no generator",):
        add(f"run.json is {name}", put("run/run.json", text), resume)
        add(f"state.json is {name}", put(STATE, text), restore)
add("config with a byte-order mark", change(CONFIG, lambda content: b"\xef\xbb\xbf" + content), load)
add("config with a key twice below", change(CONFIG, lambda c: c.replace(b'"norm"', b'"norm": "batch", "norm"')), load)
add("config with rubbish behind", change(CONFIG, lambda content: content + b"x"), load)

# --- saved models: values --------------------------------------------------------------------------------------

HUGE = 10**30
for name, value in {
    "true": True, "text": "1", "a float": 1.0, "zero": 0, "negative": -1, "two": 2, "huge": HUGE, "null": None,
    "a list": [1], "missing": ..., "NaN": math.nan, "infinite": math.inf,
}.items():  # fmt: skip
    add(f"format is {name}", edit(CONFIG, "format", to=value), load)
    add(f"generator's format is {name}", both("generator", "format", to=value), load)
    add(f"format in the header alone is {name}", both("generator", "format", to=value), load_single)
    add(f"run's format is {name}", edit("run/run.json", "format", to=value), resume)

SHAPES: dict[str, Any] = {
    "empty": [], "zero": [0], "negative": [-4], "two negatives": [-2, -2], "five numbers": [4, 1, 1, 1, 1],
    "a billion": [10**9], "huge": [HUGE], "many": [1] * 100_000, "a product that wraps to 4": [4, 2**62 + 1],
    "a product that wraps to 0": [2**32, 2**32], "all huge": [2**62] * 4, "a number": 4, "text": "4", "a mapping": {},
    "null": None, "true": [True, 4], "a float": [4.0], "nested": [[4]], "missing": ..., "NaN": [math.nan],
    "another size": [5], "texts": ["4"],
}  # fmt: skip
for name, value in SHAPES.items():
    add(f"latent_shape is {name}", edit(CONFIG, "latent_shape", to=value), load)
    if value not in (None, ...):  # which a run may leave out
        add(f"run's latent_shape is {name}", edit("run/run.json", "gan", "latent_shape", to=value), resume)
FACTS: dict[str, tuple[Any, ...]] = {
    "num_classes": (-1, 10**9, HUGE, True, "3", 3, 0.0, [], {}, None, math.nan),
    "class_names": (["x"] * 1_000_000, ["x"] * 10_001, [1], "abc", {"a": 1}, None, [["a"]], ["x" * 500_000], 5,
                    ["\x1b[2J"]),
    "preset": (5, [], {}, True, "x" * 500_000, "\x1b]0;title\x07", math.nan),
}  # fmt: skip
for field, values in FACTS.items():
    for index, value in enumerate(values):
        add(f"{field} of kind {index}", edit(CONFIG, field, to=value), load)
        run_may = (field == "num_classes" and value in (None, 0.0)) or (field == "class_names" and value is None)
        add(f"run's {field} of kind {index}", edit("run/run.json", "gan", field, to=value), resume, either=run_may)
for name, value in {"null": None, "a list": [], "text": "dcgan", "a number": 5, "missing": ...}.items():
    add(f"generator is {name}", edit(CONFIG, "generator", to=value), load)
    add(f"generator's config is {name}", both("generator", "config", to=value), load)
    add(f"run's generator is {name}", edit("run/run.json", "gan", "generator", to=value), resume)

NAMES: tuple[Any, ...] = (
    "os.system", "torch.nn.Linear", "__import__('os').system('true')", "builtins:eval", "../../etc/passwd", "", " ",
    "\0", "x" * 1000, "x" * 200_000, "DCGANGenerator", "dcgan-generator.", "\x1b[31m", "torch.nn:Conv2d", "__class__",
)  # fmt: skip
for index, value in enumerate((*NAMES, 5, [], {}, True, None, "dcgan-discriminator")):
    add(f"model name {index}", both("generator", "model", to=value), load)
    add(f"model name {index} in a single file", both("generator", "model", to=value), load_single)
for field in ("block", "norm", "activation", "head", "initialisation"):
    for index, value in enumerate(NAMES):
        add(f"{field} name {index}", both("generator", "config", field, to=value), load)
        if field != "head":
            add(f"judge's {field} name {index}", both("discriminator", "config", field, to=value), load_pair)
for name, value in {
    "a list too long": ["dcgan-up"] * 3, "65 names": ["dcgan-up"] * 65, "numbers": [1], "nested": [["dcgan-up"]],
    "an empty list": [], "one that halves": "dcgan-down", "one for a discriminator": ["dcgan-down"],
}.items():  # fmt: skip
    add(f"block is {name}", both("generator", "config", "block", to=value), load)

LIES: dict[str, Any] = {
    "null": None, "text": "x", "a mapping": {}, "numbers": [1], "empty": [{}], "too many": [{}] * 101,
    "of other keys": [{"kind": "model", "name": "x", "package": "x", "url": "http://x"}],
    "of a command": [{"kind": "model", "name": "x.y", "package": "x; touch pwned", "version": "1"}],
    "of an option": [{"kind": "model", "name": "x.y", "package": "--index-url=http://x", "version": "1"}],
    "of an address": [{"kind": "model", "name": "x.y", "package": "git+https://x/y", "version": "1"}],
    "of escapes": [{"kind": "model", "name": "x.y", "package": "\x1b[2J", "version": "1"}],
    "of a version that is a command": [{"kind": "model", "name": "x.y", "package": "x", "version": "1 && true"}],
    "of numbers": [{"kind": 1, "name": 2, "package": 3, "version": 4}],
    "of long texts": [{"kind": "model", "name": "x" * 500, "package": "x", "version": "1"}],
    "of a package that is not there": [{"kind": "model", "name": "x.y", "package": "x", "version": "1"}],
}  # fmt: skip
for name, value in LIES.items():
    lie = then(both("generator", "plugins", to=value), both("generator", "model", to="x.y"))
    add(f"plugins are {name}", lie, load)


def fields(network: str) -> list[dataclasses.Field[Any]]:
    from ganzoo.models.dcgan.networks import DCGANDiscriminatorConfig, DCGANGeneratorConfig

    return list(
        dataclasses.fields({"generator": DCGANGeneratorConfig, "discriminator": DCGANDiscriminatorConfig}[network])
    )


VALUES: dict[str, Any] = {
    "NaN": math.nan, "infinite": math.inf, "negative": -1, "zero": 0, "a billion": 10**9, "huge": HUGE, "a float": 1.5,
    "true": True, "text": "x", "null": None, "a list": [], "a mapping": {}, "a million in a list": [10**6],
    "a long list": [8] * 100_000, "nested lists": [[[8]]], "a negative in a list": [-8, 4],
}  # fmt: skip
LEGAL = {(name, "zero") for name in ("head_channels", "num_classes", "context_size", "slope")}
LEGAL |= {("last_blocks", "a list")}  # an empty one, as by default
for network, opened in (("generator", load), ("discriminator", load_pair)):
    for field_ in fields(network):
        for name, value in VALUES.items():
            make = both(network, "config", field_.name, to=value)
            add(f"{network}.{field_.name} is {name}", make, opened, either=(field_.name, name) in LEGAL)
        config, inside = (CONFIG, ("generator",)) if network == "generator" else (JUDGE, ())
        without_it = edit(config, *inside, "config", field_.name, to=...)  # the header still has it
        add(f"{network} without {field_.name}", without_it, opened, either=True)
    for name, value in {"unknown": 1, "__class__": "os", "widht": 1, "": 1, "x" * 10_000: 1, "\x1b[2J": 1}.items():
        add(f"{network} has the field {name[:9]!r}", both(network, "config", name, to=value), opened)
SIZES: dict[str, dict[str, Any]] = {
    "as wide as can be": {"widths": [8192] * 6, "start_size": 1, "latent_size": 8192},
    "wide and large": {"widths": [8192] * 8, "start_size": 4, "latent_size": 8192},
    "as wide, at one size": {"widths": [8192] * 12, "block": "residual", "start_size": 64, "head": "same"},
    "a large first layer": {"widths": [8192, 8192], "start_size": 64, "latent_size": 8192},
    "ten thousand classes": {"num_classes": 10_000, "widths": [8192, 8192]},
    "another number of classes": {"num_classes": 1},
    "a few more channels": {"widths": [6, 5]},
    "more stages": {"widths": [6, 4, 4]},
}
for name, value in SIZES.items():
    makes = [both("generator", "config", key, to=each) for key, each in value.items()]
    add(f"a config of {name}", then(*makes), load)
    in_run = [edit("run/run.json", "gan", "generator", "config", key, to=each) for key, each in value.items()]
    add(f"a run of {name}", then(*in_run), resume)
add("a judge of large kernels", then(both("discriminator", "config", "block", to="dcgan-up"),
    both("discriminator", "config", "widths", to=[8192] * 12)), load_pair)  # fmt: skip
add("a judge of other images", both("discriminator", "config", "image_channels", to=3), load_pair)


def generator_as_judge(folder: Path) -> None:
    shutil.copy(folder / WEIGHTS, folder / JUDGE_WEIGHTS)
    put(JUDGE, json.dumps(json.loads((folder / CONFIG).read_text())["generator"]))(folder)


add("a judge that is a generator", generator_as_judge, load_pair)

# --- saved models: bytes of model.safetensors ------------------------------------------------------------------

for opened, way in ((load, ""), (load_single, " alone")):
    for size in range(9):
        add(f"weights{way} of {size} bytes", change(WEIGHTS, lambda content, size=size: content[:size]), opened)
    for index in range(1, 9):
        add(f"weights{way} cut in the header at {index}/8", change(WEIGHTS, lambda c, i=index: (
            c[: 8 + int.from_bytes(c[:8], "little") * i // 8])), opened)  # fmt: skip
    for index in range(9):

        def to_end_of_tensor(content: bytes, index: int = index) -> bytes:
            values, body = unpack(content)
            ends = sorted(each["data_offsets"][1] for key, each in values.items() if key != "__metadata__")[:-1]
            return content[: len(content) - len(body) + ends[index % len(ends)]]

        add(f"weights{way} cut at the end of tensor {index}", change(WEIGHTS, to_end_of_tensor), opened)
    add(f"weights{way} without the last byte", change(WEIGHTS, lambda content: content[:-1]), opened)
    add(f"weights{way} with a byte more", change(WEIGHTS, lambda content: content + b"\0"), opened)
    for seed in range(24):

        def turned_length(content: bytes, bit: int = seed * 64 // 24) -> bytes:
            return (int.from_bytes(content[:8], "little") ^ 1 << bit).to_bytes(8, "little") + content[8:]

        add(f"weights{way} with bit {seed} of the length turned", change(WEIGHTS, turned_length), opened)
    for seed in range(48):
        add(f"weights{way} with bit {seed} of the header turned", change(WEIGHTS, lambda c, seed=seed: (
            flip(seed)(c[: 8 + int.from_bytes(c[:8], "little")]) + c[8 + int.from_bytes(c[:8], "little") :])), opened,
            either=True)  # fmt: skip
for seed in range(24):
    add(f"weights with bit {seed} turned", change(WEIGHTS, flip(seed, 0.7)), load, either=True)
for index, length in enumerate((0, 1, 2, 10**8, 10**8 + 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1)):
    add(f"weights with a header length of kind {index}", change(WEIGHTS, lambda c, n=length: (
        struct.pack("<Q", n) + c[8:])), load)  # fmt: skip
    add(f"as long a file as its header length of kind {index}", sparse(WEIGHTS, struct.pack("<Q", length) + b"{",
        min(length + 8, 2**40)), load)  # fmt: skip


def many_tensors(count: int) -> bytes:
    one = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return ("{" + ",".join(one % number for number in range(count)) + "}").encode()


HEADERS: dict[str, Callable[[], bytes]] = {
    "forty megabytes of spaces": lambda: b"{}" + b" " * 40_000_000,
    "a megabyte of brackets": lambda: b"[" * 1_000_000,
    "deep mappings": lambda: b'{"a":' * 100_000,
    "a deep shape": lambda: b'{"a":{"dtype":"F32","shape":' + b"[" * 100_000,
    "three hundred thousand tensors": lambda: many_tensors(300_000),
    "twenty thousand tensors": lambda: many_tensors(20_000),
    "five thousand tensors and one": lambda: many_tensors(5_001),
    "five thousand tensors": lambda: many_tensors(5_000),
    "a name of a megabyte": lambda: b'{"' + b"x" * 900_000 + b'":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "names of escapes": lambda: b'{"\\u001b[2J":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "a shape of many numbers": lambda: (
        b'{"a":{"dtype":"F32","shape":[' + b"1," * 200_000 + b'0],"data_offsets":[0,0]}}'),
    "a shape that is huge and empty": lambda: (
        b'{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}'),
    "a shape of the largest int and none": lambda: (
        b'{"a":{"dtype":"F32","shape":[9223372036854775807,0,9223372036854775807],"data_offsets":[0,0]}}'),
    "an empty mapping": lambda: b"{}",
    "null": lambda: b"null",
    "not UTF-8": lambda: b'{"\xff":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "a tensor twice": lambda: (
        b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "metadata alone": lambda: b'{"__metadata__":{"ganzoo":"{}"}}',
    "metadata that is a list": lambda: b'{"__metadata__":[]}',
    "metadata of numbers": lambda: b'{"__metadata__":{"ganzoo":1}}',
    "metadata that is no JSON": lambda: b'{"__metadata__":{"ganzoo":"{"}}',
    "metadata of brackets": lambda: b'{"__metadata__":{"ganzoo":"' + b"[" * 100_000 + b'"}}',
    "metadata of two megabytes": lambda: b'{"__metadata__":{"ganzoo":"' + b" " * 2_000_000 + b'"}}',
    "metadata of a newer format": lambda: b'{"__metadata__":{"ganzoo":"{\\"format\\": 2}"}}',
}  # fmt: skip
for name, text_of in HEADERS.items():
    for opened in (load, load_single, load_own):
        add(f"a header of {name}, {opened.__name__}",
            lambda folder, text_of=text_of: put(WEIGHTS, pack(text_of(), b""))(folder), opened)  # fmt: skip
    add(f"a checkpoint's header of {name}",
        lambda folder, text_of=text_of: put(TENSORS, pack(text_of(), b""))(folder), restore)  # fmt: skip
for name, changes in {
    "offsets that overlap": {"data_offsets": [0, 4]}, "offsets turned": {"data_offsets": [64, 0]},
    "negative offsets": {"data_offsets": [-64, 0]}, "float offsets": {"data_offsets": [0.0, 64.0]},
    "offsets beyond": {"data_offsets": [10**9, 10**9 + 64]}, "huge offsets": {"data_offsets": [0, 2**64]},
    "three offsets": {"data_offsets": [0, 1, 2]}, "no offsets": {"data_offsets": None},
    "a huge shape": {"shape": [10**9, 10**9]}, "a shape that overflows": {"shape": [2**63, 2]},
    "a shape that wraps": {"shape": [2**32, 2**32]}, "a shape beyond 64 bits": {"shape": [2**64]},
    "a negative shape": {"shape": [-1]}, "an empty shape": {"shape": []}, "a zero shape": {"shape": [0]},
    "a float shape": {"shape": [1.5]}, "a text as shape": {"shape": "4"}, "no shape": {"shape": None},
    "many dimensions": {"shape": [1] * 50_000}, "a type of no name": {"dtype": "F31"},
    "a type that is a module": {"dtype": "os.system"}, "no type": {"dtype": None}, "a number as type": {"dtype": 5},
    "half its bytes": {"dtype": "F16"}, "twice its bytes": {"dtype": "F64"}, "a key more": {"code": "import os"},
}.items():  # fmt: skip
    add(f"a tensor with {name}", entry(WEIGHTS, **changes), load, either=name == "a key more")
    add(f"a judge's tensor with {name}", entry(JUDGE_WEIGHTS, **changes), load_pair, either=name == "a key more")
    add(f"a checkpoint's tensor with {name}", entry(TENSORS, **changes), restore, either=name == "a key more")
for dtype, bits in {
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "U16": 16, "U32": 32, "U64": 64, "BOOL": 8, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6,
}.items():  # fmt: skip
    add(f"weights of type {dtype}", recoded(WEIGHTS, dtype, bits), load)
    add(f"weights of type {dtype} alone", recoded(WEIGHTS, dtype, bits), load_single)


def widest(values: dict[str, Any]) -> str:
    """The largest weight; in a checkpoint the generator's."""
    weights = [name for name in values if name.startswith("generator/")] or list(values)
    return max(weights, key=lambda name: (values[name].numel(), name))


def without(values: dict[str, Any]) -> None:
    del values[widest(values)]


def spoil(value: float, last: bool = False) -> Callable[[dict[str, Any]], None]:
    def damage(values: dict[str, Any]) -> None:
        tensor = values[widest(values)]
        tensor.view(-1)[-1 if last else 0] = value

    return damage


TENSOR_DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "NaN": spoil(math.nan),
    "NaN at the end": spoil(math.nan, last=True),
    "infinity": spoil(math.inf),
    "minus infinity": spoil(-math.inf),
    "one missing": without,
    "all missing": lambda values: {"a": values[widest(values)]},
    "one more": lambda values: values.update(more=values[widest(values)][:1].clone()),
    "one renamed": lambda values: values.update({"renamed": values.pop(widest(values))}),
    "one turned": lambda values: values.update({widest(values): values[widest(values)].transpose(0, -1).contiguous()}),
    "one flat": lambda values: values.update({widest(values): values[widest(values)].flatten()}),
    "one empty": lambda values: values.update({widest(values): values[widest(values)][:0]}),
    "one larger": lambda values: values.update({widest(values): values[widest(values)].repeat_interleave(2, 0)}),
    "one of ints": lambda values: values.update({widest(values): values[widest(values)].long()}),
    "one of complex numbers": lambda values: values.update({widest(values): values[widest(values)].cfloat()}),
    "none of its name": lambda values: {f"x.{key}": value for key, value in values.items()},
}
for name, damage in TENSOR_DAMAGE.items():
    add(f"weights with {name}", tensors(WEIGHTS, damage), load)
    add(f"weights alone with {name}", tensors(WEIGHTS, damage), load_single)
    add(f"a judge's weights with {name}", tensors(JUDGE_WEIGHTS, damage), load_pair)
    add(f"raw weights with {name}", tensors(RAW, damage), train_on)
    add(f"a checkpoint with {name}", tensors(TENSORS, damage), restore)
    add(f"own weights with {name}", tensors(WEIGHTS, damage), load_own)

CONTENTS: dict[str, bytes] = {
    "empty": b"", "zeros": b"\0" * 1_000_000, "text": b"hello", "a page": b"<!DOCTYPE html><html></html>" * 50,
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "an ELF": b"\x7fELF\x02\x01\x01" + b"\0" * 500, "GGUF": b"GGUF\x03\0\0\0" + b"\0" * 500,
    "noise": random.Random(0).randbytes(100_000), "HDF5": b"\x89HDF\r\n\x1a\n" + b"\0" * 500,
    "a zip": b"PK\x05\x06" + b"\0" * 18, "JSON": b'{"weights": [1, 2, 3]}',
}  # fmt: skip
for name, content in CONTENTS.items():
    add(f"weights are {name}", put(WEIGHTS, content), load)
    add(f"weights alone are {name}", put(WEIGHTS, content), load_single)
    add(f"a checkpoint is {name}", put(TENSORS, content), restore)
for how in ("pickle", "torch", "torch of old"):
    add(f"weights are an evil {how}", evil(WEIGHTS, how), load)
    add(f"weights alone are an evil {how}", evil(WEIGHTS, how), load_single)
    add(f"own weights are an evil {how}", evil(WEIGHTS, how), load_own)
    add(f"a judge's weights are an evil {how}", evil(JUDGE_WEIGHTS, how), load_pair)
    add(f"raw weights are an evil {how}", evil(RAW, how), train_on)
    add(f"a checkpoint is an evil {how}", evil(TENSORS, how), restore)
    add(f"a config is an evil {how}", evil(CONFIG, how), load)
    for beside in ("pytorch_model.bin", "model.pt", "model.ckpt", "model.pth", "model.pkl", "generator.pt"):
        add(f"an evil {how} {beside} beside missing weights",
            then(replace(WEIGHTS, "nothing"), evil(f"model/{beside}", how)), load)  # fmt: skip
for how in ODD:
    add(f"config is {how}", replace(CONFIG, how), load)
    add(f"weights are {how}", replace(WEIGHTS, how), load)
    add(f"weights alone are {how}", replace(WEIGHTS, how), load_single)
    add(f"a judge's config is {how}", replace(JUDGE, how), load_pair)
    add(f"a judge's weights are {how}", replace(JUDGE_WEIGHTS, how), load_pair)
    add(f"a judge's folder is {how}", replace("model/discriminator", how), load_pair)
    add(f"a model's folder is {how}", replace("model", how), load)
    add(f"raw weights are {how}", replace(RAW, how), train_on,
        either=how in ("nothing", "a pipe", "a folder", "a link to a pipe", "a link to zeros without end",
                       "a link to nothing", "a link to itself", "a link to its folder"))  # fmt: skip
    add(f"run.json is {how}", replace("run/run.json", how), resume)
    add(f"a state is {how}", replace(STATE, how), restore)
    add(f"a checkpoint's tensors are {how}", replace(TENSORS, how), restore)
    add(f"a checkpoint's folder is {how}", replace("run/checkpoints", how), resume_and_fit)
for dtype, size in {"F32": 4, "F16": 2}.items():

    def empty_promise(folder: Path, dtype: str = dtype, size: int = size) -> None:
        """A large network: its config, a header of the weights it wants, and none of their bytes."""
        import torch

        from ganzoo.models import MODELS, DCGANGeneratorConfig

        config = DCGANGeneratorConfig(widths=(8192,) * 6, latent_size=8192, start_size=1)
        with torch.device("meta"):
            wanted = MODELS["dcgan-generator"](config).state_dict()
        described = {"format": 1, "model": "dcgan-generator", "config": config.to_dict(), "plugins": []}
        values: dict[str, Any] = {"__metadata__": {"ganzoo": json.dumps(described)}}
        end = 0
        for name, value in wanted.items():
            kind, width = (dtype, size) if value.is_floating_point() else ("I64", 8)
            start, end = end, end + value.numel() * width
            values[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [start, end]}
        (folder / WEIGHTS).write_bytes(pack(values, b""))
        edit(CONFIG, "generator", to=described)(folder)

    add(f"weights of {dtype} that are promised alone", empty_promise, load)
    add(f"weights of {dtype} that are promised, in a single file", empty_promise, load_single)
TERABYTE = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
HEAD = pack({"project.convolution.weight": TERABYTE}, b"")
add("a file of a terabyte that its header declares", sparse(WEIGHTS, HEAD, 2**40 + len(HEAD)), load)

# --- names of sources ------------------------------------------------------------------------------------------

for index, text in enumerate((
    "", " ", ".", "..", "/", "~", "~nobody-of-this-name/model", "\0", "model\0", "../" * 50 + "etc/passwd",
    "/etc/passwd", "file:///etc/passwd", "a" * 300, "./" + "a" * 300, "/" + "a/" * 3000, "x" * 5000, "owner/..",
    "../model/..", "-rf", "owner/name/more", "http://127.0.0.1:9/x", "\ud800", "./\ud800", "C:\\model", "\x1b[2J",
    "%2e%2e/x",
    "/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/fd/0", "fashion-mnist/../x",
    "$HOME", "`true`", "$(touch pwned)",
)):  # fmt: skip

    def open_source(folder: Path, text: str = text) -> Any:
        import ganzoo

        return ganzoo.from_pretrained(text)

    def open_data_source(folder: Path, text: str = text) -> Any:
        from ganzoo.data import open_data

        return open_data(text)

    add(f"the source {index}", lambda folder: None, open_source)
    if text not in (".", "..", "/", "~", ""):  # which are folders, and may hold images
        add(f"the data {index}", lambda folder: None, open_data_source)

# --- sets of images --------------------------------------------------------------------------------------------


def set_of(**members: bytes) -> Make:
    """A folder `set` of files; `__` in a name stands for a slash, `_png` at its end for `.png`."""

    def make(folder: Path) -> None:
        shutil.rmtree(folder / "set")
        (folder / "set.zip").unlink()
        (folder / "set").mkdir()
        for name, content in members.items():
            (folder / "set" / name.replace("_", ".")).write_bytes(content)

    return make


def zip_of(build: Callable[[Path], Any]) -> Make:
    def make(folder: Path) -> None:
        (folder / "set.zip").unlink()
        build(folder / "set.zip")

    return make


def declared(width: int, height: int, color: int = 2, bits: int = 8) -> bytes:
    """A PNG that says it is so large, and ends."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100_000, 9)) + chunk(b"IEND", b"")


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"(canary/pwned) (w) file closefile\nshowpage\n%%EOF\n"
)
PICTURES: dict[str, Callable[[], bytes]] = {
    "no byte": lambda: b"",
    "one byte": lambda: b"\x89",
    "the signature alone": lambda: b"\x89PNG\r\n\x1a\n",
    "zeros": lambda: b"\0" * 10_000,
    "text": lambda: b"hello",
    "a pickle": lambda: pickle.dumps([1, 2]),
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "a page": lambda: b"<html><script>1</script></html>",
    "PostScript": lambda: EPS,
    "a PDF": lambda: b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF",
    "a zip": lambda: b"PK\x05\x06" + b"\0" * 18,
    "a bomb of 60000 x 60000": lambda: declared(60_000, 60_000),
    "a bomb of 10000 x 10000": lambda: declared(10_000, 10_000),
    "a bomb of 9000 x 8000": lambda: declared(9_000, 8_000),
    "a bomb of 8000 x 8000": lambda: declared(8_000, 8_000, color=6),
    "a bomb of 8000 x 8000 in 16 bits": lambda: declared(8_000, 8_000, color=0, bits=16),
    "just under the limit, cut off": lambda: declared(6_000, 6_000, color=6),
    "the largest size": lambda: declared(2**31 - 1, 2**31 - 1),
    "no size": lambda: declared(0, 0),
    "no height": lambda: declared(8, 0),
    "a line as long as can be": lambda: declared(2**31 - 1, 1),
    "an unknown colour": lambda: declared(8, 8, color=5),
    "a PPM of a billion pixels": lambda: b"P6 40000 40000 255\n" + b"\0" * 100,
    "a PPM of negative size": lambda: b"P6 -8 8 255\n" + b"\0" * 192,
    "a PPM of long numbers": lambda: b"P6 " + b"9" * 100_000 + b" 8 255\n",
    "a BMP of huge size": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0)),
    "a GIF without frames": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0;",
    "a GIF of 65535 x 65535": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "a TIFF that points at itself": lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "a TIFF of huge size": lambda: b"II*\0\x08\0\0\0\x03\0" + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 2**31), (257, 2**31), (259, 1))) + b"\0\0\0\0",
    "a WebP of no content": lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff",
    "a JPEG of no content": lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9",
    "a JPEG of 65500 x 65500": lambda: picture("JPEG").replace(b"\x08\0\x10\0\x10", b"\x08\xff\xdc\xff\xdc"),
    "long text chunks": lambda: png()[:33] + struct.pack(">I", 50_000_000) + b"zTXt" + b"a\0\0" + b"\0" * 1000,
}  # fmt: skip
for name, content_of in PICTURES.items():

    def zipped(folder: Path, content_of: Callable[[], bytes] = content_of) -> None:
        zip_of(lambda path: write_zip(path, {"a.png": content_of()}))(folder)

    add(f"a picture that is {name}", lambda folder, c=content_of: set_of(a_png=c())(folder), open_set)
    add(f"a zipped picture that is {name}", zipped, open_set)
for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):

        def cut_off(folder: Path, kind: str = kind, share: float = share) -> None:
            set_of(a_png=cut(share)(picture(kind)))(folder)

        add(f"a {kind} cut to {share}", cut_off, open_set, either=kind in ("JPEG", "GIF", "TIFF"))
    for seed in range(6):
        add(f"a {kind} with bit {seed} turned", lambda folder, k=kind, n=seed: (
            set_of(a_png=flip(n, 0, 0.4)(picture(k)))(folder)), open_set, either=True)  # fmt: skip
for kind in ("ICNS", "ICO", "PCX", "SGI", "TGA", "EPS", "PDF", "IM", "MSP", "JPEG2000"):
    mode = "1" if kind == "MSP" else "RGB"
    add(
        f"a sound {kind} under the name of a PNG",
        lambda folder, k=kind, m=mode: set_of(a_png=picture(k, m))(folder),
        open_set,
    )
for how in ODD:
    full = how == "a link to its folder"  # which holds pictures of the run
    add(f"a set is {how}", then(replace("set.zip", "nothing"), replace("set", how)), open_set, either=full)
    add(f"a zip is {how}", then(replace("set", "nothing"), replace("set.zip", how)), open_set, either=full)
    add(
        f"the only picture is {how}",
        lambda folder, how=how: then(set_of(), replace("set/a.png", how))(folder),
        open_set,
    )
for name, content in {
    "an empty set": {},
    "a set of texts": {"a_txt": b"x"},
    "a set of hidden files": {"_a_png": b"x"},
}.items():
    add(name, set_of(**content), open_set)
add(
    "an npz of pickled objects",
    then(replace("set", "nothing"), replace("set.zip", "nothing"), evil("set.npz", "npz")),
    open_set,
)
add("a zip that is an npz of pickles", then(replace("set", "nothing"), evil("model/x.npz", "npz"), lambda folder: (
    (folder / "model" / "x.npz").replace(folder / "set.zip")) and None), open_set)  # fmt: skip


def deep_folders(folder: Path) -> None:
    set_of()(folder)
    place = os.open(folder / "set", os.O_RDONLY)
    for _ in range(1050):
        os.mkdir("a", dir_fd=place)
        below = os.open("a", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)


add("folders within folders within folders", deep_folders, open_set)

MEMBERS = (
    "../a.png", "/a.png", "a/../../b.png", "..\\a.png", "C:/a.png", "C:a.png", "\\\\host\\a.png",
    "a/../../../etc/passwd.png",
    "../../../../canary/pwned.png", "..", "//a.png", "a\\..\\..\\b.png",
)  # fmt: skip
for index, name in enumerate(MEMBERS):
    add(
        f"a zip that leads out, {index}",
        zip_of(lambda path, name=name: write_zip(path, {"ok.png": png(), name: png()})),
        open_set,
    )


def linked(target: str) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        link = zipfile.ZipInfo("a.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(link, target)

    return build


def lying(size: int, method: int, claim: int = 100) -> Callable[[Path], None]:
    """A member that says it unpacks to `claim` bytes and unpacks to `size`."""

    def build(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive, archive.open("a.png", "w") as file:
            for _ in range(size // 1_000_000):
                file.write(b"\0" * 1_000_000)
        content = bytearray(path.read_bytes())
        for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            struct.pack_into("<I", content, content.index(mark) + offset, claim)
        path.write_bytes(content)

    return build


def many_members(count: int) -> Callable[[Path], None]:
    """A table of contents of `count` members that all stand at one place."""

    def build(path: Path) -> None:
        write_zip(path, {"a.png": png()})
        content = path.read_bytes()
        start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
        with open(path, "wb") as file:
            file.write(content[:start])
            for _ in range(count // 10_000):
                file.write(content[start:end] * 10_000)
            size = (end - start) * (count // 10_000) * 10_000
            file.write(struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, start, 0))

    return build


def patched(*changes: tuple[bytes, int, str, int]) -> Callable[[Path], None]:
    """A zip of one picture with fields behind marks of its records set."""

    def build(path: Path) -> None:
        write_zip(path, {"a.png": png()})
        content = bytearray(path.read_bytes())
        for mark, offset, form, value in changes:
            struct.pack_into(form, content, content.index(mark) + offset, value)
        path.write_bytes(content)

    return build


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
ZIPS: dict[str, Callable[[Path], Any]] = {
    "a link": linked("/etc/passwd"),
    "a link out": linked("../../canary/secret.json"),
    "a bomb": lambda path: write_zip(path, {"a.png": b"\0" * 60_000_000}),
    "a bomb beside a picture": lambda path: write_zip(path, {"a.png": png(), "b.bin": b"\0" * 60_000_000}),
    "a bomb in bzip2": lambda path: write_zip(path, {"a.png": b"\0" * 60_000_000}, zipfile.ZIP_BZIP2),
    "a bomb in bzip2 that lies": lying(250_000_000, zipfile.ZIP_BZIP2),
    "a bomb in LZMA that lies": lying(120_000_000, zipfile.ZIP_LZMA),
    "a bomb that lies": lying(300_000_000, zipfile.ZIP_DEFLATED),
    "a bomb that claims 4 GB": lying(1_000_000, zipfile.ZIP_DEFLATED, claim=2**32 - 2),
    "a zip in a zip": lambda path: (write_zip(path.with_name("in.zip"), {"a.png": png()}),
                                    write_zip(path, {"in.zip": path.with_name("in.zip").read_bytes()})),
    "a zip as a picture": lambda path: (write_zip(path.with_name("in.zip"), {"a.png": png()}),
                                        write_zip(path, {"a.png": path.with_name("in.zip").read_bytes()})),
    "two million members": many_members(2_000_000),
    "six hundred thousand members": many_members(600_000),
    "a member twice": many_members(20_000),
    "nothing inside": lambda path: write_zip(path, {}),
    "texts inside": lambda path: write_zip(path, {"a.txt": b"x"}),
    "members of escapes": lambda path: write_zip(path, {"\x1b[2J.png": b"x", "\r\n.txt": b"x"}),
    "texts of escapes": lambda path: write_zip(path, {"\x1b[2J.txt": b"x"}),
    "a very long name": lambda path: write_zip(path, {"a" * 60_000 + ".png": b"x"}),
    "very deep names": lambda path: write_zip(path, {"a/" * 30_000 + "b.png": png(), "a/" * 29_000 + "c.png": png()}),
    "an unknown method": patched((LOCAL, 8, "<H", 99), (CENTRAL, 10, "<H", 99)),
    "deflate64": patched((LOCAL, 8, "<H", 9), (CENTRAL, 10, "<H", 9)),
    "bzip2 that is none": patched((LOCAL, 8, "<H", 12), (CENTRAL, 10, "<H", 12)),
    "LZMA that is none": patched((LOCAL, 8, "<H", 14), (CENTRAL, 10, "<H", 14)),
    "stored bytes that are deflated": patched((LOCAL, 8, "<H", 0), (CENTRAL, 10, "<H", 0)),
    "encryption": patched((LOCAL, 6, "<H", 1), (CENTRAL, 8, "<H", 1)),
    "another checksum": patched((LOCAL, 14, "<I", 1), (CENTRAL, 16, "<I", 1)),
    "another name in its record": patched((LOCAL, 30, "<B", ord("b"))),
    "a place beyond the file": patched((CENTRAL, 42, "<I", 2**31)),
    "a table beyond the file": patched((END, 16, "<I", 2**32 - 2)),
    "a table of 4 GB": patched((END, 12, "<I", 2**32 - 2)),
    "a comment beyond the file": patched((END, 20, "<H", 65535)),
    "a disk number": patched((END, 4, "<H", 7)),
    "a needed version of 255": patched((CENTRAL, 6, "<H", 255)),
    "a name beyond the table": patched((CENTRAL, 28, "<H", 65535)),
    "an extra beyond the table": patched((CENTRAL, 30, "<H", 65535)),
    "a size of 4 GB": patched((LOCAL, 22, "<I", 2**32 - 2), (CENTRAL, 24, "<I", 2**32 - 2)),
    "a packed size of 4 GB": patched((LOCAL, 18, "<I", 2**32 - 2), (CENTRAL, 20, "<I", 2**32 - 2)),
    "an end record alone": lambda path: path.write_bytes(b"PK\x05\x06" + b"\0" * 18),
    "64-bit numbers of nonsense": lambda path: path.write_bytes(
        b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**63, 2**63, 2**63, 2**63)
        + b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
        + struct.pack("<4sHHHHIIH", END, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)),
    "no zip": lambda path: path.write_bytes(b"hello"),
    "a tar": lambda path: path.write_bytes(b"a.png" + b"\0" * 252 + b"ustar" + b"\0" * 800),
    "a RAR": lambda path: path.write_bytes(b"Rar!\x1a\x07\x00" + b"\0" * 100),
}  # fmt: skip
SOUND_ENOUGH = {  # what zipfile reads all the same: the picture in it is checked by its sum
    "a disk number", "another name in its record", "a comment beyond the file", "a name beyond the table",
    "an extra beyond the table", "a packed size of 4 GB",
}  # fmt: skip
for name, build in ZIPS.items():
    add(f"a zip with {name}", zip_of(build), open_set, either=name in SOUND_ENOUGH)
for index in range(12):
    add(f"a zip cut to {index}/12", change("set.zip", cut(index / 12)), open_set)
for seed in range(60):
    add(f"a zip with bit {seed} turned", change("set.zip", flip(seed)), open_set, either=True)

# a whole resumption, where the parts above took the checkpoint alone
for name, make in {
    "state": put(STATE, "{"),
    "tensors": change(TENSORS, cut(0.5)),
    "log length": edit(STATE, "log_bytes", to=2**62),
}.items():
    add(f"a run of damaged {name}, resumed", make, resume_and_fit)

# --- runs and checkpoints --------------------------------------------------------------------------------------

for index in range(12):
    add(f"run.json cut to {index}/12", change("run/run.json", cut(index / 12)), resume)
    add(f"state.json cut to {index}/12", change(STATE, cut(index / 12)), restore)
    add(f"a checkpoint cut to {index}/12", change(TENSORS, cut(index / 12)), restore)
for seed in range(24):
    add(f"run.json with bit {seed} turned", change("run/run.json", flip(seed)), resume, either=True)
    add(f"state.json with bit {seed} turned", change(STATE, flip(seed)), restore, either=True)
    add(f"a checkpoint with bit {seed} turned", change(TENSORS, flip(seed)), restore, either=True)
WRONG: dict[str, Any] = {
    "null": None,
    "text": "x",
    "a number": 5,
    "a list": [1],
    "true": True,
    "a deep list": [[[[1]]]],
}
for key in ("settings", "machine", "gan", "data"):
    for name, value in {**WRONG, "missing": ...}.items():
        add(f"run's {key} is {name}", edit("run/run.json", key, to=value), resume)
for key in ("source", "hash"):
    for name, value in {**WRONG, "missing": ..., "a mapping": {}, "a NUL": "\0", "a path": "/etc/passwd"}.items():
        add(f"run's data {key} is {name}", edit("run/run.json", "data", key, to=value), resume)
for key in ("steps", "batch_size", "seed", "generator_lr", "loss", "penalties", "beta1", "flip", "log_every"):
    for name in ("NaN", "infinite", "negative", "huge", "null", "a mapping", "nested lists"):
        add(f"run's {key} is {name}", edit("run/run.json", "settings", key, to=VALUES[name]), resume)
for key, value in {
    "threads": 10**9,
    "processes": 0,
    "device": 5,
    "precision": "fp99",
    "unknown": 1,
    "memory_format": "os",
}.items():
    add(f"run's machine has {key} {value}", edit("run/run.json", "machine", key, to=value), resume)
for key in ("step", "best_step", "best_score", "rollbacks", "log_bytes", "sums", "summed", "memory"):
    for name in ("NaN", "infinite", "text", "true", "a mapping", "nested lists", "a float", "negative"):
        legal = {("best_score", "a float"), ("best_score", "negative"), ("memory", "a mapping")}
        add(f"state's {key} is {name}", edit(STATE, key, to=VALUES[name]), restore, either=(key, name) in legal)
    add(f"state without {key}", edit(STATE, key, to=...), restore)
for key in ("step", "log_bytes", "rollbacks", "summed"):
    add(f"state's {key} is huge", edit(STATE, key, to=HUGE), restore)
    add(f"state's {key} is 2**62", edit(STATE, key, to=2**62), restore, either=key == "summed")
for name, value in {**WRONG, "missing": ...}.items():
    add(f"an optimizer's state is {name}", edit(STATE, "generator_optimizer", to=value), restore)
    add(f"an optimizer's groups are {name}", edit(STATE, "generator_optimizer", "groups", to=value), restore)
    add(f"an optimizer's entries are {name}", edit(STATE, "generator_optimizer", "state", to=value), restore)
    add(f"an optimizer's group is {name}", edit(STATE, "generator_optimizer", "groups", 0,
        to=value if value is not ... else {}), restore, either=value is ...)  # fmt: skip
    if value is not ...:
        add(
            f"an optimizer's rate is {name}",
            edit(STATE, "generator_optimizer", "groups", 0, "lr", to=value),
            restore,
            either=name == "a number",
        )
        add(
            f"an optimizer's betas are {name}",
            edit(STATE, "generator_optimizer", "groups", 0, "betas", to=value),
            restore,
        )
for name, state in {
    "of parameter 99": {"99": {"step": 1}}, "of parameter -1": {"-1": {"step": 1}}, "of no number": {"x": {}},
    "of a list": {"0": [1]}, "of text": {"0": {"exp_avg": "x"}},
}.items():  # fmt: skip
    hidden = name == "of text"  # behind the tensor of the same name
    add(f"an optimizer's entries {name}", edit(STATE, "generator_optimizer", "state", to=state), restore, either=hidden)
for name, key in {
    "parameter 99": "99/exp_avg",
    "no parameter": "x/exp_avg",
    "no entry": "0",
    "code": "0/__class__",
}.items():
    add(f"a moment of {name}", tensors(TENSORS, lambda values, key=key: values.update({
        f"generator_optimizer/{key}": values[widest(values)].clone()})), restore, either=name == "code")  # fmt: skip


# --- the worker ------------------------------------------------------------------------------------------------

WATCHED = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "socket.connect",
    "socket.getaddrinfo", "shutil.rmtree", "os.symlink", "os.chmod",
)  # fmt: skip


class Watch:
    """Notes what a case does to the world: programs it starts, addresses it calls, files it writes to."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on = False
        self.allowed: tuple[str, ...] = ()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and not isinstance(arguments[0], int):
            writes = (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")) or (
                arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            if writes and not os.fsdecode(arguments[0]).startswith(self.allowed):
                self.events.append(f"writes {arguments[0]}")
        elif event in WATCHED and not (event == "shutil.rmtree" and str(arguments[0]).startswith(self.allowed)):
            self.events.append(f"{event} {arguments}"[:200])


def status(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def remove(folder: Path) -> None:
    """Delete a folder, however deep."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    shutil.rmtree(folder, ignore_errors=True)
    sys.setrecursionlimit(limit)


def reset(folder: Path, sound: Path) -> None:
    """Make `folder` as `sound` is, touching no more than differs: a disk takes its time over files."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        folder.mkdir()
    wanted = {path.name: path for path in sound.iterdir()}
    for path in list(folder.iterdir()):
        if path.name not in wanted:
            remove(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, path in wanted.items():
        target = folder / name
        if path.is_dir():
            reset(target, path)
        elif not (os.path.lexists(target) and facts(target) == facts(path)):
            remove(target) if target.is_dir() and not target.is_symlink() else target.unlink(missing_ok=True)
            shutil.copy2(path, target)


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_mode, found.st_size, found.st_mtime_ns


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {str(path): facts(path) for path in sorted(folder.rglob("*"))}


def run(name: str, root: Path, watch: Watch) -> dict[str, Any]:
    """Make and open one case in `root`; say what came of it."""
    from ganzoo.errors import GanzooError

    case, target = CASES[name], root / "target"
    reset(target, root / "sound")
    case.make(target)
    outside = [root / place for place in ("canary", "home", "tmp", "cwd")]
    before = [listing(place) for place in outside]
    Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory begins anew
    resident = status("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + MEMORY, resource.RLIM_INFINITY))
    signal.alarm(HANG)
    watch.events, watch.on = [], True
    began = time.perf_counter()
    outcome, text = "success", ""
    try:
        case.open(target)
    except GanzooError as error:
        outcome, text = type(error).__name__, str(error)
    except BaseException as error:  # what must never come, PanicException of Rust included
        outcome, text = f"CRASH {type(error).__module__}.{type(error).__name__}", f"{error}"[:300]
    seconds = time.perf_counter() - began
    watch.on = False
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    done = list(watch.events)
    done += [f"changes {place.name}" for place, old in zip(outside, before) if listing(place) != old]
    memory = max(0, status("VmHWM") - resident)
    if memory > 5_000_000:
        ctypes.CDLL(None).malloc_trim(0)  # so that the next case does not find room that is counted already
    return {
        "case": name,
        "outcome": outcome,
        "text": text,
        "seconds": seconds,
        "memory": memory,
        "done": done,
    }


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    for place in ("canary", "home", "tmp", "cwd", "sound", "cache"):
        (root / place).mkdir(parents=True)
    for name, text in {
        "secret.json": '"HUSH-1234"',
        "secrets.json": '["HUSH-1234"]',
        "token.json": '{"token": "HUSH-1234"}',
    }.items():
        (root / "canary" / name).write_text(text)
    os.environ.update(
        HOME=str(root / "home"), TMPDIR=str(root / "tmp"), GANZOO_CACHE=str(root / "cache"), HF_HUB_OFFLINE="1"
    )
    os.chdir(root / "cwd")
    import timm.layers  # noqa: F401  # seconds; a config that names an unknown norm or activation asks it
    import torch
    from huggingface_hub import hf_hub_download  # noqa: F401

    torch.set_num_threads(1)
    make_sound(root / "sound")
    shutil.rmtree(root / "cache")
    record = root / "sound" / "run" / "run.json"
    described = json.loads(record.read_text())
    record.write_text(json.dumps(edited(described, ("data", "source"), str(root / "target" / "set")), indent=2))
    gc.collect()
    gc.freeze()
    for path in [*(root / "tmp").iterdir(), *(root / "home").iterdir()]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    watch = Watch()
    watch.allowed = (str(root / "cache"), str(root / "target" / "run"), os.devnull)
    for name in list(CASES)[int(sys.argv[2]) :] if sys.argv[2].isdecimal() else sys.argv[2:]:
        print(json.dumps({"start": name}), flush=True)
        result = run(name, root, watch)
        if result["seconds"] > 1:  # another process may have had its turn
            result["seconds"] = min(result["seconds"], run(name, root, watch)["seconds"])
        print(json.dumps(result), flush=True)
    remove(root / "target")
    remove(root / "cache")


if __name__ == "__main__":
    main()
