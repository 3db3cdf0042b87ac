"""What a test's Hub keeps in memory: repositories, their commits, branches, tags and pull requests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST_REGULAR = 1_000_000  # bytes; a larger file, or weights of any size, goes by LFS


class Refused(Exception):
    """A request that the Hub does not grant: a status, the code by which the client picks its error, and a message."""

    def __init__(self, status: int, code: str = "", message: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body
        self.headers: dict[str, str] = {}


def goes_by_lfs(path: str, size: int) -> bool:
    return size > LARGEST_REGULAR or (path.endswith(".safetensors") and size > 0)


@dataclass(frozen=True)
class File:
    """One version of a file, with its hashes: git's of a regular one, SHA-256 of one that goes by LFS."""

    content: bytes
    blob: str
    sha256: str | None = None
    pointer_size: int = 0

    @classmethod
    def of(cls, path: str, content: bytes) -> File:
        if not goes_by_lfs(path, len(content)):
            return cls(content, _git_hash(content))
        sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
        return cls(content, _git_hash(pointer), sha256, len(pointer))

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob

    def entry(self, path: str) -> dict[str, Any]:
        """Its line in a tree."""
        line: dict[str, Any] = {"type": "file", "path": path, "size": len(self.content), "oid": self.blob}
        if self.sha256:
            line["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": self.pointer_size}
        return line


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Commit:
    oid: str
    files: Mapping[str, File]
    title: str
    description: str
    author: str

    def entries(self, folder: str = "", recursive: bool = True) -> list[dict[str, Any]]:
        """Files and folders below `folder`, as a tree lists them."""
        prefix = f"{folder}/" if folder else ""
        lines: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self.files.items()):
            if not path.startswith(prefix):
                continue
            steps = path[len(prefix) :].split("/")
            for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
                name = prefix + "/".join(steps[:depth])
                oid = hashlib.sha1(f"{self.oid} {name}".encode(), usedforsecurity=False).hexdigest()
                lines.setdefault(name, {"type": "directory", "path": name, "size": 0, "oid": oid})
            if recursive or len(steps) == 1:
                lines[path] = file.entry(path)
        return list(lines.values())


@dataclass
class Repository:
    """A repository; `branches` holds the commits of each branch, oldest first, `pull_requests` those of refs/pr/N.

    A new one has a first commit with .gitattributes, as on the real Hub. `readers` are users other than the owner who
    may read it if it is private, or download from it if it is gated.
    """

    repo_id: str
    private: bool = False
    gated: bool = False
    disabled: bool = False
    readers: set[str] = field(default_factory=set)
    branches: dict[str, list[Commit]] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)
    pull_requests: dict[str, list[Commit]] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.branches["main"] = []
        self.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, title="initial commit")

    @property
    def owner(self) -> str:
        return self.repo_id.removeprefix("spaces/").split("/")[0]

    def find(self, revision: str) -> Commit:
        """The commit that a branch, tag, pull request or full commit names."""
        line = self.branches.get(revision) or self.pull_requests.get(revision)
        found = line[-1] if line else self.tags.get(revision) or self.commits.get(revision)
        if found is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def commit(
        self,
        changes: Mapping[str, bytes | None],
        branch: str = "main",
        title: str = "a commit",
        description: str = "",
        author: str | None = None,
    ) -> Commit:
        """Add a commit to a branch or pull request; None as content deletes a file."""
        line = self.branches[branch] if branch in self.branches else self.pull_requests[branch]
        files = dict(line[-1].files) if line else {}
        for path, content in changes.items():
            if content is None:
                del files[path]
            else:
                files[path] = File.of(path, content)
        named = f"{self.repo_id} {len(self.commits)} {title} {sorted((path, f.etag) for path, f in files.items())}"
        oid = hashlib.sha1(named.encode(), usedforsecurity=False).hexdigest()
        made = Commit(oid, files, title, description, author or self.owner)
        line.append(made)
        self.commits[oid] = made
        return made

    def open_pull_request(self, base: Commit) -> str:
        name = f"refs/pr/{len(self.pull_requests) + 1}"
        self.pull_requests[name] = [base]
        return name


def read_changes(
    lines: list[dict[str, Any]], files: Mapping[str, File], objects: Mapping[str, bytes]
) -> dict[str, bytes | None]:
    """The changes that a commit's lines (without its header) make to `files`; `objects` came by LFS before."""
    changes: dict[str, bytes | None] = {}
    for line in lines:
        key, value = line["key"], line["value"]
        path = value["path"]
        if key == "file" and value["encoding"] == "base64":
            changes[path] = base64.b64decode(value["content"])
        elif key == "lfsFile" and value["algo"] == "sha256":
            if value["oid"] not in objects:
                raise Refused(400, message=f"LFS object {value['oid']} of {path} was not uploaded")
            changes[path] = objects[value["oid"]]
        elif key in ("deletedFile", "deletedFolder"):
            folder = path.rstrip("/") + "/"
            gone = [name for name in files if name == path or (key == "deletedFolder" and name.startswith(folder))]
            if not gone:
                raise Refused(404, "EntryNotFound", "A file with this name doesn't exist")
            changes.update(dict.fromkeys(gone))
        else:
            raise Refused(400, message=f"unknown line {key} in the commit")
    return changes
