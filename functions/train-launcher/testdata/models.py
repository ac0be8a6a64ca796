"""Writes the models of the tests; they need to be well-formed, not good.

    pip install onnx && python models.py
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

os.chdir(os.path.dirname(os.path.abspath(__file__)))
ROWS = "N"


def save(name, inputs, weights=(), **external):
    """One output of zeros, as wide as the classes, from whatever goes in."""
    first = inputs[-1].name
    nodes = [
        helper.make_node("Cast", [first], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["probabilities"]),
    ]
    width = inputs[-1].type.tensor_type.shape.dim[1].dim_value or 1
    w = numpy_helper.from_array(np.zeros((width, 2), np.float32), "w")
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [ROWS, 2])
    graph = helper.make_graph(nodes, "test", inputs, [output], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="")
    model.ir_version = 10
    onnx.checker.check_model(model)
    onnx.save(model, name, **external)


def column(name, kind):
    return helper.make_tensor_value_info(name, kind, [ROWS, 1])


features = [column("carrier", TensorProto.STRING), column("hour", TensorProto.INT64), column("distance", TensorProto.FLOAT)]
save("model.onnx", features)
save("other-inputs.onnx", [column("carrier", TensorProto.INT64), column("altitude", TensorProto.FLOAT), column("distance", TensorProto.FLOAT)])
save("matrix.onnx", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [ROWS, 3])])
if os.path.exists("external.data"):
    os.remove("external.data")
save("external.onnx", features, save_as_external_data=True, all_tensors_to_one_file=True, location="external.data", size_threshold=0)
