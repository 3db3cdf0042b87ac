"""Honest measures of a generator: scores with their yardsticks, quality by class, memorisation, experiments."""
