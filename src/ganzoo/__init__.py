"""ganzoo: a model zoo and a box of building blocks for GANs.

Public names load on first use, so `import ganzoo` is nearly free; `__init__.pyi` beside this file lists
them for editors and type checkers.
"""

from importlib import import_module
from typing import Any

REGISTRIES = {  # every registry and its module, in the order of `ganzoo list`
    "PRESETS": "ganzoo.presets",
    "MODELS": "ganzoo.models",
    "BLOCKS": "ganzoo.blocks",
    "NORMS": "ganzoo.blocks",
    "ACTIVATIONS": "ganzoo.blocks",
    "INITIALISATIONS": "ganzoo.blocks",
    "LOSSES": "ganzoo.losses",
    "PENALTIES": "ganzoo.penalties",
    "GENERATOR_PENALTIES": "ganzoo.penalties",
    "AUGMENTATIONS": "ganzoo.augment",
    "SCHEDULES": "ganzoo.schedules",
    "CALLBACKS": "ganzoo.callbacks",
    "SOURCES": "ganzoo.data",
    "FEATURES": "ganzoo.evaluation.features",
    "METRICS": "ganzoo.evaluation.metrics",
}
_HOME = {
    **REGISTRIES,
    "GAN": "ganzoo.gan",
    "from_pretrained": "ganzoo.pretrained",
    "list_models": "ganzoo.pretrained",
    "list_presets": "ganzoo.presets",
    "create": "ganzoo.presets",
    "Preset": "ganzoo.presets",
    "Settings": "ganzoo.settings",
    "Trainer": "ganzoo.training",
    "evaluate": "ganzoo.evaluation",
    "export_onnx": "ganzoo.integrations.onnx",
    "GanzooError": "ganzoo.errors",
}
_MODULES = {
    "augment", "blocks", "callbacks", "config", "data", "errors", "evaluation", "explore", "images", "latents",
    "losses", "models", "penalties", "presets", "registry", "schedules", "seeds", "settings", "stateful", "training",
}  # fmt: skip

__all__ = sorted([*_HOME, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from ganzoo.text import own_version

        value: Any = own_version()
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        return import_module(f"ganzoo.{name}")
    else:
        from ganzoo.errors import did_you_mean

        raise AttributeError(f"module 'ganzoo' has no attribute {name!r}.{did_you_mean(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
