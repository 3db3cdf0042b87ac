"""Pages of runs: templates beside this file, which share one head and style, filled in."""

from __future__ import annotations

import base64
import hashlib
import time
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganzoo.text import number


def render(template: str, **facts: Any) -> str:
    """The page of `template`, which extends page_template.html. It needs nothing else, and allows its own script alone.

    All `facts` are shown as text unless they are `Markup`: names, settings and remarks may be of a stranger's run.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, loader=PackageLoader("ganzoo", "runs"))
    environment.filters["number"] = number
    script = (
        files("ganzoo.runs").joinpath(template).read_text("utf-8").partition("<script>")[2].partition("</script>")[0]
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = Markup(f"script-src 'sha256-{digest}'; " if script else "")
    written = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return environment.get_template(template).render(script_policy=policy, written=written, **facts)
