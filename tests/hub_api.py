"""What the tests' Hub answers to each method and path; the rights and the errors too."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

try:
    import httpx2 as httpx  # the client of huggingface_hub 2
except ImportError:
    import httpx  # noqa: F401  # that of version 1
from hub_repository import Commit, Refused, Repository, goes_by_lfs, read_changes

if TYPE_CHECKING:
    from hub_server import HubServer

DATE = "2026-01-01T00:00:00.000Z"


@dataclass
class Fault:
    """What goes wrong with a download; see `HubServer.fail`."""

    cut_after: int | None = None
    extra_size: int = 0
    content: bytes | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """A status, headers and a body, of which `cut_after` bytes are sent at most."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    length: int | None = None


@dataclass
class Request:
    """What came; the names in the path are unquoted, a revision with slashes is one name."""

    hub: HubServer
    method: str
    path: str
    names: dict[str, str]
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    user: str | None

    def json(self) -> Any:
        return json.loads(self.body)

    def repository(self, write: bool = False, download: bool = False) -> Repository:
        """The repository in the path, if this user has the right."""
        as_space = self.names.get("kind") == "spaces" or self.names.get("space")
        found = self.hub.repositories.get(f"{'spaces/' if as_space else ''}{self.names['repo']}")
        allowed = found is not None and self.user is not None and self.user in {found.owner, *found.readers}
        if found is None or (found.private and not allowed) or (write and self.user is None):
            raise Refused(401 if self.user is None else 404, "RepoNotFound", "Repository not found")
        if found.disabled:
            raise Refused(403, message="Access to this resource is disabled.")
        if download and found.gated and not allowed:
            raise Refused(403 if self.user else 401, "GatedRepo", f"Access to model {found.repo_id} is restricted")
        if write and self.user != found.owner:
            raise Refused(403, message=f"{self.user} has no right to write to {found.repo_id}")
        return found

    def commit(self) -> Commit:
        return self.repository().find(self.names["revision"])


Action = Callable[[Request], Any]
ROUTES: list[tuple[str, re.Pattern[str], Action]] = []


def route(method: str, template: str) -> Callable[[Action], Action]:
    """Serve paths like `template`: {repo} is owner/name, {path} anything, another name one step, still quoted."""
    steps = {"repo": "[^/]+/[^/]+", "path": ".+", "kind": "models|spaces", "space": "(spaces/)?"}
    template = template.replace("/api/models/", "/api/{kind}/").replace("/{repo}.git", "/{space}{repo}.git")
    pattern = re.sub(r"{(\w+)}", lambda found: f"(?P<{found[1]}>{steps.get(found[1], '[^/]+')})", template)

    def add(action: Action) -> Action:
        ROUTES.append((method, re.compile(pattern), action))
        return action

    return add


@route("GET", "/api/whoami-v2")
def whoami(request: Request) -> Any:
    if request.user is None:
        raise Refused(401, message="Invalid username or password.")
    access = {"accessToken": {"displayName": "test", "role": "write"}}
    return {"type": "user", "name": request.user, "orgs": [], "auth": {"type": "access_token", **access}}


@route("POST", "/api/repos/create")
def create(request: Request) -> Any:
    asked = request.json()
    if request.user is None:
        raise Refused(401, message="Invalid username or password.")
    owner = asked["organization"] or request.user
    if owner != request.user:
        raise Refused(403, message=f'You don\'t have the rights to create a model under the namespace "{owner}"')
    kind = asked.get("type", "model")
    if kind != "model" and (kind, asked.get("sdk")) != ("space", "gradio"):
        raise Refused(400, message="this Hub has models and Gradio's Spaces alone")
    repo_id = f"{'spaces/' if kind == 'space' else ''}{owner}/{asked['name']}"
    url = f"{request.hub.endpoint}/{repo_id}"
    if repo_id in request.hub.repositories:
        raise Refused(409, message="You already created this model repo", url=url)
    request.hub.add(repo_id, private=asked.get("visibility") == "private")
    return {"url": url, "name": repo_id}


@route("DELETE", "/api/repos/delete")
def delete(request: Request) -> Any:
    asked = request.json()
    request.names["repo"] = f"{asked['organization'] or request.user}/{asked['name']}"
    del request.hub.repositories[request.repository(write=True).repo_id]
    return {}


@route("POST", "/api/validate-yaml")
def validate(request: Request) -> Any:
    errors = [{"message": message} for message in request.hub.card_errors]
    body = json.dumps({"errors": errors, "warnings": []}).encode()
    return Answer(400 if errors else 200, {"Content-Type": "application/json"}, body)


@route("GET", "/api/models/{repo}/auth-check")
def may_read(request: Request) -> Any:
    request.repository(download=True)
    return {}


@route("GET", "/api/models/{repo}/auth-check/write")
def may_write(request: Request) -> Any:
    request.repository(write=True)
    return {}


