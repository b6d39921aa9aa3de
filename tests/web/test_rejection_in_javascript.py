"""The browser's "none of these" against Python's."""

import json
import subprocess

import numpy as np
from serving import HERE

from keras_transfer.decisions import RejectionLimit

SCRIPT = """
import { unlikeness } from "%s";
const { rejection, scores } = JSON.parse(process.argv[1]);
console.log(JSON.stringify([unlikeness(0, undefined), ...scores.map((score) => unlikeness(score, rejection))]));
"""


WINDOWS = """
import { overWindows } from "%s";
const { rejection, scores } = JSON.parse(process.argv[1]);
const look = (start) => ({ scores: [start], score: scores[start] });
const { looks, mean, last } = await overWindows(scores.length, { length: 1, hop: 1 }, look, rejection);
const plain = await overWindows(scores.length, { length: 1, hop: 1 }, look);
console.log(JSON.stringify([looks.length, mean, last, plain.last]));
"""


def test_something_long_is_rejected_by_the_mean_of_its_windows(node: str) -> None:
    limit, scores = RejectionLimit.of([0.1, 0.2, 0.3, 0.4], 0.7), [0.9, 0.9, 0.1]
    script = WINDOWS % (HERE.parents[1] / "web_demo" / "timeline.js").as_uri()
    call = [node, "--input-type=module", "-e", script, json.dumps({"rejection": limit.to_dict(), "scores": scores})]
    found = json.loads(subprocess.run(call, capture_output=True, text=True, check=True, timeout=60).stdout)
    count, mean, last, plain = found
    assert (count, mean) == (3, [1]) and last["rejected"] and last["unlikeness"] == 1
    assert np.isclose(last["score"], np.mean(scores)) and "rejected" not in plain and plain["score"] == 0.1


def test_what_is_rejected_is_what_python_rejects(node: str) -> None:
    scale, zero_point = 0.0312, 131
    raw = list(range(256))
    real = ((np.arange(256, dtype=np.float32) - zero_point) * np.float32(scale)).astype(np.float32)
    limit = RejectionLimit.of(real[::5][:30], 0.9)
    rejection = {"scale": scale, "zero_point": zero_point, **limit.to_dict()}
    script = SCRIPT % (HERE.parents[1] / "web_demo" / "classifier.js").as_uri()
    call = [node, "--input-type=module", "-e", script, json.dumps({"rejection": rejection, "scores": raw})]
    none, *found = json.loads(subprocess.run(call, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert none == {}
    assert [answer["rejected"] for answer in found] == (real > limit.threshold).tolist()
    np.testing.assert_allclose([answer["unlikeness"] for answer in found], limit.unlikeness(real), atol=1e-9)
