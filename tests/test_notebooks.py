"""Every notebook runs from top to bottom, on embedded data and without a network.

It is shown here that each cell works, not its figures: on a few pictures and in a few epochs. One kernel serves all,
for it takes long to start; each notebook begins in it without names and in a folder of its own.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# What makes a cell quick, and by what; each is in some notebook.
SMALLER = {
    r"(?<=per_class=)\d+": "12",
    r"(?<=count=)\d+": "100",
    r"(?<=epochs=)\d+": "1",
    r"(?<=kt\.fit\(model, data)\b": ", epochs=1",
    r"(?<=kt\.fit\(both, data)\b": ", epochs=1",
    r"(?<=make_recipe\(data=\"pizzas\.csv\")": ", epochs=1",
    r"\(5, 15, 40\)": "(5,)",
    r"(?<=\"draws\": )\d+": "1",
    r"(?<=folds=)\d+": "2",
    r"\(48, 64, 80, 96\)": "(48,)",
}
START = """
import os
from keras_transfer.exporters import rejection
from keras_transfer.jobs import baselines, learning_curve
from keras_transfer.quick_start import quicken
baselines.SCRATCH_BUDGET = 0  # a report without it has what the cells show; it has tests of its own
rejection.MOST_DROP = 1  # of a few pictures and one epoch
learning_curve._EPOCHS, learning_curve._MOST_SIZES = 1, 2
os.chdir({folder!r})
quicken()
%reset -f
"""


def shortened(source: str) -> str:
    for pattern, small in SMALLER.items():
        source = re.sub(pattern, small, source)
    return source


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def kernel(own_cache: None) -> Iterator["NotebookClient"]:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    client = nbclient.NotebookClient(nbformat.v4.new_notebook(), timeout=600)
    with client.setup_kernel():
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, kernel, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    pictures = sum(
        "image/jpeg" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert pictures >= 1  # it is read on the web as well, where nothing runs
    for cell in notebook.cells:
        cell.source = shortened(cell.source) if cell.cell_type == "code" else cell.source
    notebook.cells.insert(0, nbformat.v4.new_code_cell(START.format(folder=str(tmp_path))))
    kernel.nb = notebook
    kernel.reset_execution_trackers()
    for index, cell in enumerate(notebook.cells):
        kernel.execute_cell(cell, index)


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("pattern", SMALLER)
def test_what_is_made_smaller_is_there(pattern):
    assert any(re.search(pattern, path.read_text().replace(r"\"", '"')) for path in NOTEBOOKS)
