"""Images to train on and to compare with, whatever holds them."""

from ganzoo.data.batches import Batches, shard
from ganzoo.data.cache import cache_dir
from ganzoo.data.feeds import Feed, open_feed
from ganzoo.data.image_data import ImageData, describe
from ganzoo.data.sources import open_data

__all__ = [
    "Batches",
    "Feed",
    "ImageData",
    "cache_dir",
    "describe",
    "open_data",
    "open_feed",
    "shard",
]
