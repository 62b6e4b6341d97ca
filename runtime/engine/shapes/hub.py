"""Serves model folders as the Hugging Face hub would, on this machine only: what `quoin models pull` asks for, and no more.

    python hub.py out --port 8090 &          # out/qwen2.5-0.5b becomes local/qwen2.5-0.5b
    HF_ENDPOINT=http://127.0.0.1:8090 quoin models pull local/qwen2.5-0.5b

As on the hub, weights are found by a redirect to another address, under the SHA-256 of their content.
"""

import argparse
import hashlib
import json
import re
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ORGANISATION = "local"


@cache
def digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def commit(folder: Path) -> str:
    """Changes when a file of the folder does."""
    content = "".join(f"{file.name} {digest(file)}\n" for file in sorted(folder.iterdir()))
    return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        listing = re.fullmatch(rf"/api/models/{ORGANISATION}/([\w.-]+)(?:/revision/([\w.-]+))?", self.path)
        named = re.fullmatch(rf"/{ORGANISATION}/([\w.-]+)/resolve/([\w.-]+)/([\w.-]+)", self.path)
        stored = re.fullmatch(r"/stored/([\w.-]+)/([\w.-]+)", self.path)
        if listing and (folder := self.folder(listing[1])) and listing[2] in (None, "main", commit(folder)):
            self.list(folder)
        elif named and (folder := self.folder(named[1])) and named[2] in ("main", commit(folder)):
            self.resolve(folder, named[3])
        elif stored and (folder := self.folder(stored[1])) and (file := folder / stored[2]).is_file():
            self.content(file, {})
        else:
            self.answer(404, {}, b"")

    def folder(self, name: str) -> Path | None:
        folder = self.root / name
        return folder if not name.startswith(".") and (folder / "config.json").is_file() else None

    def list(self, folder: Path) -> None:
        files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
        body = {"id": f"{ORGANISATION}/{folder.name}", "sha": commit(folder), "siblings": files}
        self.answer(200, {"content-type": "application/json"}, json.dumps(body).encode())

    def resolve(self, folder: Path, name: str) -> None:
        file = folder / name
        if not file.is_file():
            return self.answer(404, {}, b"")
        headers = {"x-repo-commit": commit(folder)}
        if file.suffix != ".safetensors":
            small = hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
            return self.content(file, headers | {"etag": f'"{small}"'})
        address = f"http://localhost:{self.server.server_port}/stored/{folder.name}/{name}"  # another host, as on the hub
        headers |= {"location": address, "x-linked-etag": f'"{digest(file)}"', "x-linked-size": str(file.stat().st_size)}
        return self.answer(302, headers, b"")

    def content(self, file: Path, headers: dict) -> None:
        size, wanted = file.stat().st_size, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        first, last = (int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)) if wanted else (0, size - 1)
        headers |= {"accept-ranges": "bytes", "content-length": str(last - first + 1)}
        if wanted:
            headers["content-range"] = f"bytes {first}-{last}/{size}"
        self.head(206 if wanted else 200, headers)
        with file.open("rb") as source:
            source.seek(first)
            left = last - first + 1
            while left and (piece := source.read(min(left, 1 << 20))):
                self.wfile.write(piece)
                left -= len(piece)

    def answer(self, status: int, headers: dict, body: bytes) -> None:
        self.head(status, headers | {"content-length": str(len(body))})
        self.wfile.write(body)

    def head(self, status: int, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("root", type=Path, help="the folder in which the model folders lie")
    a.add_argument("--port", type=int, default=8090)
    a = a.parse_args()
    Hub.root = a.root.resolve()
    ThreadingHTTPServer(("127.0.0.1", a.port), Hub).serve_forever()


if __name__ == "__main__":
    main()
