"""Train gradient-boosted trees of XGBoost and leave it as model.onnx.

Millrace runs this after an upload. Columns, label and classes come from pipeline.yaml beside it, and the parameters from
its train.params: nothing here has to be changed when they do.
"""

import json
import os
import pathlib

import numpy as np
import pandas as pd
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from xgboost import XGBClassifier, XGBRegressor

spec = json.loads(pathlib.Path(os.environ["MILLRACE_PIPELINE"]).read_text(encoding="utf-8"))["spec"]
params = json.loads(pathlib.Path(os.environ["MILLRACE_PARAMS"]).read_text(encoding="utf-8"))
output = pathlib.Path(os.environ["MILLRACE_OUTPUT"])
features, label, classes = spec["model"]["features"], spec["model"]["label"], spec["model"].get("classes")
texts = [name for name in features if spec["data"]["columns"][name]["type"] == "string"]
numbers = [name for name in features if name not in texts]

# The rows to train on. Their index is the row's number over all files, which predictions.parquet refers to.
files = sorted(pathlib.Path(os.environ["MILLRACE_TRAIN_DATA"]).glob("*.parquet"))
rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
rows = rows[rows[label].notna()]
# Numbers have 32 bits when the model is served, so it is trained on such: a missing one is NaN, a missing text is "".
x = rows[features].astype({name: "float32" for name in numbers} | {name: object for name in texts})
if classes:
    # A class is its place in the pipeline's list, so that the probabilities come in that order.
    y = rows[label].map({name: place for place, name in enumerate(classes)}).astype("int64")
    if lacking := [name for place, name in enumerate(classes) if place not in set(y)]:
        raise SystemExit(f"no row to train on has {label} = {lacking}: bring rows with it, or take it out of model.classes")
else:
    y = rows[label].astype("float64")

steps = [("numbers", "passthrough", numbers)] if numbers else []  # a missing number stays NaN, which the trees understand
if texts:
    steps.append(("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), texts))
trees = (XGBClassifier if classes else XGBRegressor)(
    n_estimators=params["trees"],
    learning_rate=params["learning_rate"],
    max_depth=params["depth"],
    random_state=params["seed"],
)
model = Pipeline([("columns", ColumnTransformer(steps)), ("trees", trees)]).fit(x, y)

# What skl2onnx has to know of XGBoost.
update_registered_converter(
    XGBClassifier,
    "XGBoostXGBClassifier",
    calculate_linear_classifier_output_shapes,
    convert_xgboost,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)
update_registered_converter(XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes, convert_xgboost)

# The model as ONNX, with one input for each feature; its probabilities are a plain matrix (no ZipMap).
inputs = [(name, (StringTensorType if name in texts else FloatTensorType)([None, 1])) for name in features]
options = {id(model): {"zipmap": False}} if classes else None
graph = to_onnx(model, initial_types=inputs, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
for tensor, name in zip(graph.graph.input, features):  # skl2onnx writes "Fare per mile" as Fare_per_mile
    for node in graph.graph.node:
        node.input[:] = [name if used == tensor.name else used for used in node.input]
    tensor.name = name
(output / "model.onnx").write_bytes(graph.SerializeToString())

# What the trained model itself answers to some of the rows: the exported one is held against it before it is approved.
some = x.iloc[:: max(1, len(x) // 10_000)]
if classes:
    answers = pd.DataFrame(model.predict_proba(some), columns=[f"probability_{name}" for name in classes])
else:
    answers = pd.DataFrame({"prediction": model.predict(some)})
answers.assign(row=some.index).to_parquet(output / "predictions.parquet", index=False)
print(f"trained on {len(rows):,} rows and {len(features)} features")
