"""Rewrite README's relative links for a page outside the repository, such as PyPI's: absolute_links.py OWNER/NAME REF."""

import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)]+)\)")
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)


def absolute(text: str, repository: str, ref: str) -> str:
    """`text` whose links lead to the files of `repository` (OWNER/NAME) at `ref`, a tag or branch."""
    page = f"https://github.com/{repository}/blob/{ref}/"
    picture = f"https://raw.githubusercontent.com/{repository}/{ref}/"

    def link(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        return f"{mark}[{label}]({picture if mark else page}{target})"

    parts = CODE.split(text)  # code stands at the odd places
    parts[::2] = [LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not re.fullmatch(r"[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("Usage: python .github/absolute_links.py OWNER/NAME REF")
    readme = Path("README.md")
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), *sys.argv[1:]), encoding="utf-8")
