"""Make README's relative links absolute, for a page such as PyPI's: absolute_links.py OWNER/NAME REF."""

import re
import sys
from pathlib import Path

CODE = r"```.*?```|`[^`\n]+`"
LINK = r"(?P<picture>!?)\[(?P<label>[^\]]*)\]\((?!https?:|mailto:|#)(?P<target>[^)]+)\)"
PART = re.compile(rf"{LINK}|{CODE}", re.DOTALL)  # whichever begins first: code in a link's label is a part of the link


def absolute(text: str, repository: str, ref: str) -> str:
    """`text` whose links lead to the files of `repository` (OWNER/NAME) at `ref`, a tag or branch."""
    page = f"https://github.com/{repository}/blob/{ref}/"
    picture = f"https://raw.githubusercontent.com/{repository}/{ref}/"

    def link(match: re.Match[str]) -> str:
        if match["target"] is None:
            return match[0]  # code
        return f"{match['picture']}[{match['label']}]({picture if match['picture'] else page}{match['target']})"

    return PART.sub(link, text)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not re.fullmatch(r"[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("Usage: python .github/absolute_links.py OWNER/NAME REF")
    readme = Path("README.md")
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), *sys.argv[1:]), encoding="utf-8")
