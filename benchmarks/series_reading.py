"""Time and peak memory of listing, examining and splitting one long table of samples.

    python benchmarks/series_reading.py --rows 1000000 10000000 --csv docs/results/series_reading.csv

Makes tables of a time, three channels of noise at 50 Hz, a label that changes now and then, and a subject; each is cut
into windows of 2 s by subject, in a process of its own, without TensorFlow.
"""

import time
from pathlib import Path

import numpy as np
from measured import measure_reading

from keras_transfer.data.listing import Layout
from keras_transfer.modalities import open_modality

_CHUNK = 100_000


def make_table(path: Path, count: int) -> Path:
    """A CSV of `count` rows: 20 subjects one behind the other, four labels of 20 s each in turn."""
    random, labels = np.random.default_rng(0), ("rest", "walk", "run", "climb")
    with path.open("w") as file:
        file.write("time,x,y,z,activity,subject\n")
        for start in range(0, count, _CHUNK):
            values = random.normal(size=(min(_CHUNK, count - start), 3)).tolist()
            for row, (x, y, z) in enumerate(values, start):
                subject = row * 20 // count
                file.write(f"{row / 50:.2f},{x:.4f},{y:.4f},{z:.4f},{labels[row // 1000 % 4]},s{subject}\n")
    return path


def load(path: Path) -> dict[str, float]:
    """How many windows there are, and the CPU seconds of all."""
    begun = time.process_time()
    data = open_modality("series").load_items(path, layout=Layout(window=2, group_by="subject"))
    assert sum(len(split) for split in (data.train, data.val, data.test)) == len(data.records)
    return {"windows": len(data.records), "loading_cpu_s": round(time.process_time() - begun, 1)}


if __name__ == "__main__":
    measure_reading(__doc__, __file__, make_table, load)
