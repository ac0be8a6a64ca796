"""What every Python peer shares: the model in ONNX Runtime, one thread, and columns to feeds."""

import os

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
kinds = {i.name: {"tensor(string)": object, "tensor(int64)": np.int64}.get(i.type, np.float32) for i in session.get_inputs()}


def feeds(columns):
    """Columns by name (lists) as the model's inputs, [N, 1] each."""
    return {name: np.asarray(columns[name], dtype=kind).reshape(-1, 1) for name, kind in kinds.items()}


def text(values):
    """A column as JSON has it: gRPC's strings are bytes."""
    return [v.decode() for v in values] if len(values) and isinstance(values[0], bytes) else values


def predict(columns):
    """The probabilities, [N, 2]."""
    return session.run(["probabilities"], feeds(columns))[0]
