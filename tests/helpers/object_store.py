"""An object store on loopback: moto's server in a process of its own, and a proxy before it that fails when told to."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
BUCKET = "bucket"
PATIENCE = 60.0


def environment_of(address: str) -> dict[str, str]:
    """What a process needs to know to use the store at `address`."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def serving() -> Iterator[str]:
    """The address of an empty store with one bucket."""
    for package in ("s3fs", "moto", "flask_cors"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'ifcurate[dev]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            connection = http.client.HTTPConnection("127.0.0.1", port)
            credential = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"
            connection.request("PUT", f"/{BUCKET}", headers={"Authorization": credential})
            assert connection.getresponse().status == 200
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@contextmanager
def using(address: str) -> Iterator[Any]:
    """s3fs at `address`, in this process and those it starts."""
    from s3fs import S3FileSystem

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(address).items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        yield S3FileSystem()
        S3FileSystem.clear_instance_cache()


def objects_below(filesystem: Any, prefix: str) -> dict[str, bytes]:
    """Every object below a prefix of the bucket, by its name there."""
    filesystem.invalidate_cache()
    root = f"{BUCKET}/{prefix}/"
    return {path.removeprefix(root): filesystem.cat_file(path) for path in filesystem.find(root)}


@dataclass
class Faults:
    """What becomes of the next requests whose path contains `matching`: see `_Handler._answer`."""

    matching: str = "/"
    method: str = "GET"
    coming: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_for(self, method: str, path: str) -> str | None:
        with self.lock:
            if method != self.method or self.matching not in path or not self.coming:
                return None
            self.happened.append(self.coming.pop(0))
            return self.happened[-1]


@contextmanager
def failing(address: str, faults: Faults) -> Iterator[str]:
    """The address of a proxy before `address`."""
    kind = type("Handler", (_Handler,), {"behind": urlsplit(address).netloc, "faults": faults})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    behind: str
    faults: Faults
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.faults.next_for(self.command, self.path)
        if fault == "busy":
            self._answer(503, {}, b"<Error><Code>ServiceUnavailable</Code></Error>")
            return
        if fault == "lost":
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(self.behind)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        if self.command == "HEAD":
            headers["Content-Length"] = answer.getheader("Content-Length") or "0"
        if fault == "short":  # a length that is true of the answer, not of what was asked for
            content = content[: len(content) // 2]
        self._answer(answer.status, headers, content, cut=fault == "truncated")

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("moto's server does not answer")
