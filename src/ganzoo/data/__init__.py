"""Images to train on and to compare with, whatever holds them."""

from ganzoo.data.cache import cache_dir
from ganzoo.data.image_data import ImageData, describe
from ganzoo.data.loaders import Batches, Loader, open_loader, shard
from ganzoo.data.open import open_data
from ganzoo.data.sources import SOURCES, Licensed, source_name

__all__ = [
    "SOURCES",
    "Batches",
    "ImageData",
    "Licensed",
    "Loader",
    "cache_dir",
    "describe",
    "open_data",
    "open_loader",
    "shard",
    "source_name",
]
