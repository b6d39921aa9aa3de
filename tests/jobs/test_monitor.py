"""`monitor` on made logs: the run is its recipe, its result and a reference that is there already."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from html_page import check_page

from keras_transfer.cli.monitor import command
from keras_transfer.errors import GateError, InputError
from keras_transfer.jobs.monitor import Watch, monitor_run
from keras_transfer.operations.log import Entry, LogWriter, line_of, model_hash, read_logs
from keras_transfer.recipe import make_recipe, write_recipe

NAMES = ["cat", "dog", "a/b"]


def made(model, random, n, score=0.0, shares=(0.4, 0.4, 0.2), label=None, hours=0, **fields):
    start = 1_790_000_000_000 + 3_600_000 * hours
    for number in range(n):
        name, sure = str(random.choice(NAMES, p=shares)), float(random.uniform(0.4, 1))
        known = None if label is None else name if random.random() < sure else "cat"
        yield Entry(
            model, ((name, sure),), start + 60_000 * number, float(random.normal(score)), 12.0,
            {"brightness": float(random.normal(0.5, 0.1))}, f"{random.integers(1 << 32):08x}", label=known, **fields,
        )  # fmt: skip


@pytest.fixture
def field(tmp_path):
    """A run, a folder for the page with its reference, and the model's hash."""
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    out.mkdir()
    (run / "model.keras").write_bytes(b"a model")
    write_recipe(run / "recipe.yaml", make_recipe(data=str(tmp_path)))
    (run / "result.json").write_text(json.dumps({"classes": NAMES}))
    model = model_hash(run / "model.keras")
    lines = [line_of(entry) for entry in made(model, np.random.default_rng(0), 400, label="known")]
    (out / f"reference-{model}.jsonl").write_text("\n".join(lines))
    return run, out, model


def log_of(path, *parts):
    with LogWriter(path) as log:
        for part in parts:
            for entry in part:
                log.write(entry)
    return path


def test_nothing_has_changed(field, tmp_path, capsys):
    run, out, model = field
    random = np.random.default_rng(1)
    other = Entry("f" * 16, (("cat", 0.5),), 1_790_000_000_000)
    log = log_of(tmp_path / "a.jsonl", made(model, random, 230), [other])
    with log.open("ab") as file:
        file.write(b"{torn")
    command(run, [log], window=100, out=out, parquet=out / "log.parquet", json=True)
    assert read_logs([out / "log.parquet"]).entries == read_logs([log]).entries
    found = json.loads(capsys.readouterr().out)
    assert not found["alert"] and [look["end"] for look in found["looks"]] == [100, 200]
    assert (found["skipped"], found["others"], found["items"]) == (1, 1, 230)
    assert found["looks"][-1]["estimate"]["trust"] is True
    assert "30 newer items wait" in " ".join(found["sentences"])
    page = check_page(out / "monitor.html")
    assert "Nothing has changed beyond chance" in page.text


def test_an_alert_ends_with_3_and_is_told(field, tmp_path, capsys, audit):
    run, out, model = field
    random, heard = np.random.default_rng(2), []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(heard) > 1 else 200)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log = log_of(tmp_path / "log" / "a.jsonl", made(model, random, 100), made(model, random, 100, score=2.0, hours=9))
    address = f"http://127.0.0.1:{server.server_port}/secret"
    for _ in range(2):
        with pytest.raises(GateError, match="Something has changed"):
            command(run, [log.parent], window=100, every=50, watch=0.01, out=out, webhook=address)
    server.shutdown()
    server.server_close()
    assert heard[0]["alarms"] == ["score", "unlike"] and heard[0]["alert"]
    said = capsys.readouterr()
    assert "cannot be known without labels" in said.out and "HTTP 500" in said.err
    assert "secret" not in said.out + said.err
    found = json.loads((out / "monitor.json").read_text())
    assert not found["looks"][0]["alert"] and found["looks"][-1]["estimate"]["trust"] is False
    check_page(out / "monitor.html")
    assert audit(out / "monitor.html") == []


def test_watching_ends_after_as_many_looks_as_share_the_level(field, tmp_path, monkeypatch, capsys):
    run, out, model = field
    random, path = np.random.default_rng(3), tmp_path / "a.jsonl"
    log_of(path, made(model, random, 60))
    monkeypatch.setattr("time.sleep", lambda seconds: log_of(path, made(model, random, 20)))
    command(run, [path], window=60, every=30, looks=3, watch=1.0, out=out)
    assert json.loads((out / "monitor.json").read_text())["looks"][-1]["end"] == 150


def test_what_to_label_next_is_copied(field, tmp_path):
    run, out, model = field
    random, path = np.random.default_rng(4), tmp_path / "a.jsonl"
    with LogWriter(path) as log:
        for number, entry in enumerate(made(model, random, 80)):
            log.write(Entry(**{**vars(entry), "item": log.keep(b"%d" % number, ".jpg")}))
        log.write(Entry(model, (("../evil", 0.1),), 1_790_000_000_000, item=log.keep(b"evil", ".jpg")))
    monitor_run(run, [path], out, watch=Watch(window=60), label_next=tmp_path / "sort")
    copied = list((tmp_path / "sort").rglob("*.jpg"))
    assert len(copied) == 50 and {file.parent.name for file in copied} == {"cat", "dog", "a_b"}
    with pytest.raises(InputError, match="is not empty"):
        monitor_run(run, [path], out, watch=Watch(window=60), label_next=tmp_path / "sort")


def test_what_makes_no_sense_is_refused(field, tmp_path):
    run, out, model = field
    random = np.random.default_rng(5)
    with pytest.raises(InputError, match="No prediction in "):
        monitor_run(run, [log_of(tmp_path / "other.jsonl", made("e" * 16, random, 50))], out)
    short = log_of(tmp_path / "short.jsonl", made(model, random, 10))
    with pytest.raises(InputError, match="10 items"):
        monitor_run(run, [short], out)
    with pytest.raises(InputError, match="window=3"):
        Watch(window=3)
    log = log_of(tmp_path / "bare.jsonl", made(model, random, 50))
    with pytest.raises(InputError, match="keeps no items"):
        monitor_run(run, [log], out, label_next=tmp_path / "sort")


def test_too_few_items_to_test_anything(field, tmp_path, capsys):
    run, out, model = field
    lines = (out / f"reference-{model}.jsonl").read_text().splitlines()
    (out / f"reference-{model}.jsonl").write_text("\n".join(lines[:13]))
    log = log_of(tmp_path / "a.jsonl", made(model, np.random.default_rng(6), 36))
    command(run, [log], out=out)
    said = capsys.readouterr().out
    assert "Twenty items on both sides" in said and "Page: " in said
    check_page(out / "monitor.html")
    with pytest.raises(InputError, match="--watch"):
        command(run, [log], out=out, watch=1.0, label_next=tmp_path / "sort")
