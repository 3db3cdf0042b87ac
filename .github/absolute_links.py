"""Write the repository's address into what is released: absolute_links.py OWNER/NAME REF, a tag or branch.

README's links become absolute, for PyPI's page, and those of the notebooks, for Colab. README gets the badge of the
tests, pyproject.toml its [project.urls], CITATION.cff its repository.
"""

import json
import re
import sys
from pathlib import Path

CODE = r"```.*?```|`[^`\n]+`"
LINK = r"(?P<picture>!?)\[(?P<label>[^\]]*)\]\((?!https?:|mailto:|#)(?P<target>[^)]+)\)"
PART = re.compile(rf"{LINK}|{CODE}", re.DOTALL)  # whichever begins first: code in a link's label is a part of the link


def absolute(text: str, repository: str, ref: str, folder: str = "") -> str:
    """`text`, which lies in `folder` ("docs/"), with links to the files of `repository` (OWNER/NAME) at `ref`."""
    page = f"https://github.com/{repository}/blob/{ref}/{folder}"
    picture = f"https://raw.githubusercontent.com/{repository}/{ref}/{folder}"

    def link(match: re.Match[str]) -> str:
        if match["target"] is None:
            return match[0]  # code
        return f"{match['picture']}[{match['label']}]({picture if match['picture'] else page}{match['target']})"

    return PART.sub(link, text)


def absolute_notebook(text: str, repository: str, ref: str, folder: str) -> str:
    """`text`, a notebook that lies in `folder`, with such links in its cells of Markdown."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = absolute("".join(cell["source"]), repository, ref, folder).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def with_urls(text: str, repository: str) -> str:
    """`text`, a pyproject.toml, with the addresses of `repository`, unless it has some."""
    owner, name = repository.split("/")
    home = f"https://github.com/{repository}"
    urls = {
        "Homepage": home,
        "Documentation": f"https://{owner.lower()}.github.io/{name}/",  # where docs.yml puts the manual
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }
    table = "".join(f'{key} = "{value}"\n' for key, value in urls.items())
    return text if "[project.urls]" in text else f"{text}\n[project.urls]\n{table}"


def badged(text: str, repository: str) -> str:
    """`text`, a README.md, with the badge of the tests before its other badges, unless it has it."""
    tests = f"https://github.com/{repository}/actions/workflows/test.yml"
    badge = f"[![Tests]({tests}/badge.svg)]({tests})\n"
    return text if badge in text else text.replace("[![", f"{badge}[![", 1)


def cited(text: str, repository: str) -> str:
    """`text`, a CITATION.cff, with the address of `repository`, unless it has one."""
    return text if "repository-code:" in text else f'{text}repository-code: "https://github.com/{repository}"\n'


if __name__ == "__main__":
    if len(sys.argv) != 3 or not re.fullmatch(r"[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("Usage: python .github/absolute_links.py OWNER/NAME REF")
    repository, ref = sys.argv[1:]
    readme, project, citation = map(Path, ("README.md", "pyproject.toml", "CITATION.cff"))
    text = badged(absolute(readme.read_text(encoding="utf-8"), repository, ref), repository)
    readme.write_text(text, encoding="utf-8")
    for notebook in Path("docs").glob("*.ipynb"):
        text = absolute_notebook(notebook.read_text(encoding="utf-8"), repository, ref, "docs/")
        notebook.write_text(text, encoding="utf-8")
    project.write_text(with_urls(project.read_text(encoding="utf-8"), repository), encoding="utf-8")
    citation.write_text(cited(citation.read_text(encoding="utf-8"), repository), encoding="utf-8")
