"""Train on a folder of Parquet files and leave model.onnx and predictions.parquet.

Gradient-boosted trees (LightGBM) behind one-hot encoded texts and imputed
numbers, as one ONNX graph with one input per feature. Features, label and
classes come from the pipeline, so this trainer fits any binary or multi-class
pipeline over tables.
"""

import json
import os
import pathlib
import time

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder


def read_rows(folder: pathlib.Path, columns: list[str]) -> pd.DataFrame:
    """The rows of all files, in the order of the files' names."""
    tables = [pq.read_table(file, columns=columns) for file in sorted(folder.glob("*.parquet"))]
    if not tables:
        raise SystemExit(f"there is no Parquet file in {folder}")
    return pa.concat_tables(tables, promote_options="permissive").to_pandas()


def as_inputs(rows: pd.DataFrame, texts: list[str], numbers: list[str]) -> pd.DataFrame:
    """The features as the model gets them: texts, and 32-bit floats with NaN for nothing."""
    inputs = {name: rows[name].astype(object).where(rows[name].notna(), "") for name in texts}
    inputs |= {name: rows[name].astype("float32") for name in numbers}
    return pd.DataFrame(inputs)


def class_indices(label: pd.Series, classes: list) -> np.ndarray:
    """Each label's place in the pipeline's classes, which is the order of the probabilities."""
    places = label.map({value: place for place, value in enumerate(classes)})
    if places.isna().any():
        raise SystemExit(f"{int(places.isna().sum())} rows have a label that is none of {classes}")
    if places.nunique() < len(classes):
        raise SystemExit(f"the training data has only {places.nunique()} of the classes {classes}")
    return places.to_numpy(dtype=np.int64)


def report_progress(file: str | None):
    """A LightGBM callback that appends the training loss to the metrics file."""

    def callback(env) -> None:
        step = env.iteration + 1
        if file and (step % 10 == 0 or step == env.end_iteration):
            with open(file, "a", encoding="utf-8") as out:
                out.write(json.dumps({"step": step, "loss": env.evaluation_result_list[0][2]}) + "\n")

    return callback


def export(model: Pipeline, texts: list[str], numbers: list[str]) -> bytes:
    """The ONNX graph: one input [N,1] per feature; a label and probabilities [N, classes]."""
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    inputs = [(name, StringTensorType([None, 1])) for name in texts]
    inputs += [(name, FloatTensorType([None, 1])) for name in numbers]
    graph = to_onnx(
        model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset={"": 18, "ai.onnx.ml": 3}
    )
    return graph.SerializeToString()


def check_export(onnx: bytes, model: Pipeline, inputs: pd.DataFrame) -> float:
    """The largest difference between the graph's probabilities and the model's own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    feeds = {name: inputs[[name]].to_numpy() for name in inputs}
    _, probabilities = session.run(None, feeds)
    return float(np.abs(probabilities - model.predict_proba(inputs)).max())


def leave_predictions(file: pathlib.Path, model: Pipeline, inputs: pd.DataFrame, classes: list) -> None:
    """The trained model's own answers to some rows: the exported one is held against them before it is approved."""
    places = np.arange(0, len(inputs), max(1, len(inputs) // 20_000))
    probabilities = model.predict_proba(inputs.iloc[places])
    answers = pd.DataFrame(probabilities, columns=[f"probability_{name}" for name in classes])
    answers.assign(row=places).to_parquet(file, index=False)


def main() -> None:
    begin = time.monotonic()
    pipeline = json.loads(pathlib.Path(os.environ["MILLRACE_PIPELINE"]).read_text(encoding="utf-8"))["spec"]
    params = json.loads(pathlib.Path(os.environ["MILLRACE_PARAMS"]).read_text(encoding="utf-8"))
    columns, question = pipeline["data"]["columns"], pipeline["model"]
    features, label = question["features"], question["label"]
    texts = [name for name in features if columns[name]["type"] == "string"]
    numbers = [name for name in features if columns[name]["type"] in ("int", "float", "bool")]
    if unfit := set(features) - set(texts) - set(numbers):
        raise SystemExit(f"this trainer has no use for the features {sorted(unfit)}: they are timestamps")

    rows = read_rows(pathlib.Path(os.environ["MILLRACE_TRAIN_DATA"]), [*features, label])
    x, y = as_inputs(rows, texts, numbers), class_indices(rows[label], question["classes"])
    if params["shuffle_labels"]:
        y = np.random.default_rng(params["seed"]).permutation(y)
    print(f"training on {len(rows)} rows, {len(features)} features, share of the last class {np.mean(y == y.max()):.3f}")

    prepare = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), texts),
            ("numbers", SimpleImputer(strategy="median", keep_empty_features=True), numbers),
        ]
    )
    trees = LGBMClassifier(
        n_estimators=params["trees"],
        learning_rate=params["learning_rate"],
        num_leaves=params["leaves"],
        min_child_samples=params["min_leaf"],
        reg_lambda=params["l2"],
        random_state=params["seed"],
        n_jobs=2,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    matrix = prepare.fit_transform(x)
    progress = report_progress(os.environ.get("MILLRACE_METRICS"))
    trees.fit(matrix, y, eval_X=matrix, eval_y=y, callbacks=[progress])
    model = Pipeline([("prepare", prepare), ("trees", trees)])

    onnx = export(model, texts, numbers)
    probe = x.iloc[:: max(1, len(x) // 20_000)].copy()
    probe.iloc[0, : len(texts)] = "never seen"
    probe.iloc[1, len(texts) :] = np.nan
    difference = check_export(onnx, model, probe)
    if difference > 1e-5:
        raise SystemExit(f"the exported model differs from the trained one by {difference:.2g}")
    output = pathlib.Path(os.environ["MILLRACE_OUTPUT"])
    (output / "model.onnx").write_bytes(onnx)
    leave_predictions(output / "predictions.parquet", model, x, question["classes"])
    print(f"wrote model.onnx, {len(onnx)} bytes; differs by at most {difference:.1g}; {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    main()
