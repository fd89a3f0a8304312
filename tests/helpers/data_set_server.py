"""A data set of the Hub on 127.0.0.1, as far as `datasets` and `huggingface_hub` read one: for HF_ENDPOINT."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

SHA = "1" * 40


class Reading(BaseHTTPRequestHandler):
    folder: Path
    name: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if urlsplit(self.path).path.startswith(f"/api/datasets/{self.name}/paths-info/"):
            asked = json.loads(given) if given.startswith("{") else parse_qs(given)
            self.answer(json.dumps([self.entry(self.folder / path) for path in asked["paths"] if self.there(path)]))
        else:
            self.missing()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        base = f"/api/datasets/{self.name}"
        if re.fullmatch(rf"{base}(/revision/[^/]+)?", path):
            files = [{"rfilename": str(file.relative_to(self.folder))} for file in self.files()]
            self.answer(json.dumps({"id": self.name, "sha": SHA, "private": False, "siblings": files}))
        elif found := re.fullmatch(rf"{base}/tree/[^/]+/?(.*)", path):
            folder = self.folder / found[1]
            below = sorted(folder.rglob("*") if "recursive=true" in url.query.lower() else folder.glob("*"))
            self.answer(json.dumps([self.entry(entry) for entry in below]))
        elif (found := re.fullmatch(rf"/datasets/{self.name}/resolve/[^/]+/(.*)", path)) and self.there(found[1]):
            self.send(self.folder / found[1])
        else:
            self.missing()

    def there(self, path: str) -> bool:
        return (self.folder / path).exists()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def entry(self, path: Path) -> dict[str, Any]:
        name = str(path.relative_to(self.folder))
        if path.is_dir():
            return {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}
        digest = hashlib.sha1(path.read_bytes()).hexdigest()
        return {"type": "file", "path": name, "size": path.stat().st_size, "oid": digest}

    def send(self, file: Path) -> None:
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(found[1]), int(found[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.answer(content[first : last + 1], 206, headers)
        else:
            self.answer(content, headers=headers)

    def answer(self, content: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self) -> None:
        code = "EntryNotFound" if f"/{self.name}/" in self.path else "RepoNotFound"
        self.answer("{}", 404, {"X-Error-Code": code, "X-Error-Message": code})


@contextmanager
def serving(folder: Path, name: str) -> Iterator[str]:
    """The address of a Hub whose one data set `name` has the files of `folder`."""
    handler = type("Handler", (Reading,), {"folder": folder, "name": name})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
