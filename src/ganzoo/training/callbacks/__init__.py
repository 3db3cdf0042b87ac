"""Callbacks of a training: those it is given, and its own."""
