"""The command as a person meets it: a process with arguments, two streams and an exit code."""

import json
import re
import subprocess
import sys

import pytest
from terminal import AT_A_PROMPT

from keras_transfer import __version__
from keras_transfer.inputs import MODALITIES
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.image.backbones import BACKBONES, PRESETS
from keras_transfer.modalities.series.backbones import SERIES_BACKBONES
from keras_transfer.modalities.text.presets import ENCODERS

HEAVY = ("tensorflow", "keras", "sklearn", "PIL", "ai_edge_litert", "pydantic", "rich.table")

# A command line with one more command, `fail`, that does what a test says.
WITH_FAIL = """
import os, signal, sys
import keras_transfer.cli
from keras_transfer.cli.app import app
from keras_transfer.errors import GateError, InputError

@app.command("fail")
def fail() -> None:
    {body}

keras_transfer.cli.RESUMABLE = {{"fail"}} if {resumable} else set()
sys.argv = ["keras-transfer", *{arguments}]
keras_transfer.cli.main()
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [*AT_A_PROMPT, sys.executable, *arguments]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "keras_transfer.cli", *map(str, arguments))


def fail(body: str, *arguments: str, resumable: bool = False) -> subprocess.CompletedProcess[str]:
    return python("-c", WITH_FAIL.format(body=body, resumable=resumable, arguments=["fail", *arguments]))


@pytest.mark.parametrize("module", ["keras_transfer", "keras_transfer.cli.app"])
def test_importing_brings_nothing_heavy(module: str) -> None:
    done = python("-c", f"import sys, {module}; print(*(set({HEAVY}) & set(sys.modules)))")
    assert done.stdout.split() == [], done.stderr


def test_help_and_version() -> None:
    done = command("--help")
    assert done.returncode == 0
    for name in ("evaluate", "predict", "backbones"):
        assert f"\n  {name} " in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2]  # each command's sentence is there in full
    assert command("--version").stdout == f"keras-transfer {__version__}\n"


@pytest.mark.parametrize("arguments", [("nonsense",), ("predict",), ("backbones", "--nonsense"), ("evaluate", "a")])
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise InputError('Wrong\\n  input.')", 2, "Error: Wrong input.\n"),
        ("raise GateError('Too low.')", 3, "Error: Too low.\n"),
        (
            "raise OSError(28, 'No space left on device', '/a/b')",
            2,
            "Error: Cannot write /a/b: No space left on device. Free some space there and in the folder for temporary "
            "files (TMPDIR), or choose other places.\n",
        ),
        (
            "raise OSError(5, 'Input/output error')",
            1,
            "Error: OSError: [Errno 5] Input/output error (--debug shows where it happened)\n",
        ),
        ("1 / 0", 1, "Error: ZeroDivisionError: division by zero (--debug shows where it happened)\n"),
        ("raise KeyboardInterrupt", 130, "Stopped.\n"),
        ("os.kill(os.getpid(), signal.SIGINT); 1 / 0", 130, "Stopped.\n"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(body: str, code: int, said: str) -> None:
    done = fail(body)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_a_stopped_job_says_how_to_go_on() -> None:
    done = fail("raise KeyboardInterrupt", resumable=True)
    assert done.returncode == 130
    assert done.stderr == "Stopped; the same command goes on from here.\n"


def test_debug_shows_the_traceback_wherever_it_stands() -> None:
    done = fail("1 / 0", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_native_logs_are_kept_off_the_screen_unless_asked_for() -> None:
    body = "os.write(2, b'native log'); print('ours', file=sys.stderr); print('result')"
    assert (fail(body).stdout, fail(body).stderr) == ("result\n", "ours\n")
    assert "native log" in fail(body, "--debug").stderr


def test_backbones_that_fit() -> None:
    rows = json.loads(command("backbones", "--device", "rp2040", "--fit", "flash=512KB", "--json").stdout)
    assert rows and all(row["bytes"] < 384 << 10 and row["arena_bytes"] <= 232 << 10 for row in rows)
    assert "mobilenet" in command("backbones", "--device", "rp2040").stdout
    assert "rp2040" in command("backbones", "--device", "toaster").stderr


def test_backbones_lists_the_whole_table_without_tensorflow() -> None:
    listed = json.loads(command("backbones", "--json").stdout)
    assert [row["name"] for row in listed] == [
        *BACKBONES, *(row.name for row in PRESETS), *ENCODERS, "tfidf", *AUDIO_BACKBONES, *SERIES_BACKBONES,
    ]  # fmt: skip
    assert {row["modality"] for row in listed} == set(MODALITIES)
    done = command("backbones", "--fit-for", "microcontroller")
    for name, row in BACKBONES.items():
        assert (f"│ {name} " in done.stdout) == ("microcontroller" in row.fit_for)
    assert command("backbones", "--fit-for", "toaster").returncode == 2
    used = python("-X", "importtime", "-m", "keras_transfer.cli", "backbones", "--debug").stderr
    assert "rich.table" in used
    assert not re.search(r"\| +(tensorflow|keras)$", used, re.MULTILINE)
