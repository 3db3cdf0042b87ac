"""Saved models: a folder, and (from `ganzoo.hub.remote`) a repository of the same layout on the Hub."""
