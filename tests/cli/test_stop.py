"""A command that is stopped at any moment: one line, its exit code, and neither processes nor temporary files left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import Ended, in_terminal, press_ctrl_c

from keras_transfer import process
from keras_transfer.files import temporary_folder

# A command that says READY and then does what a test says.
PROGRAM = """
import os, subprocess, sys, tempfile, threading, time
sys.argv = ["keras-transfer", "{name}"]
import keras_transfer.cli
keras_transfer.cli.watch(keras_transfer.cli.stopped)
from keras_transfer.cli.app import app, run
from keras_transfer.files import gather_temporary_files, replacing
from keras_transfer.process import run_process, start_process
from keras_transfer.progress import track

{more}

@app.command("{name}")
def command() -> None:
{body}

gather_temporary_files()
run()
"""
READY = 'print("READY", flush=True)'
# What a command may be at when it is stopped; each would go on for long.
AT = {
    "waiting": f"{READY}; time.sleep(60)",
    "computing": f"{READY}; [n for n in range(10**12) if n < 0]",
    "in C": f"import hashlib; {READY}; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
    "threads": (
        "for _ in range(3): threading.Thread(target=time.sleep, args=(60,)).start()\n"
        f"{READY}; threading.Thread(target=time.sleep, args=(60,)).start()"
    ),
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"with ThreadPoolExecutor() as pool:\n    {READY}; pool.submit(time.sleep, 60)"
    ),
    "a child": f"{READY}; run_process(['sh', '-c', 'sleep 60; sleep 60'])",
    "a child's answer": (
        "child = start_process([sys.executable, '-c', 'import time; time.sleep(60)'], stdout=subprocess.PIPE)\n"
        f"{READY}; child.stdout.readline()"
    ),
    "a bar": f"for _ in track(range(10**6), 'Counting'):\n    time.sleep(0.1); {READY}",
    "cleaning up": f"try:\n    {READY}; time.sleep(60)\nfinally:\n    print('late'); time.sleep(60)",
    "an import": f"sys.path.insert(0, os.environ['PLACE']); {READY}; import slow_module",
    "the end": f"import atexit; atexit.register(time.sleep, 60); {READY}",
}


def program(body: str, name: str = "fail", more: str = "") -> list[str]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return [sys.executable, "-c", PROGRAM.format(body=lines, name=name, more=more)]


def stopped(place: Path, body: str, stop: object = press_ctrl_c, name: str = "fail") -> Ended:
    (place / "tmp").mkdir()
    (place / "slow_module.py").write_text("import time\nclass A:\n    time.sleep(60)\n")
    environment = {"TMPDIR": str(place / "tmp"), "PLACE": str(place), "KERAS_TRANSFER_CACHE": str(place / "cache")}
    ended = in_terminal(program(body, name), stop, lambda output: "READY" in output, environment)
    assert ended.left == []
    assert "Traceback" not in ended.output and "ignored" not in ended.output and "late" not in ended.output
    assert list((place / "tmp").iterdir()) == []
    return ended


@pytest.mark.parametrize("what", AT)
def test_one_line_and_nothing_left(tmp_path: Path, what: str) -> None:
    ended = stopped(tmp_path, AT[what])
    assert ended.code == 130
    assert ended.output.rstrip("\r\n").endswith("\x1b[?25h\r\x1b[KStopped.")  # the cursor, which a bar hides, is back


def test_a_command_that_goes_on_says_so(tmp_path: Path) -> None:
    ended = stopped(tmp_path, AT["waiting"], name="train")
    assert ended.output.endswith("\x1b[KStopped; the same command goes on from here.\r\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_other_ways_of_stopping(tmp_path: Path, number: int, code: int) -> None:
    ended = stopped(tmp_path, AT["a child"], lambda leader: os.kill(leader, number))
    assert ended.code == code and ended.output.endswith("Stopped.\r\n")


def test_impatience_changes_nothing(tmp_path: Path) -> None:
    def thrice(leader: int) -> None:
        for _ in range(3):
            os.kill(leader, signal.SIGINT)
            time.sleep(0.002)

    assert stopped(tmp_path, AT["a pool"], thrice).code == 130


def test_what_is_half_written_goes(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    body = f"""
with replacing({str(target)!r}) as temporary, tempfile.TemporaryDirectory() as folder:
    temporary.write_text("half")
    {READY}; time.sleep(60)
"""
    stopped(tmp_path, body)
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"result.txt", "tmp", "slow_module.py"}


def test_an_entry_of_the_cache_half_made_goes(tmp_path: Path) -> None:
    body = f"""
import numpy as np
from keras_transfer import cache
with cache.new_entry("a" * 32, {{}}) as writer:
    writer.append("a", np.zeros(10))
    {READY}; time.sleep(60)
"""
    stopped(tmp_path, body)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_ignores_interrupts_goes_on(tmp_path: Path) -> None:
    words = program("os.kill(os.getpid(), 2); time.sleep(0.2); print('done')")
    shell = [
        "sh",
        "-c",
        "trap '' INT; exec \"$@\"",
        "sh",
        *words,
    ]  # as scripts do in the background
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_process_knows_when_it_began() -> None:
    words = [
        "-c",
        "import time; time.sleep(0.5); from keras_transfer import process as p; print(p.seconds_since_start());"
        "p.watch(str); print(p.seconds_since_start())",
    ]
    begun = time.monotonic()
    output = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout.split()
    assert output[0] == "None" and 0.5 <= float(output[1]) <= time.monotonic() - begun + 0.02
    assert process.seconds_since_start() is None  # this one is no command


def test_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    code = f"import os\nfrom keras_transfer.files import temporary_folder\ntemporary_folder({str(tmp_path)!r}, 'kt-')\n"
    subprocess.run([sys.executable, "-c", code + "os.kill(os.getpid(), 9)"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kt-other").mkdir()  # not one of ours: it has no lock
    folder = temporary_folder(tmp_path, "kt-")
    assert {path.name for path in tmp_path.iterdir()} == {"kt-other", folder.name}
