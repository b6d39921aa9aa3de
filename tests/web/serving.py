"""A file server, as anyone may run it, and a person before the page."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keras_transfer.exporters.targets import Kit

HERE = Path(__file__).parent
WEB_DEMO = HERE.parents[1] / "web_demo"
NAMES = ["apple pie", "crème brûlée", "<b>pizza</b>", "sushi", "waffles", "tea, with milk"]


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def serve(folder: Path) -> Iterator[str]:
    """Yields the address at which `folder` is served, until the iterator is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def written(write: Callable[[Kit, Path], object], kit: Kit, folder: Path) -> Iterator[str]:
    """The same of the page that a kit's writer makes in `folder`."""
    if not (WEB_DEMO / "litert").is_dir():
        pytest.skip("needs LiteRT.js: npm ci in web_demo")
    write(kit, folder)
    yield from serve(folder)


def browse(node: str, chromium: str, url: str, files: list[Path], **more: Any) -> dict[str, Any]:
    """What `browse.js` sees on the page at `url`."""
    request = json.dumps({"files": list(map(str, files)), **more})
    call = [node, str(HERE / "browse.js"), url, chromium]
    done = subprocess.run(call, input=request, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["faults"] == []  # nothing thrown, nothing asked of another host
    return found
