"""The browser's lines of a log against Python's."""

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from serving import HERE, NAMES, WEB_DEMO, serve

from keras_transfer.exporters.targets import Kit
from keras_transfer.modalities.image.targets import web
from keras_transfer.operations.golden import log_vectors
from keras_transfer.operations.log import model_hash, read_logs


def test_lines_are_those_of_python(node: str, tmp_path: Path) -> None:
    log_vectors(tmp_path)
    call = [node, str(HERE / "compare.js"), "log", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["200 lines"], done.stdout + done.stderr


SCRIPT = """
import { chromium } from "playwright-core";
const [url, executablePath, picture] = process.argv.slice(1);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
for (let visit = 0; visit < 2; visit++) {
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("status").textContent !== "Loading the model…");
  await page.setInputFiles("input[type=file]", picture);
  await page.waitForSelector("#log");
}
const saved = page.waitForEvent("download");
await page.click("#log");
for await (const part of await (await saved).createReadStream()) process.stdout.write(part);
await browser.close();
"""


def test_the_page_keeps_a_log_where_it_is_told_to(node: str, chromium: str, kit: Kit, tmp_path: Path) -> None:
    if not (WEB_DEMO / "litert").is_dir():
        pytest.skip("needs LiteRT.js: npm ci in web_demo")
    site, picture = tmp_path / "site", tmp_path / "private name.png"
    web.write(kit, site)
    about = json.loads((site / "model.json").read_text("utf-8"))
    (site / "model.json").write_text(json.dumps(about | {"log": True}), "utf-8")
    Image.new("RGB", (64, 48), (200, 30, 60)).save(picture)
    (tmp_path / "model.tflite").write_bytes(kit.content)
    for url in serve(site):
        call = [node, "--input-type=module", "-e", SCRIPT, url, chromium, str(picture)]
        done = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=HERE)
        assert done.returncode == 0, done.stderr
        (tmp_path / "log.jsonl").write_text(done.stdout)
    found = read_logs([tmp_path / "log.jsonl"])
    assert found.skipped == 0 and len(found.entries) == 2 and "private" not in done.stdout
    assert {entry.model for entry in found.entries} == {model_hash(tmp_path / "model.tflite")}
    assert {entry.top[0][0] for entry in found.entries} <= set(NAMES) and all(entry.ms for entry in found.entries)
