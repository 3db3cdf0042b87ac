"""Images to train on and to compare with, whatever holds them."""

from ganzoo.data.batches import Batches, shard
from ganzoo.data.cache import cache_dir
from ganzoo.data.image_data import ImageData, describe
from ganzoo.data.loaders import Loader, open_loader
from ganzoo.data.sources import open_data

__all__ = [
    "Batches",
    "ImageData",
    "Loader",
    "cache_dir",
    "describe",
    "open_data",
    "open_loader",
    "shard",
]
