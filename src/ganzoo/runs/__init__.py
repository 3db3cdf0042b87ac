"""A run's folder, and what is told of it: report, card, curves."""
