# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "skl2onnx==1.20", "catboost==1.2.10", "onnx==1.23.2", "onnxruntime==1.32.0", "pandas"]
# ///
"""Makes the models of the folder exports: small models as exporters write them by default, each with its contract and
what Python's onnxruntime answers, in exports.json. Run it with `uv run --script exports.py`; what it makes is committed."""

import json
import pathlib

import catboost
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

HERE = pathlib.Path(__file__).parent / "exports"
HERE.mkdir(exist_ok=True)
OPSET = {"": 18, "ai.onnx.ml": 3}
rng = np.random.default_rng(0)
n = 400
X = rng.normal(size=(n, 2)).astype(np.float32)
known = {}


def record(name, task, features, columns, feeds, classes=()):
    """Notes the answers: probabilities as a list of lists, predictions as a list."""
    session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"))
    answer = session.run(None, feeds)[-1]
    if isinstance(answer, list):  # a ZipMap's: its keys are the classes, in their order
        scores = [list(row.values()) for row in answer]
        assert [str(k) for k in answer[0]] == [str(c) for c in classes], answer[0]
    else:
        scores = np.asarray(answer, dtype=np.float64).reshape(len(answer), -1).tolist()
    known[name] = {"task": task, "features": features, "classes": [str(c) for c in classes], "rows": columns, "scores": np.ravel(scores).tolist()}


def matrix(name, task, feed, classes=()):
    few = X[:5]
    record(name, task, [{"name": "a", "type": "float"}, {"name": "b", "type": "float"}],
           {"a": few[:, 0].tolist(), "b": few[:, 1].tolist()}, {feed: few}, classes)


def cat(kind, y):
    return kind(iterations=5, depth=2, verbose=0, allow_writing_files=False, random_seed=0).fit(X, y)


# CatBoost says [N] and gives [N, 1]; its classifiers end in a ZipMap.
cat(catboost.CatBoostRegressor, X[:, 0] * 3).save_model(str(HERE / "catboost-regressor.onnx"), format="onnx")
matrix("catboost-regressor", "regression", "features")
cat(catboost.CatBoostClassifier, (X[:, 0] > 0).astype(int)).save_model(str(HERE / "catboost-binary.onnx"), format="onnx")
matrix("catboost-binary", "binary_classification", "features", [0, 1])
three = np.digitize(X[:, 0], [-0.5, 0.5])
cat(catboost.CatBoostClassifier, np.array([3, 5, 7])[three]).save_model(str(HERE / "catboost-357.onnx"), format="onnx")
matrix("catboost-357", "multiclass_classification", "features", [3, 5, 7])
cat(catboost.CatBoostClassifier, np.array(["high", "low", "mid"])[three]).save_model(str(HERE / "catboost-words.onnx"), format="onnx")
matrix("catboost-words", "multiclass_classification", "features", ["high", "low", "mid"])


def save(name, model):
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


# skl2onnx as it is when nobody says zipmap: False.
save("tree-357", to_onnx(DecisionTreeClassifier(max_depth=2).fit(X, np.array([3, 5, 7])[three]), X[:1], target_opset=OPSET))
matrix("tree-357", "multiclass_classification", "X", [3, 5, 7])
tree = DecisionTreeClassifier(max_depth=2).fit(X, np.array([3, 5, 7])[three])
save("tree-357-tensor", to_onnx(tree, X[:1], target_opset=OPSET, options={id(tree): {"zipmap": False}}))
matrix("tree-357-tensor", "multiclass_classification", "X", [3, 5, 7])

# An encoder that refuses categories it does not know, which is the default.
d = pd.DataFrame({"city": rng.choice(["NYC", "LA", "SF"], n), "mean income": np.round(rng.lognormal(10, 0.5, n), 2)})
y = np.where((d.city == "LA") ^ (rng.random(n) < 0.1), "yes", "no")
one_hot = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["city"])], remainder=StandardScaler()), LogisticRegression()).fit(d, y)
save("one-hot", to_onnx(one_hot, initial_types=[("city", StringTensorType([None, 1])), ("mean income", FloatTensorType([None, 1]))], target_opset=OPSET))
few = d.head(5)
record("one-hot", "binary_classification", [{"name": "city", "type": "string"}, {"name": "mean income", "type": "float"}],
       {"city": few["city"].tolist(), "mean income": few["mean income"].tolist()},
       {"city": few[["city"]].to_numpy().astype(object), "mean_income": few[["mean income"]].to_numpy(np.float32)}, ["no", "yes"])

# A logarithm of what is never 0.
income = d[["mean income"]].to_numpy(np.float32)
box_cox = make_pipeline(PowerTransformer(method="box-cox"), LinearRegression()).fit(income, np.log(income.ravel()))
save("box-cox", to_onnx(box_cox, income[:1], target_opset=OPSET))
record("box-cox", "regression", [{"name": "income", "type": "float", "min": 1}], {"income": few["mean income"].tolist()}, {"X": income[:5]})

# A row's answer is how far it is from the best of its request.
flt = onnx.TensorProto.FLOAT
save("ranks", onnx.helper.make_model(onnx.helper.make_graph(
    [onnx.helper.make_node("ReduceMax", ["x"], ["best"], keepdims=1), onnx.helper.make_node("Sub", ["best", "x"], ["y"])],
    "g", [onnx.helper.make_tensor_value_info("x", flt, ["n", 1])], [onnx.helper.make_tensor_value_info("y", flt, ["n", 1])]),
    opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9))

(HERE / "exports.json").write_text(json.dumps(known, indent=1) + "\n")
