"""Makes the models heads/*.onnx, classifiers as PyTorch and Keras export them: one value a row, or logits. heads.json has
their rows and the probabilities of NumPy. Run it with onnx and onnxruntime installed; what it makes is committed."""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(11)
rows = rng.normal(size=(7, 3)).astype(np.float32)
rows[0] *= 40  # saturates
out = {}


def model(name, width, activation, shape, probabilities, fixed=None):
    weights, bias = rng.normal(size=(3, width)).astype(np.float32), rng.normal(size=width).astype(np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z"])]
    last = "z"
    if activation:
        nodes.append(helper.make_node(activation, [last], ["activated"]))
        last = "activated"
    if len(shape) == 1:
        nodes.append(helper.make_node("Squeeze", [last, "axis"], ["flat"]))
        last = "flat"
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [fixed or "N", 3])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    (HERE / "heads").mkdir(exist_ok=True)
    path = HERE / "heads" / f"{name}.onnx"
    path.write_bytes(made.SerializeToString())
    session = onnxruntime.InferenceSession(str(path))
    if fixed:  # a run has so many rows and no other number
        padded = np.concatenate([rows, rows])[: -(-len(rows) // fixed) * fixed]
        answer = np.concatenate([session.run(None, {"x": part})[0] for part in np.split(padded, len(padded) // fixed)])[: len(rows)]
    else:
        answer = session.run(None, {"x": rows})[0]
    answer = answer.astype(np.float64)
    out[name] = probabilities(answer).tolist()


def of_two(p):
    p = p.reshape(-1)
    return np.column_stack([1 - p, p])


def sigmoid(z):
    return of_two(1 / (1 + np.exp(-z)))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


model("probability-flat", 1, "Sigmoid", ["N"], of_two)
model("probability-column", 1, "Sigmoid", ["N", 1], of_two)
model("logit", 1, None, ["N", 1], sigmoid)
model("logits-of-two", 2, None, ["N", 2], softmax)
model("logits-of-three", 3, None, ["N", 3], softmax)
model("one-row-at-a-time", 1, "Sigmoid", [1, 1], of_two, fixed=1)
model("four-rows-at-a-time", 2, "Softmax", [4, 2], lambda p: p, fixed=4)
(HERE / "heads" / "heads.json").write_text(json.dumps({"rows": rows.astype(float).tolist(), "probabilities": out}, indent=1) + "\n")
