"""Images to train on and to compare with, whatever holds them."""

import ganzoo.exports as _exports
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

_exports.without_submodules(globals())
