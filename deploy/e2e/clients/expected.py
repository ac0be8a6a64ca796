"""What every client sends and must be answered: rows that went through the
same model in Python, and a small report of what passed."""

import contextlib
import json
import pathlib
import sys
import traceback

import numpy as np

ROWS = 5
_golden = json.loads((pathlib.Path(__file__).parents[3] / "shared/onnx/testdata/golden.json").read_text())["lightgbm"]
LABELS = _golden["labels"][:ROWS]
_scores = _golden["scores"]


def columns():
    """Name, datatype and values of each column."""
    datatypes = {"string": "BYTES", "int": "INT64", "float": "FP64", "bool": "BOOL"}
    missing = float("nan")
    return [
        (f["name"], datatypes[f["type"]], [missing if v is None else v for v in _golden["rows"][f["name"]][:ROWS]])
        for f in _golden["features"]
    ]


def same(probabilities):
    want = np.array(_scores[: 2 * ROWS]).reshape(ROWS, 2)
    got = np.asarray(probabilities, dtype=np.float64).reshape(ROWS, 2)
    assert np.allclose(got, want, atol=1e-6), (got, want)


class Tests:
    """Runs named steps, all of them whatever fails, and ends with the count."""

    def __init__(self, client):
        self.client, self.passed, self.failed = client, 0, 0

    @contextlib.contextmanager
    def __call__(self, name):
        try:
            yield
        except Exception:
            self.failed += 1
            print(f"FAIL  {self.client}: {name}")
            traceback.print_exc(file=sys.stdout)
        else:
            self.passed += 1
            print(f"ok    {self.client}: {name}")

    def end(self):
        print(f"{self.client}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
