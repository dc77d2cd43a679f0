"""Downloads from a server on this machine: whole, or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from genmetrics.download import DownloadError, download

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Gives the content at ``/whole``, a part of it at ``/cut`` and nothing elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path not in ("/whole", "/cut") else 200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[:3])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name)
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("digest", [SHA256, SHA256[:8], ""], ids=["whole", "beginning", "none"])
def test_content_that_is_expected(address, tmp_path, digest):
    progress = []
    found = download(f"{address}/whole", tmp_path / "new" / "x", "sha256", digest, lambda *told: progress.append(told))
    assert found == SHA256 and (tmp_path / "new" / "x").read_bytes() == CONTENT
    assert progress == [(7, 7)]


@pytest.mark.parametrize(
    ("name", "digest", "said"),
    [
        ("whole", "0" * 64, "gave other content"),
        ("cut", "", "ended after 3 of 7 bytes"),
        ("nowhere", "", "Not Found"),
    ],
)
def test_what_is_not_kept(address, tmp_path: Path, name, digest, said):
    with pytest.raises(DownloadError, match=said):
        download(f"{address}/{name}", tmp_path / "x", "sha256", digest)
    assert list(tmp_path.iterdir()) == []
