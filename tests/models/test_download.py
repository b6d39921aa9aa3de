"""Downloads come whole or not at all, from a server of our own that misbehaves."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keras_transfer.errors import InputError
from keras_transfer.models import download

CONTENT = bytes(range(256)) * 1000


class _Server(BaseHTTPRequestHandler):
    """What is asked for says what happens."""

    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(3)
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path in ("/whole", "/unsized") else CONTENT[:100_000])
        if self.path == "/stalls":
            self.wfile.flush()
            time.sleep(3)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.5)
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("what", ["whole", "unsized"])
def test_a_whole_file_arrives(address: str, tmp_path: Path, what: str) -> None:
    seen: list[tuple[int, int, int]] = []
    download.retrieve(f"{address}/{what}", str(tmp_path / "a.h5"), lambda *figures: seen.append(figures))
    assert (tmp_path / "a.h5").read_bytes() == CONTENT
    assert seen[-1][0] * seen[-1][1] >= len(CONTENT) and seen[-1][2] == (len(CONTENT) if what == "whole" else -1)


@pytest.mark.parametrize(
    ("what", "reason"),
    [("silent", "no answer|timed out"), ("stalls", "timed out"), ("missing", "404"), ("short", "100000 of 256000")],
)
def test_all_else_leaves_nothing_and_says_why(address: str, tmp_path: Path, what: str, reason: str) -> None:
    url = f"{address}/{what}"
    with pytest.raises(download.DownloadError, match=reason) as error:
        download.retrieve(url, str(tmp_path / "a.h5"), lambda *_: None)
    assert url in str(error.value) and str(tmp_path / "a.h5") in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(3))
    begun = time.monotonic()
    with pytest.raises(download.DownloadError, match=r"no answer within 0\.5 seconds"):
        download.retrieve("http://example.invalid/a.h5", str(tmp_path / "a.h5"), lambda *_: None)
    assert time.monotonic() - begun < 2.5


def test_no_room_is_not_the_networks_fault(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        download.retrieve(f"{address}/whole", str(tmp_path / "file" / "a.h5"), lambda *_: None)


def test_keras_downloads_by_it(address: str, tmp_path: Path) -> None:
    import keras

    with pytest.raises(download.DownloadError), download.safe_downloads():
        keras.utils.get_file("a.h5", f"{address}/short", cache_dir=tmp_path)
    assert not list((tmp_path / "datasets").iterdir())
    with download.safe_downloads():
        path = keras.utils.get_file("a.h5", f"{address}/whole", cache_dir=tmp_path)
    assert Path(path).read_bytes() == CONTENT
