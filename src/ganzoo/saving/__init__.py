"""Saved models: the folder format, opened once, and what the writer promises the reader."""
