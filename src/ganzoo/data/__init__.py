"""Images to train on and to compare with, whatever holds them."""

import types as _types
import typing as _typing

from ganzoo.data.cache import cache_dir as cache_dir
from ganzoo.data.image_data import ImageData as ImageData
from ganzoo.data.image_data import describe as describe
from ganzoo.data.loaders import Batches as Batches
from ganzoo.data.loaders import Loader as Loader
from ganzoo.data.loaders import open_loader as open_loader
from ganzoo.data.loaders import shard as shard
from ganzoo.data.open import open_data as open_data
from ganzoo.data.sources import SOURCES as SOURCES
from ganzoo.data.sources import Licensed as Licensed
from ganzoo.data.sources import source_name as source_name

if not _typing.TYPE_CHECKING:  # a checker knows the names above, and would take this for an empty list
    __all__ = [  # `import *` brings no submodules
        name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, _types.ModuleType))
    ]
