# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "numpy"]
# ///
"""Makes reference.json: answers of models, what scikit-learn measures of them, and how uncertain that is: for roc_auc by
DeLong's formula written out over all pairs, for the rest by a bootstrap. Run it with `uv run --script reference.py`;
what it makes is committed."""

import json
import pathlib
import warnings

import numpy as np
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(11)
RESAMPLES = 4000


def binary(y, p):
    hard = p > 0.5
    return {
        "roc_auc": sk.roc_auc_score(y, p), "pr_auc": sk.average_precision_score(y, p), "log_loss": sk.log_loss(y, p),
        "accuracy": sk.accuracy_score(y, hard), "precision": sk.precision_score(y, hard, zero_division=0),
        "recall": sk.recall_score(y, hard, zero_division=0), "f1": sk.f1_score(y, hard, zero_division=0),
        "brier": sk.brier_score_loss(y, p),
    }


def multiclass(y, p):
    hard = p.argmax(axis=1)
    return {
        "accuracy": sk.accuracy_score(y, hard), "macro_f1": sk.f1_score(y, hard, average="macro", zero_division=0),
        "log_loss": sk.log_loss(y, p, labels=range(p.shape[1])),
    }


def regression(y, p):
    return {
        "rmse": sk.root_mean_squared_error(y, p), "mae": sk.mean_absolute_error(y, p), "r2": sk.r2_score(y, p),
        "mape": sk.mean_absolute_percentage_error(y, p),
    }


def delong(y, *scores):
    """Variances of the areas, and of the first's gain over the second, from placements over all pairs."""
    def placements(p):
        a, b = p[y][:, None], p[~y][None, :]
        wins = (a > b) + 0.5 * (a == b)
        return wins.mean(axis=1), wins.mean(axis=0)
    v10, v01 = zip(*[placements(p) for p in scores])
    cov = np.cov(np.array(v10)) / y.sum() + np.cov(np.array(v01)) / (~y).sum()
    return [np.sqrt(cov[0, 0]), np.sqrt(cov[1, 1])], np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])


def bootstrap(measure, y, a, b):
    samples = [(measure(y[i], a[i]), measure(y[i], b[i])) for i in rng.integers(0, len(y), (RESAMPLES, len(y)))]
    names = samples[0][0]
    return ({n: np.std([s[0][n] for s in samples]) for n in names},
            {n: np.std([s[0][n] - s[1][n] for s in samples]) for n in names})


def case(name, measure, y, a, b):
    errors, difference = bootstrap(measure, y, a, b)
    if measure is binary:
        (errors["roc_auc"], _), difference["roc_auc"] = delong(y.astype(bool), a, b)
    return {"name": name, "task": measure.__name__, "label": y.tolist(), "a": a.tolist(), "b": b.tolist(),
            "metricsA": measure(y, a), "metricsB": measure(y, b), "stdErrA": errors, "stdErrDifference": difference}


def edge(name, measure, y, a):
    return {"name": name, "task": measure.__name__, "label": y.tolist(), "a": a.tolist(), "metricsA": measure(y, a)}


n = 400
y = (rng.random(n) < 0.3).astype(int)
z = rng.normal(0, 1, n) + 1.2 * y
a = 1 / (1 + np.exp(1 - z))
b = 1 / (1 + np.exp(1 - 0.6 * z - rng.normal(0, 0.7, n)))
classes = rng.integers(0, 4, 300)
logits = rng.normal(0, 1, (300, 4)) + 1.5 * np.eye(4)[classes]
others = 0.7 * logits + rng.normal(0, 0.6, (300, 4))
soft = lambda v: np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)
truth = rng.gamma(3, 10, 300) + 5
guess = truth * rng.normal(1, 0.2, 300) + 1
worse = truth * rng.normal(1, 0.3, 300) - 2

some = np.array([0, 1, 1, 0, 1, 0, 0, 1])
cases = [
    case("binary", binary, y, a, b),
    case("binary with ties", binary, y, a.round(1), b.round(1)),
    case("multiclass", multiclass, classes, soft(logits), soft(others)),
    case("regression", regression, truth, guess, worse),
    edge("certain and wrong", binary, some, np.array([0.0, 1, 0, 1, 1, 0, 0.5, 0.5])),
    edge("all scores equal", binary, some, np.full(8, 0.25)),
    edge("never predicts the class", binary, some, np.linspace(0, 0.5, 8)),
    edge("perfect", binary, some, some * 0.8 + 0.1),
    edge("a class that is never met", multiclass, np.array([0, 0, 1, 1, 0]),
         np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0, 1, 0], [1, 0, 0], [0.6, 0.2, 0.2]])),
    edge("labels of zero", regression, np.array([0.0, 1, -2, 4]), np.array([0.5, 1, -1, 3])),
    edge("constant labels, missed", regression, np.array([2.0, 2, 2]), np.array([2.0, 2, 3])),
    edge("constant labels, met", regression, np.array([2.0, 2, 2]), np.array([2.0, 2, 2])),
    edge("large labels", regression, 1.7e9 + np.arange(50.0), 1.7e9 + np.arange(50.0) + np.sin(np.arange(50.0))),
]
(HERE / "reference.json").write_text(json.dumps(cases) + "\n")
