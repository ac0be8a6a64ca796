# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "skl2onnx==1.20", "onnx==1.23.2", "onnxruntime==1.24.1", "pandas", "pyarrow"]
# ///
"""Makes hold-outs of the real data that scikit-learn ships, models of different worth trained on the other half of it,
and expected.json: what scikit-learn measures of each model's answers, whole and by slice. Run it with
`uv run --script models.py`; what it makes is committed."""

import json
import pathlib
import warnings

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
OPSET = {"": 18, "ai.onnx.ml": 3}
expected = {}


def binary(y, p):
    p, hard = p[:, 1], p[:, 1] > 0.5
    return {
        "roc_auc": sk.roc_auc_score(y, p), "pr_auc": sk.average_precision_score(y, p),
        "log_loss": sk.log_loss(y, p, labels=[0, 1]), "brier": sk.brier_score_loss(y, p),
        "accuracy": sk.accuracy_score(y, hard), "precision": sk.precision_score(y, hard, zero_division=0),
        "recall": sk.recall_score(y, hard, zero_division=0), "f1": sk.f1_score(y, hard, zero_division=0),
    }


def multiclass(y, p):
    hard = p.argmax(axis=1)
    return {"accuracy": sk.accuracy_score(y, hard), "log_loss": sk.log_loss(y, p, labels=range(p.shape[1])),
            "macro_f1": sk.f1_score(y, hard, average="macro", zero_division=0)}


def regression(y, p):
    p = p.ravel()
    return {"rmse": sk.root_mean_squared_error(y, p), "mae": sk.mean_absolute_error(y, p), "r2": sk.r2_score(y, p),
            "mape": sk.mean_absolute_percentage_error(y, p)}


def model(name, estimator, train, target, holdout, truth, features, measure, slices, weak=False):
    """Trains and saves a model, and notes its metrics. A weak one knows but its first feature."""
    p = Pipeline([("columns", ColumnTransformer([("all", StandardScaler(), features)])), ("model", estimator)])
    rows = train[features].copy()
    if weak:
        rows[features[1:]] = rows[features[1:]].mean().to_numpy()
    p.fit(rows, target)
    options = {} if measure is regression else {"options": {id(p): {"zipmap": False}}}
    onx = to_onnx(p, initial_types=[(c, FloatTensorType([None, 1])) for c in features], target_opset=OPSET, **options)
    (HERE / f"{name}.onnx").write_bytes(onx.SerializeToString())
    session = onnxruntime.InferenceSession(onx.SerializeToString())
    answer = session.run(["variable" if measure is regression else "probabilities"],
                         {c: holdout[[c]].to_numpy(np.float32) for c in features})[0]
    plain = lambda m: {k: float(v) for k, v in m.items() if np.isfinite(v)}
    expected[name] = {"": plain(measure(truth, answer))}
    for value in sorted(holdout[slices].unique()):
        rows = (holdout[slices] == value).to_numpy()
        expected[name][value] = plain(measure(truth[rows], answer[rows]))


def save(name, frame):
    frame.to_parquet(HERE / f"{name}.parquet", index=False)


def shuffled(y, seed=0):
    return np.random.default_rng(seed).permutation(y)


def thirds(column):
    return pd.qcut(column, 3, labels=["large", "medium", "small"][::-1]).astype(str)


data = load_breast_cancer(as_frame=True)
frame = data.frame.set_axis([c.replace(" ", "_") for c in data.frame.columns], axis=1)
features = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_concavity"]
frame = frame[features].assign(size=thirds(frame.mean_radius), benign=frame.target == 1)
train, holdout = train_test_split(frame, test_size=0.6, random_state=3)
save("tumours", holdout)
y = holdout.benign.to_numpy().astype(int)
for name, target, columns, c in [
    ("tumours-good", train.benign, features, 1.0), ("tumours-similar", train.benign, features, 0.3),
    ("tumours-weak", train.benign, features, 1.0), ("tumours-shuffled", shuffled(train.benign), features, 1.0),
    ("tumours-narrow", train.benign, features[:1], 1.0),
]:
    model(name, LogisticRegression(C=c, max_iter=500), train, target, holdout, y, columns, binary, "size", "weak" in name)

# The features as one matrix.
p = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(max_iter=500))])
p.fit(train[features].to_numpy(), train.benign)
onx = to_onnx(p, initial_types=[("features", FloatTensorType([None, len(features)]))], target_opset=OPSET,
              options={id(p): {"zipmap": False}})
(HERE / "tumours-matrix.onnx").write_bytes(onx.SerializeToString())
answer = onnxruntime.InferenceSession(onx.SerializeToString()).run(
    ["probabilities"], {"features": holdout[features].to_numpy(np.float32)})[0]
expected["tumours-matrix"] = {"": {k: float(v) for k, v in binary(y, answer).items()}}

data = load_wine(as_frame=True)
features = ["alcohol", "malic_acid", "color_intensity"]
names = np.array(["barolo", "grignolino", "barbera"])[data.target].astype(object)
frame = data.frame[features].assign(size=thirds(data.frame.proline), grape=names)
train, holdout = train_test_split(frame, test_size=0.6, random_state=3)
save("wines", holdout)
classes = sorted(set(names))
y = holdout.grape.map({c: i for i, c in enumerate(classes)}).to_numpy()
model("wines-good", LogisticRegression(max_iter=500), train, train.grape, holdout, y, features, multiclass, "size")
model("wines-shuffled", LogisticRegression(max_iter=500), train, shuffled(train.grape), holdout, y, features, multiclass, "size")

data = load_diabetes(as_frame=True, scaled=False)
features = ["age", "bmi", "bp", "s5"]
frame = data.frame[features].assign(sex=data.frame.sex.map({1: "one", 2: "two"}), progression=data.frame.target)
train, holdout = train_test_split(frame, test_size=0.5, random_state=3)
save("patients", holdout)
y = holdout.progression.to_numpy()
model("patients-good", LinearRegression(), train, train.progression, holdout, y, features, regression, "sex")
model("patients-weak", LinearRegression(), train, train.progression, holdout, y, features, regression, "sex", weak=True)
model("patients-narrow", LinearRegression(), train, train.progression, holdout, y, features[:3], regression, "sex")

(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