@route("POST", "/api/models/{repo}/preupload/{revision}")
def preupload(request: Request) -> Any:
    files = request.commit().files
    request.repository(write="create_pr" not in request.query)
    lines = []
    for asked in request.json()["files"]:
        there = files.get(asked["path"])
        mode = "lfs" if goes_by_lfs(asked["path"], asked["size"]) else "regular"
        oid = there.etag if there else None
        lines.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": lines}


@route("POST", "/{repo}.git/info/lfs/objects/batch")
def batch(request: Request) -> Any:
    if request.user is None:
        raise Refused(401, "RepoNotFound", "Repository not found")
    request.repository()
    lines = []
    for asked in request.json()["objects"]:
        line = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in request.hub.objects:
            href = f"{request.hub.endpoint}/lfs/{asked['oid']}"
            line["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        lines.append(line)
    return {"transfer": "basic", "objects": lines}


@route("PUT", "/lfs/{oid}")
def upload(request: Request) -> Any:
    if hashlib.sha256(request.body).hexdigest() != request.names["oid"]:
        raise Refused(400, message="what came has another hash")
    request.hub.objects[request.names["oid"]] = request.body
    return {}


@route("POST", "/lfs/{oid}/verify")
def verify(request: Request) -> Any:
    asked = request.json()
    if len(request.hub.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refused(404, message="the object is not there, or of another size")
    return {}


@route("POST", "/api/models/{repo}/commit/{revision}")
def commit(request: Request) -> Any:
    as_pull_request = "create_pr" in request.query
    repository, branch = request.repository(write=not as_pull_request), request.names["revision"]
    if as_pull_request and request.user is None:
        raise Refused(401, "RepoNotFound", "Repository not found")
    if branch not in repository.branches and branch not in repository.pull_requests:
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {branch}")
    if repository.repo_id in request.hub.races:
        changes = request.hub.races.pop(repository.repo_id)
        repository.commit(changes, branch, "another's commit", author="another")
    header, *lines = (json.loads(line) for line in request.body.splitlines())
    asked, base = header["value"], repository.find(branch)
    parent = asked.get("parentCommit", base.oid)
    if as_pull_request:
        base = repository.find(parent)
    elif parent != base.oid:
        raise Refused(412, message="A commit has happened since. Please refresh and try again.")
    changes = read_changes(lines, base.files, request.hub.objects)
    if as_pull_request:
        branch = repository.open_pull_request(base)
    made = repository.commit(changes, branch, asked["summary"], asked.get("description", ""), request.user)
    url = f"{request.hub.endpoint}/{repository.repo_id}"
    answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{url}/commit/{made.oid}"}
    if as_pull_request:
        answer["pullRequestUrl"] = f"{url}/discussions/{branch.rpartition('/')[2]}"
    return answer


@route("GET", "/api/models/{repo}")
@route("GET", "/api/models/{repo}/revision/{revision}")
def info(request: Request) -> Any:
    request.names.setdefault("revision", "main")
    repository, found = request.repository(), request.commit()
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(found.files)]
    for line in siblings if "blobs" in request.query else []:
        file = found.files[line["rfilename"]]
        line.update(size=len(file.content), blobId=file.blob)
        if file.sha256:
            line["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": file.pointer_size}
    return {
        "_id": "0" * 24, "id": repository.repo_id, "modelId": repository.repo_id, "author": repository.owner,
        "sha": found.oid, "private": repository.private, "gated": "auto" if repository.gated else False,
        "disabled": repository.disabled, "createdAt": DATE, "lastModified": DATE, "tags": [], "downloads": 0,
        "likes": 0, "siblings": siblings,
    }  # fmt: skip


@route("GET", "/api/models/{repo}/tree/{revision}")
@route("GET", "/api/models/{repo}/tree/{revision}/{path}")
def tree(request: Request) -> Any:
    folder = request.names.get("path", "")
    lines = request.commit().entries(folder, request.query.get("recursive", ["false"])[0].lower() == "true")
    if folder and not lines:
        raise Refused(404, "EntryNotFound", f"{folder} does not exist")
    return _page(request, lines)


@route("GET", "/api/models/{repo}/commits/{revision}")
def log(request: Request) -> Any:
    repository, found = request.repository(), request.commit()
    lines = [*repository.branches.values(), *repository.pull_requests.values()]
    line = next((line[: line.index(found) + 1] for line in lines if found in line), [found])
    return _page(
        request,
        [
            {"id": c.oid, "title": c.title, "message": c.description, "date": DATE, "authors": [{"user": c.author}]}
            for c in reversed(line)
        ],
    )


def _page(request: Request, lines: list[dict[str, Any]]) -> Answer:
    start = int(request.query.get("cursor", ["0"])[0])
    end = start + request.hub.page_size
    answer = Answer(200, {"Content-Type": "application/json"}, json.dumps(lines[start:end]).encode())
    if end < len(lines):
        rest = "".join(f"&{name}={value[0]}" for name, value in request.query.items() if name != "cursor")
        answer.headers["Link"] = f'<{request.hub.endpoint}{request.path}?cursor={end}{rest}>; rel="next"'
    return answer


@route("POST", "/api/models/{repo}/paths-info/{revision}")
def paths(request: Request) -> Any:
    asked = parse_qs(request.body.decode()).get("paths", [])
    return [line for line in request.commit().entries() if line["path"] in asked]


@route("GET", "/api/models/{repo}/refs")
def refs(request: Request) -> Any:
    repository = request.repository()

    def listed(names: Mapping[str, Commit], prefix: str = "") -> list[dict[str, str]]:
        return [{"name": name, "ref": prefix + name, "targetCommit": at.oid} for name, at in names.items()]

    heads = {name: line[-1] for name, line in repository.branches.items()}
    answer = {"branches": listed(heads, "refs/heads/"), "tags": listed(repository.tags, "refs/tags/"), "converts": []}
    if "include_prs" in request.query:
        answer["pullRequests"] = listed({name: line[-1] for name, line in repository.pull_requests.items()})
    return answer


@route("POST", "/api/models/{repo}/branch/{branch}")
def add_branch(request: Request) -> Any:
    repository, name = request.repository(write=True), request.names["branch"]
    if name.startswith("refs/"):
        raise Refused(400, message=f"Invalid reference for a branch: {name}")
    if name in repository.branches:
        raise Refused(409, message=f"Reference {name} already exists")
    base = repository.find((request.json() if request.body else {}).get("startingPoint", "main"))
    repository.branches[name] = [base]
    return {}


@route("DELETE", "/api/models/{repo}/branch/{branch}")
def drop_branch(request: Request) -> Any:
    repository, name = request.repository(write=True), request.names["branch"]
    if name == "main":
        raise Refused(403, message="the branch main can't be deleted")
    if repository.branches.pop(name, None) is None:
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {name}")
    return {}


@route("POST", "/api/models/{repo}/tag/{revision}")
def add_tag(request: Request) -> Any:
    repository, name = request.repository(write=True), request.json()["tag"]
    if name in repository.tags:
        raise Refused(409, message=f"Tag {name} already exists")
    repository.tags[name] = request.commit()
    return {}


@route("DELETE", "/api/models/{repo}/tag/{tag}")
def drop_tag(request: Request) -> Any:
    repository, name = request.repository(write=True), request.names["tag"]
    if repository.tags.pop(name, None) is None:
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {name}")
    return {}


@route("GET", "/api/models/{repo}/xet-read-token/{revision}")
@route("GET", "/api/models/{repo}/xet-write-token/{revision}")
def storage(request: Request) -> Any:
    """Where Xet's storage is: hf_xet takes a folder, too."""
    request.repository()
    said = {"casUrl": request.hub.storage, "accessToken": "t", "exp": int(time.time()) + 3600}
    names = ("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration")
    return Answer(200, dict(zip(names, map(str, said.values()))), json.dumps(said).encode())


@route("GET", "/{space}{repo}/resolve/{revision}/{path}")
def resolve(request: Request) -> Any:
    repository, path, hub = request.repository(download=True), request.names["path"], request.hub
    found = repository.find(request.names["revision"])
    if path not in found.files:
        refused = Refused(404, "EntryNotFound", "Entry not found")
        refused.headers["X-Repo-Commit"] = found.oid
        raise refused
    file, waiting = found.files[path], hub.faults.get(path, [])
    fault = waiting[0] if waiting else Fault()
    if waiting and request.method == "GET":
        waiting.pop(0)
        if fault.status is not None:
            raise Refused(fault.status, message=fault.headers.get("X-Error-Message", "refused by the test"))
    headers = {
        "X-Repo-Commit": found.oid, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }  # fmt: skip
    stated = len(file.content) + fault.extra_size
    if file.sha256:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(stated)}
    if file.sha256 in hub.xet:
        token = f"{hub.endpoint}/api/models/{repository.repo_id}/xet-read-token/{found.oid}"
        headers |= {"X-Xet-Hash": hub.xet[file.sha256], "Link": f'<{token}>; rel="xet-auth"'}
    headers |= fault.headers
    if request.method == "HEAD":
        return Answer(200, headers, length=stated)
    return _part(request, headers, file.content if fault.content is None else fault.content, fault.cut_after)


def _part(request: Request, headers: dict[str, str], content: bytes, cut_after: int | None) -> Answer:
    """The whole of `content`, or the range that was asked for."""
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if wanted is None:
        return Answer(200, headers, content, cut_after)
    start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
    if start > end:
        return Answer(416, headers | {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Answer(206, headers, content[start : end + 1], cut_after)
