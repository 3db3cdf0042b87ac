"""Both parsers, of a config's JSON and of a weights file's header, against inputs that Hypothesis makes up."""

import copy
import dataclasses
import json
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ganzoo
from ganzoo.config import Config
from ganzoo.errors import GanzooError
from ganzoo.models import DCGANDiscriminatorConfig, DCGANGeneratorConfig
from ganzoo.runs.metadata import RuntimeConfig
from ganzoo.saving.format import Description, parse_json, read_description
from ganzoo.saving.weights import WeightsFile
from ganzoo.settings import Settings
from hostile import pack, unpack

bounded = settings(max_examples=150, deadline=1000, derandomize=True, database=None)  # milliseconds an example
SIZES = st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**9, -(2**63), 8192, 8193])
SCALARS = st.none() | st.booleans() | st.integers() | SIZES | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)
CONFIGS = (DCGANGeneratorConfig, DCGANDiscriminatorConfig, Settings, RuntimeConfig)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    changes = {"generator": {"latent_size": 4, "widths": (6, 4)}, "discriminator": {"widths": (4, 6)}}
    gan = ganzoo.create("fashion-mnist", image_size=8, **changes, seed=0)
    folder = gan.save_pretrained(tmp_path_factory.mktemp("fuzz") / "model")
    return folder, (folder / "config.json").read_bytes(), (folder / "model.safetensors").read_bytes()


def outcome(call, *arguments, **options):
    """What `call` gives, or the GanzooError it raises, of one short printable line; any other error fails the test."""
    try:
        return call(*arguments, **options)
    except GanzooError as error:
        text = str(error)
        assert 10 < len(text) < 1500 and text.isprintable(), text
        return error


def open_with(model, config=None, weights=None, single=False):
    """Load a saved model with other bytes in its files; a GAN that comes of it must draw an image."""
    folder, sound_config, sound_weights = model
    (folder / "config.json").write_bytes(sound_config if config is None else config)
    (folder / "model.safetensors").write_bytes(sound_weights if weights is None else weights)
    found = outcome(ganzoo.from_pretrained, folder / "model.safetensors" if single else folder)
    if isinstance(found, ganzoo.GAN):
        assert found.sample(1, seed=0).shape == (1, found.image_channels, found.image_size, found.image_size)
    return found


def paths(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def replaced(value, path, new):
    """A copy of a JSON value with another one at `path`; None takes the place away from a mapping."""
    if not path:
        return new
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    if new is None and isinstance(place, dict):
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return value


@st.composite
def mutated(draw, value):
    """A JSON value with one to three of its places replaced."""
    for _ in range(draw(st.integers(1, 3))):
        found = list(paths(value))
        value = replaced(value, found[draw(st.integers(0, len(found) - 1))], draw(JSON))
    return value


@st.composite
def spliced(draw, content):
    """Bytes with a piece of them replaced by others."""
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(len(content), start + 20)))
    return content[:start] + draw(st.binary(max_size=20)) + content[stop:]


def test_a_mutation_of_nothing_loads(model):
    assert isinstance(open_with(model), ganzoo.GAN) and isinstance(open_with(model, single=True), ganzoo.GAN)


@bounded
@given(JSON)
def test_any_value_is_a_description_or_an_error(value):
    assert isinstance(outcome(read_description, value, "a file"), (Description, GanzooError))


@bounded
@given(st.text(max_size=300) | JSON.map(json.dumps))
@example('{"a": 1, "a": 2}')
@example("[" * 100_000)
def test_any_text_is_a_mapping_or_an_error(text):
    assert isinstance(outcome(parse_json, text, "a file"), (dict, GanzooError))


@pytest.mark.parametrize("kind", CONFIGS)
@bounded
@given(data=st.data())
def test_any_fields_are_a_config_or_an_error(kind, data):
    names = st.sampled_from([field.name for field in dataclasses.fields(kind)])
    lists = st.lists(SIZES | st.integers(1, 64), max_size=14)
    values = data.draw(st.dictionaries(names, JSON | lists | st.integers(1, 64), max_size=4) | JSON)
    found = outcome(kind.from_dict, values, "a file")
    assert isinstance(found, (Config, GanzooError))
    assert isinstance(found, GanzooError) or kind.from_dict(found.to_dict()) == found


@bounded
@given(data=st.data())
def test_a_mutated_config_is_a_gan_or_an_error(model, data):
    values = data.draw(mutated(json.loads(model[1])))
    assert isinstance(open_with(model, config=json.dumps(values).encode()), (ganzoo.GAN, GanzooError))


@bounded
@given(data=st.data())
def test_a_mutated_config_in_both_places_is_a_gan_or_an_error(model, data):
    """The header of the weights says the same as config.json, so that no disagreement hides what follows."""
    root = json.loads(model[1])
    described = data.draw(mutated(root["generator"]))
    header, body = unpack(model[2])
    header["__metadata__"]["ganzoo"] = json.dumps(described)
    weights = pack(header, body)
    for single in (False, True):
        config = json.dumps({**root, "generator": described}).encode()
        assert isinstance(open_with(model, config, weights, single), (ganzoo.GAN, GanzooError))


@bounded
@given(data=st.data())
def test_a_config_of_changed_bytes_is_a_gan_or_an_error(model, data):
    assert isinstance(open_with(model, config=data.draw(spliced(model[1]))), (ganzoo.GAN, GanzooError))


@bounded
@given(data=st.data())
def test_a_mutated_header_is_a_gan_or_an_error(model, data):
    header, body = unpack(model[2])
    text = json.dumps(data.draw(mutated(header))).encode()
    length = data.draw(st.none() | st.integers(0, 2**64 - 1))
    weights = pack(text, body, length)
    for single in (False, True):
        assert isinstance(open_with(model, weights=weights, single=single), (ganzoo.GAN, GanzooError))


@bounded
@given(data=st.data())
def test_weights_of_changed_bytes_are_a_gan_or_an_error(model, data):
    end = 8 + struct.unpack("<Q", model[2][:8])[0]
    head = data.draw(spliced(model[2][: end + 8]))
    for single in (False, True):
        found = open_with(model, weights=head + model[2][end + 8 :], single=single)
        assert isinstance(found, (ganzoo.GAN, GanzooError))


@bounded
@given(content=st.binary(max_size=200) | st.binary(max_size=200).map(lambda text: pack(text, b"")) | JSON.map(
    lambda value: pack(json.dumps(value).encode(), b"")))  # fmt: skip
def test_any_bytes_are_weights_or_an_error(model, content):
    path = model[0] / "any.safetensors"
    path.write_bytes(content)
    assert isinstance(outcome(read_weights, path), (dict, GanzooError))


def read_weights(path):
    return WeightsFile.open(path).weights()


ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I64", "F8_E4M3", "C64", "x"]) | JSON,
        "shape": st.lists(st.integers(0, 4) | SIZES, max_size=10) | JSON,
        "data_offsets": st.lists(st.integers(0, 64) | SIZES, min_size=2, max_size=2) | JSON,
    }
)


@bounded
@given(entries=st.dictionaries(st.text(max_size=5), ENTRIES, max_size=4), body=st.binary(max_size=64))
def test_any_entries_of_tensors_are_weights_or_an_error(model, entries, body):
    path = model[0] / "any.safetensors"
    path.write_bytes(pack(json.dumps(entries).encode(), body))
    assert isinstance(outcome(read_weights, path), (dict, GanzooError))
