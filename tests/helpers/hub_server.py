"""A small Hub on 127.0.0.1: repositories, large files, commits and downloads, as `huggingface_hub` calls them.

Large files come by the LFS calls; Xet is no part of it, so clients have to be told `HF_HUB_DISABLE_XET=1`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LARGE = (".parquet", ".safetensors", ".png")
Event = tuple[str, Any]


@dataclass
class Repository:
    """Whether it is private, its files now, and how often it was committed to."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(str(self.commits).encode()).hexdigest()


def repository_of(folder: Path) -> Repository:
    """A public repository with the files of `folder`."""
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return Repository(private=False, files=files)


@dataclass
class Hub:
    """Everything that the server has, and what happened: `on_event` is called before an event has any effect."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda event: None
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def put(self, oid: str, content: bytes) -> None:
        assert hashlib.sha256(content).hexdigest() == oid
        with self.lock:
            self.note(("put", oid))
            self.objects[oid] = content

    def commit(self, name: str, operations: list[dict[str, Any]]) -> None:
        changed = [each["value"]["path"] for each in operations if each["key"] != "header"]
        with self.lock:
            self.note(("commit", changed))
            repository = self.repositories[name]
            for operation in operations:
                value = operation["value"]
                if operation["key"] == "file":
                    repository.files[value["path"]] = base64.b64decode(value["content"])
                elif operation["key"] == "lfsFile":
                    repository.files[value["path"]] = self.objects[value["oid"]]
                elif operation["key"] == "deletedFile":
                    del repository.files[value["path"]]
            repository.commits.append(changed)


def described(path: str, content: bytes) -> dict[str, Any]:
    """A file as the tree of a repository has it."""
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git}
    if path.endswith(LARGE):
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found


def is_private(given: dict[str, Any]) -> bool:
    """As older and newer clients say it."""
    return bool(given.get("private")) or given.get("visibility") == "private"


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        return

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str = "RepoNotFound") -> None:
        self.answer({"error": code}, 404, {"X-Error-Code": code, "X-Error-Message": code})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self) -> None:
        content = self.body()
        self.hub.put(self.path.rsplit("/", 1)[1], content)
        self.answer({})

    def do_POST(self) -> None:
        content, path = self.body(), unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            given = json.loads(content)
            name = f"{given.get('type', 'model')}s/{given['organization']}/{given['name']}"
            self.hub.repositories.setdefault(name, Repository(is_private(given)))
            self.answer({"url": f"{self.hub.address}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self.validate(json.loads(content)["content"])
        elif found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/preupload/.*", path):
            self.preupload(found[1], json.loads(content)["files"])
        elif found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/commit/.*", path):
            self.hub.commit(found[1], [json.loads(line) for line in content.splitlines()])
            sha = self.hub.repositories[found[1]].sha
            self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.address}/{found[1]}/commit/{sha}"})
        elif found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/paths-info/.*", path):
            told = content.decode()
            asked = json.loads(told) if told.startswith("{") else parse_qs(told)
            self.entries(found[1], lambda name: name in asked["paths"])
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.answer(
                {"transfer": "basic", "objects": [self.action(each) for each in json.loads(content)["objects"]]}
            )
        else:
            self.missing()

    def validate(self, card: str) -> None:
        said = yaml.safe_load(card.split("---\n")[1])
        errors = [] if said.get("license") else [{"message": '"license" is required'}]
        self.answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, name: str, files: list[dict[str, Any]]) -> None:
        repository, answers = self.hub.repositories[name], []
        for each in files:
            there = repository.files.get(each["path"])
            known = described(each["path"], there) if there is not None else {}
            oid = known.get("lfs", known).get("oid")
            mode = "lfs" if each["path"].endswith(LARGE) else "regular"
            answers.append({"path": each["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.answer({"files": answers})

    def action(self, each: dict[str, Any]) -> dict[str, Any]:
        if each["oid"] in self.hub.objects:
            return each
        return {**each, "actions": {"upload": {"href": f"{self.hub.address}/objects/{each['oid']}"}}}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            self.information(found[1])
        elif found := re.fullmatch(r"/api/(\w+/[^/]+/[^/]+)/tree/[^/]+/?(.*)", path):
            folder = f"{found[2]}/" if found[2] else ""
            deep = "recursive=true" in url.query.lower()
            self.entries(found[1], lambda name: name.startswith(folder) and (deep or "/" not in name[len(folder) :]))
        elif found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/[^/]+/(.*)", path):
            self.file(f"{found[1] or 'models/'}{found[2]}", found[3])
        else:
            self.missing()

    def entries(self, name: str, wanted: Callable[[str], bool]) -> None:
        """Those files and folders of a repository that are wanted."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self.missing()
            return
        found = {path: described(path, content) for path, content in repository.files.items()}
        for folder in {str(parent) for path in found for parent in PurePosixPath(path).parents} - {"."}:
            found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
        self.answer([found[path] for path in sorted(found) if wanted(path)])

    def information(self, name: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self.missing()
            return
        siblings = [{"rfilename": path} for path in sorted(repository.files)]
        identity = name.split("/", 1)[1]
        self.answer({"id": identity, "private": repository.private, "sha": repository.sha, "siblings": siblings})

    def file(self, name: str, path: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None or path not in repository.files:
            self.missing("RepoNotFound" if repository is None else "EntryNotFound")
            return
        content = repository.files[path]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.hub.note(("get", path)) if self.command == "GET" else None
        headers = {"ETag": etag, "X-Repo-Commit": repository.sha, "Accept-Ranges": "bytes"}
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(part[1]), int(part[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.answer(content[first : last + 1], 206, headers)
        else:
            self.answer(content, headers=headers)


class Server(ThreadingHTTPServer):
    """Says nothing of clients that are killed in the middle of a call."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A Hub that lives as long as the block."""
    hub = Hub()
    handler = type("Handler", (Handler,), {"hub": hub})
    with Server(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def environment_of(hub: Hub, home: Any) -> dict[str, str]:
    """What tells a client of this Hub; read when `huggingface_hub` is imported, so it needs a process of its own."""
    return {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_nobody",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }


def make_known(hub: Hub, home: Any, monkeypatch: Any) -> None:
    """Tell `huggingface_hub` in this process of this Hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
