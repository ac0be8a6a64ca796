"""A random forest over one matrix of numbers, with three classes of text."""

import json
import os
import pathlib

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss


def main() -> None:
    question = json.loads(pathlib.Path(os.environ["MILLRACE_PIPELINE"]).read_text(encoding="utf-8"))["spec"]["model"]
    params = json.loads(pathlib.Path(os.environ["MILLRACE_PARAMS"]).read_text(encoding="utf-8"))
    folder = pathlib.Path(os.environ["MILLRACE_TRAIN_DATA"])

    rows = pd.concat([pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))])
    x = rows[question["features"]].to_numpy(dtype=np.float32)
    # A class is its place in the pipeline's classes, so that the probabilities come in their order.
    y = rows[question["label"]].map({name: place for place, name in enumerate(question["classes"])}).to_numpy()
    forest = RandomForestClassifier(n_estimators=params["trees"], min_samples_leaf=2, random_state=params["seed"])
    forest.fit(x, y)
    if len(forest.classes_) < len(question["classes"]):
        raise SystemExit(f"the training data has only {len(forest.classes_)} of the classes {question['classes']}")

    if metrics := os.environ.get("MILLRACE_METRICS"):
        with open(metrics, "a", encoding="utf-8") as out:
            out.write(json.dumps({"step": params["trees"], "loss": float(log_loss(y, forest.predict_proba(x)))}) + "\n")

    inputs = [("features", FloatTensorType([None, x.shape[1]]))]
    onnx = to_onnx(
        forest, initial_types=inputs, options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3}
    ).SerializeToString()
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    difference = np.abs(session.run(["probabilities"], {"features": x})[0] - forest.predict_proba(x)).max()
    if difference > 1e-5:
        raise SystemExit(f"the exported model differs from the trained one by {difference:.2g}")
    output = pathlib.Path(os.environ["MILLRACE_OUTPUT"])
    (output / "model.onnx").write_bytes(onnx)
    # The trained model's own answers: the exported one is held against them before it is approved.
    answers = pd.DataFrame(forest.predict_proba(x), columns=[f"probability_{name}" for name in question["classes"]])
    answers.assign(row=np.arange(len(rows))).to_parquet(output / "predictions.parquet", index=False)
    print(f"trained on {len(rows)} rows; wrote model.onnx, {len(onnx)} bytes")


if __name__ == "__main__":
    main()
