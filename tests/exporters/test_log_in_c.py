"""A microcontroller's lines of a log against Python's, and the ring buffer that they wait in."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_transfer.exporters.targets.microcontroller import sources
from keras_transfer.operations.golden import log_vectors

PROGRAM = """
#include <cstdio>
#include "log.h"

static RingLog ring;
static void Put(char letter) { putchar(letter); }
static void Check(long long time, const char* model, int count, const char* const* names, const double* values,
                  double score, double ms) {
  char line[kLogLine];
  const size_t length = LogLine(line, sizeof line, time, model, names, values, count, score, ms);
  if (length == 0 || LogLine(line, length - 1, time, model, names, values, count, score, ms) != 0) printf("length");
  LogLine(line, sizeof line, time, model, names, values, count, score, ms);
  fwrite(line, 1, length, stdout);
  ring.Add(line, length);
}

int main() {
%s
  printf("kept\\n");
  while (ring.Send(Put)) {
  }
  printf("lost %%zu\\n", ring.lost);
  return 0;
}
"""


def call(row: dict[str, str]) -> str:
    pairs = [pair.split(":") for pair in row["top"].split(" ")]
    names = ", ".join('"' + "".join(f"\\{byte:03o}" for byte in bytes.fromhex(name)) + '"' for name, _ in pairs)
    values = ", ".join(value for _, value in pairs)
    known = [row[name] or "NAN" for name in ("score", "ms")]
    return (
        f"  {{ const char* names[] = {{{names}}}; const double values[] = {{{values}}}; "
        f'Check({row["time"] or -1}LL, "{row["model"]}", {len(pairs)}, names, values, {", ".join(known)}); }}'
    )


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_lines_and_the_ring_are_as_in_python(tmp_path: Path) -> None:
    log_vectors(tmp_path)
    template = Path(sources.__file__).with_name("templates") / "log.h"
    (tmp_path / "log.h").write_text(template.read_text("utf-8").replace("$version", "0"))
    with (tmp_path / "entries.csv").open(newline="", encoding="utf-8") as file:
        calls = [call(row) for row in csv.DictReader(file)]
    (tmp_path / "main.cc").write_text(PROGRAM % "\n".join(calls))
    build = [
        "g++",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "main.cc",
        "-o",
        "main",
    ]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=120)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True, timeout=60).stdout
    written, kept = done.split(b"kept\n")
    expected = (tmp_path / "lines.jsonl").read_bytes()
    assert written == expected
    lines, lost = kept.rsplit(b"lost ", 1)
    assert expected.endswith(lines) and 1500 < len(lines) <= 2048
    assert int(lost) + lines.count(b"\n") == 200
