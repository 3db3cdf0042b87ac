"""A plug-in for ganzoo. Its entry points in pyproject.toml say what is where; nothing needs to be imported here."""
