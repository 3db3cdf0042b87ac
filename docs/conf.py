"""The manual, built by Sphinx: python -m sphinx -W -b html docs build/site."""

import re
from importlib.metadata import version as installed

project = "ganzoo"
author = "The ganzoo authors"
copyright = author
version = release = installed("ganzoo-torch")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = "ganzoo"
html_static_path = ["_static"]
html_css_files = ["commands.css"]
html_show_copyright = False
html_show_sphinx = False
exclude_patterns = ["**/README.md"]

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline", "colon_fence"]
nitpicky = False
default_role = "literal"  # a name in backticks, as in Markdown
highlight_language = "none"  # a fence without a language is a command or what it prints
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's words on `forward` say nothing of ours
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def escape_signs(app: object, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with Markdown's backticks: |x| and f(*args) mean nothing else in them."""
    for index, line in enumerate(lines):
        code = re.split(r"(`+[^`]+`+)", line)
        code[::2] = [re.sub(r"(?<!\\)([|*])", r"\\\1", part) for part in code[::2]]
        lines[index] = "".join(code)


def lay_out(app: object, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Put each error of a docstring on a line of its own, as napoleon reads them; drop what Python says of a tuple."""
    error = re.compile(r"(?<=\.) (?=[A-Z]\w*Error: )")
    lines[:] = [re.match(" *", line)[0] + part for line in lines for part in error.split(line.strip())]  # type: ignore[index]
    if lines[0].startswith("Alias for field number"):
        lines.clear()


def leave_out(app: object, what: str, name: str, item: object, options: object, given: str, returns: str) -> object:
    """Write a default that is no Python, such as <function f>, as three dots: Sphinx can't read it."""
    return given and re.sub(r"<(<lambda>|[^<>])*>", "...", given), returns


def setup(app: object) -> None:
    app.connect("autodoc-process-signature", leave_out)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", lay_out, priority=400)  # type: ignore[attr-defined]  # before napoleon
    app.connect("autodoc-process-docstring", escape_signs, priority=600)  # type: ignore[attr-defined]  # behind it
