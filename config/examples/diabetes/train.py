"""Ridge regression over one matrix of numbers: the smallest honest trainer."""

import argparse
import json
import os
import pathlib

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, required=True, help="how strongly large weights are held down")
    alpha = parser.parse_args().alpha
    question = json.loads(pathlib.Path(os.environ["MILLRACE_PIPELINE"]).read_text(encoding="utf-8"))["spec"]["model"]
    folder = pathlib.Path(os.environ["MILLRACE_TRAIN_DATA"])

    rows = pd.concat([pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))])
    x = rows[question["features"]].to_numpy(dtype=np.float32)
    y = rows[question["label"]].to_numpy(dtype=np.float32)
    model = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(x, y)

    loss = float(np.mean((model.predict(x) - y) ** 2))
    if metrics := os.environ.get("MILLRACE_METRICS"):
        with open(metrics, "a", encoding="utf-8") as out:
            out.write(json.dumps({"step": 1, "loss": loss}) + "\n")

    inputs = [("features", FloatTensorType([None, x.shape[1]]))]
    onnx = to_onnx(model, initial_types=inputs, target_opset=18).SerializeToString()
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    difference = np.abs(session.run(None, {"features": x})[0][:, 0] - model.predict(x)).max()
    if difference > 1e-2:  # of values around 150
        raise SystemExit(f"the exported model differs from the trained one by {difference:.2g}")
    output = pathlib.Path(os.environ["MILLRACE_OUTPUT"])
    (output / "model.onnx").write_bytes(onnx)
    # The trained model's own answers: the exported one is held against them before it is approved.
    answers = pd.DataFrame({"row": np.arange(len(rows)), "prediction": model.predict(x)})
    answers.to_parquet(output / "predictions.parquet", index=False)
    print(f"trained on {len(rows)} rows, squared error {loss:.0f}; wrote model.onnx, {len(onnx)} bytes")


if __name__ == "__main__":
    main()
