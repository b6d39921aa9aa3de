"""Signed updates of the page's model: verified as in Python, and what is torn or forged leaves the old one running."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image
from serving import HERE, NAMES, WEB_DEMO, serve

from keras_transfer.exporters.targets import Kit
from keras_transfer.modalities.image.targets import web
from keras_transfer.operations import updates
from keras_transfer.operations.golden import golden_vectors

pytest.importorskip("cryptography", reason="needs cryptography")
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([value]) * 32) for value in (1, 2))


def test_manifests_are_judged_as_in_python(node: str, tmp_path: Path) -> None:
    golden_vectors(tmp_path)
    call = [node, str(HERE / "compare.js"), "updates", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["192 manifests"], done.stdout + done.stderr


def test_the_page_takes_what_is_signed_and_keeps_it(node: str, chromium: str, kit: Kit, tmp_path: Path) -> None:
    if not (WEB_DEMO / "litert").is_dir():
        pytest.skip("needs LiteRT.js: npm ci in web_demo")
    site = tmp_path / "site"
    web.write(kit, site)
    about = json.loads((site / "model.json").read_text("utf-8"))
    trusted = {"from": "updates/", "key": updates.public_key(KEY)}
    (site / "model.json").write_text(json.dumps(about | {"updates": trusted}), "utf-8")
    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 48), (200, 30, 60)).save(picture)

    def files(mark: str) -> Mapping[str, bytes]:
        renamed = about | {"class_names": [f"{mark} {name}" for name in NAMES], "file": "new.tflite"}
        return {"model.json": json.dumps(renamed).encode(), "new.tflite": kit.content}

    def publish(mark: str, serial: int, key: Ed25519PrivateKey = KEY, app: int = 1) -> None:
        made = files(mark)
        signed = updates.make_update(made, NAMES, key, model="cats@3", serial=serial, app=app)
        updates.write_update(site / "updates", made, signed)

    def torn(mark: str, serial: int) -> None:
        publish(mark, serial)
        (site / "updates" / "new.tflite").write_bytes(kit.content[:-100])

    steps = (
        ("", lambda: None),  # there is no update yet
        ("first", lambda: publish("first", 10)),
        ("first", lambda: torn("torn", 11)),
        ("first", lambda: publish("forged", 12, OTHER)),
        ("first", lambda: publish("replayed", 9)),
        ("first", lambda: publish("for a newer page", 13, app=2)),
        ("first", lambda: shutil.rmtree(site / "updates")),  # what is kept serves without a network
        ("second", lambda: publish("second", 14)),
    )
    for url in serve(site):
        browser = subprocess.Popen(
            [node, str(HERE / "visits.js"), url, chromium, str(picture)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert browser.stdin is not None and browser.stdout is not None
        with browser:
            for mark, prepare in steps:
                prepare()
                browser.stdin.write("visit\n")
                browser.stdin.flush()
                said = json.loads(browser.stdout.readline())
                assert any(said.startswith(f"{mark} {name}".strip()) for name in NAMES), (mark, said)
            browser.stdin.close()
