"""MLflow's registry and scoring server with a LiteRT file: many requests, hostile ones among them.

    python benchmarks/mlflow_serving.py RUN photos/*.jpg --requests 1000 --csv docs/results/serving.csv

Starts a server of MLflow with SQLite in a temporary folder, publishes RUN, makes it champion, starts MLflow's scoring
server on it, and sends requests. Every fifth is hostile: cut off, no picture, a picture that promises 10 gigapixels, of
the wrong type, no JSON; it must get an error, and the next one its answer, which is that of `predict`. Exits with
1 where that is not so.
"""

import argparse
import base64
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.evaluation import open_classifier
from keras_transfer.jobs.mlflow_flavor import publish
from keras_transfer.operations.registry import add, open_registry, promote
from keras_transfer.run import recommended_file

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = [
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            str(folder / "files"),
        ]
        with server(folder, ["server", *store]) as tracking:
            registry = open_registry(folder / "registry")
            add(registry, options.run, "model")
            promote(registry, "model@1")
            publish(registry, "model@champion", tracking)
            model = ["models", "serve", "-m", "models:/model@champion", "--env-manager", "local"]
            with server(folder, model, {"MLFLOW_TRACKING_URI": tracking}) as scoring:
                row = ask(scoring, options.run, options.pictures, options.requests)
    write_rows(options.csv, [row])
    print(json.dumps(row, indent=1))
    sys.exit(not row["ok"])


def tracking_server(folder: Path) -> AbstractContextManager[str]:
    """MLflow's own, with its database and files in a folder."""
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    return server(folder, ["server", *store])


@contextmanager
def server(folder: Path, words: list[str], environment: dict[str, str] | None = None) -> Iterator[str]:
    """The address of one of MLflow's servers, which is ended with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow looks for uvicorn there
    given = os.environ | QUIET | {"PATH": path} | (environment or {})
    log, address = folder / f"{words[0]}.log", f"http://127.0.0.1:{port}"
    with log.open("w") as said:
        process = subprocess.Popen(call, stdout=said, stderr=said, cwd=folder, env=given, start_new_session=True)
    try:
        wait_for(address, process, log)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns once a server answers."""
    for _ in range(240):
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.5)
    raise RuntimeError(log.read_text()[-3000:])


def post(address: str, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
    """Status and answer of a request."""
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def body(*contents: bytes) -> bytes:
    """A request for items."""
    rows = [[base64.b64encode(content).decode()] for content in contents]
    return json.dumps({"dataframe_split": {"columns": ["item"], "data": rows}}).encode()


def hostile(picture: bytes) -> list[tuple[bytes, str]]:
    """Bodies that are to get an error, and their types."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    zeros = zlib.compress(bytes(20_000_000), 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zeros) + chunk(b"IEND", b"")
    whole, plain = body(picture), "application/json"
    return [
        (whole[: len(whole) // 2], plain),
        (body(picture[: len(picture) // 2]), plain),
        (body(b""), plain),
        (body(b"no picture"), plain),
        (body(bomb), plain),
        (b'{"dataframe_split": {"columns": ["item"], "data": [[7]]}}', plain),
        (b'{"dataframe_split": {"columns": ["other"], "data": [["AAAA"]]}}', plain),
        (b'{"inputs": {"item": {"a": [[[1]]]}}}', plain),
        (b"[" * 100_000, plain),
        (b"\xff\xfe\x00", plain),
        (b"item\n1\n", "text/csv"),
        (whole, "application/x-unknown"),
    ]


def ask(address: str, run: Path, pictures: list[Path], requests: int) -> dict[str, object]:
    """Sends the requests and compares the answers with those of the file itself."""
    classifier = open_classifier(recommended_file(run))
    preparer = classifier.preparer
    assert preparer is not None
    contents = [path.read_bytes() for path in pictures]
    expected = [classifier.predict(np.stack([preparer.prepare(each, classifier.inputs)]))[0] for each in contents]
    bad = hostile(contents[0])
    wrong, largest, times, refused = 0, 0.0, [], Counter[int]()
    for turn in range(requests):
        if turn % 5 == 4:
            status, _ = post(address, *bad[turn // 5 % len(bad)])
            refused[status] += 1
            wrong += status < 400
            continue
        which, begun = turn % len(contents), time.perf_counter()
        status, answer = post(address, body(contents[which]))
        times.append(time.perf_counter() - begun)
        if status != 200:
            wrong += 1
            continue
        [found] = answer["predictions"]
        largest = max(largest, float(np.abs(np.asarray(found["scores"]) - expected[which]).max()))
        wrong += found["label"] != classifier.class_names[int(expected[which].argmax())]
    return {
        "requests": requests,
        **{f"answered_{status}": refused[status] for status in (400, 415, 422, 500)},
        "wrong": wrong,
        "largest_difference": largest,
        "median_ms": round(1000 * statistics.median(times), 1),
        "ok": wrong == 0 and largest < 1e-6,
    }


if __name__ == "__main__":
    main()
