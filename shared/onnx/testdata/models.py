# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1", "skl2onnx==1.20", "lightgbm==4.7", "onnxmltools==1.16", "onnx==1.23.2",
#                 "onnxruntime==1.24.1", "pandas"]
# ///
"""Makes the models of this folder and golden.json: for each model its contract, rows, and what Python's onnxruntime
answers for them. Run it with `uv run --script models.py`; what it makes is committed."""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from lightgbm import LGBMClassifier
from onnx import TensorProto, helper
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
OPSET = {"": 18, "ai.onnx.ml": 3}
rng = np.random.default_rng(7)
golden = {}


def save(name, model):
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def record(name, task, features, frame, feeds, score, classes=(), label=None):
    """Notes what onnxruntime answers: frame has the rows by column, feeds the same as the model's inputs."""
    session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"))
    names = [score] + ([label] if label else [])
    answers = session.run(names, feeds)
    columns = {}
    for column, kind in features.items():
        values = frame[column].tolist()
        nulls = [kind == "float" and v != v for v in values]
        columns[column] = [None if null else v for v, null in zip(values, nulls)]
    golden[name] = {
        "task": task,
        "features": [{"name": c, "type": t} for c, t in features.items()],
        "classes": list(classes),
        "rows": columns,
        "scores": [float(v) for v in np.asarray(answers[0], dtype=np.float64).ravel()],
        # Trees and linear models number the classes when these are truths.
        "labels": [v if isinstance(v, str) else classes[v] for v in answers[1].ravel().tolist()] if label else None,
    }


def flights(rows):
    """Made-up flights: late on some carriers, in the evening, in the cold."""
    carriers, origins = np.array(["AA", "B6", "DL", "UA", "9E"]), np.array(["EWR", "JFK", "LGA"])
    frame = pd.DataFrame({
        "carrier": rng.choice(carriers, rows).astype(object),
        "origin": rng.choice(origins, rows).astype(object),
        "hour": rng.integers(5, 24, rows),
        "distance": rng.uniform(80, 2500, rows),
        "temp": rng.normal(12, 9, rows),
        "weekend": rng.random(rows) < 0.3,
    })
    odds = (frame.hour - 14) / 4 + frame.carrier.isin(["B6", "9E"]) - frame.temp / 20 + rng.normal(0, 1, rows)
    frame.loc[rng.random(rows) < 0.05, "temp"] = np.nan
    return frame, odds > 0.5


FLIGHTS = {"carrier": "string", "origin": "string", "hour": "int", "distance": "float", "temp": "float", "weekend": "bool"}


def flight_inputs():
    n1 = [None, 1]
    return [("carrier", StringTensorType(n1)), ("origin", StringTensorType(n1)), ("hour", Int64TensorType(n1)),
            ("distance", FloatTensorType(n1)), ("temp", FloatTensorType(n1)), ("weekend", FloatTensorType(n1))]


def flight_feeds(frame):
    return {
        "carrier": frame[["carrier"]].to_numpy().astype(object), "origin": frame[["origin"]].to_numpy().astype(object),
        "hour": frame[["hour"]].to_numpy(np.int64), "distance": frame[["distance"]].to_numpy(np.float32),
        "temp": frame[["temp"]].to_numpy(np.float32), "weekend": frame[["weekend"]].to_numpy(np.float32),
    }


def pipeline(classifier):
    numbers = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
    return Pipeline([
        ("columns", ColumnTransformer([
            ("words", OneHotEncoder(handle_unknown="ignore"), ["carrier", "origin"]),
            ("numbers", numbers, ["distance", "temp"]),
            ("rest", "passthrough", ["hour", "weekend"]),
        ])),
        ("model", classifier),
    ])


def convert_flights(p, **options):
    return to_onnx(p, initial_types=flight_inputs(), options={id(p): options}, target_opset=OPSET)


def flight_models():
    frame, late = flights(4000)
    few = frame.head(40).copy()
    few.loc[0, "carrier"] = "ZZ"  # a category never seen
    few.loc[1, "carrier"] = "Ünïcode"

    logistic = pipeline(LogisticRegression(max_iter=500)).fit(frame, late)
    save("logistic", convert_flights(logistic, zipmap=False))
    record("logistic", "binary_classification", FLIGHTS, few, flight_feeds(few), "probabilities", ["false", "true"], "label")
    save("zipmap", convert_flights(logistic))

    update_registered_converter(
        LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes, convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]})
    boosted = pipeline(LGBMClassifier(n_estimators=60, num_leaves=15, verbose=-1)).fit(frame, late)
    save("lightgbm", convert_flights(boosted, zipmap=False))
    record("lightgbm", "binary_classification", FLIGHTS, few, flight_feeds(few), "probabilities", ["false", "true"], "label")


def matrix_models():
    x, y = load_diabetes(return_X_y=True)
    names = load_diabetes().feature_names
    features = {n: "float" for n in names}
    few = pd.DataFrame(x[:25], columns=names)
    feeds = {"features": few.to_numpy(np.float32)}
    forest = RandomForestRegressor(n_estimators=5, max_depth=4, random_state=0).fit(x, y)
    save("matrix", to_onnx(forest, initial_types=[("features", FloatTensorType([None, len(names)]))], target_opset=OPSET))
    record("matrix", "regression", features, few, feeds, "variable")

    # A tree that reads far outside of the row: ONNX Runtime does not look, and dies of it.
    broken = onnx.load(HERE / "matrix.onnx")
    for node in broken.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_featureids":
                attribute.ints[:] = [-2**31] * len(attribute.ints)
    save("deadly", broken)

    double = to_onnx(LinearRegression().fit(x, y), x[:1], target_opset=OPSET)
    save("matrix64", double)
    record("matrix64", "regression", features, few, {"X": few.to_numpy(np.float64)}, "variable")


def iris_model():
    iris = load_iris(as_frame=True)
    frame = iris.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1)
    species = np.array(iris.target_names)[iris.target].astype(object)
    p = Pipeline([("columns", ColumnTransformer([("all", StandardScaler(), list(frame.columns))])),
                  ("model", LogisticRegression(max_iter=500))]).fit(frame, species)
    onx = to_onnx(p, initial_types=[(c, FloatTensorType([None, 1])) for c in frame.columns],
                  options={id(p): {"zipmap": False}}, target_opset=OPSET)
    save("iris", onx)
    few = frame.iloc[::5]
    record("iris", "multiclass_classification", {c: "float" for c in frame.columns}, few,
           {c: few[[c]].to_numpy(np.float32) for c in frame.columns}, "probabilities",
           ["setosa", "versicolor", "virginica"], "label")


def graph(nodes, inputs, outputs, initializers=()):
    g = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def info(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def hand_made():
    flt, dbl, i64, boolean = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL

    # A bool, a timestamp and a double as [N], and [N] out.
    save("vectors", graph(
        [helper.make_node("Cast", ["flag"], ["f"], to=dbl), helper.make_node("Cast", ["at"], ["t"], to=dbl),
         helper.make_node("Mul", ["f", "amount"], ["fa"]), helper.make_node("Mul", ["t", "micro"], ["s"]),
         helper.make_node("Add", ["fa", "s"], ["prediction"])],
        [info("flag", boolean, ["n"]), info("at", i64, ["n"]), info("amount", dbl, ["n"])],
        [info("prediction", dbl, ["n"])],
        [helper.make_tensor("micro", dbl, [], [1e-6])]))
    frame = pd.DataFrame({"flag": [True, False, True], "at": [0, 1_700_000_000_000_000, 5], "amount": [1.5, 2.5, -1e300]})
    record("vectors", "regression", {"flag": "bool", "at": "timestamp", "amount": "float"}, frame,
           {c: frame[c].to_numpy() for c in frame.columns}, "prediction")

    # Weights in another file.
    weights = np.linspace(-1, 1, 3 * 4, dtype=np.float32).reshape(4, 3)
    w = onnx.numpy_helper.from_array(weights, "w")
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Softmax", ["y"], ["p"])],
                  [info("x", flt, ["n", 4])], [info("p", flt, ["n", 3])], [w])
    (HERE / "external.data").unlink(missing_ok=True)
    onnx.external_data_helper.convert_model_to_external_data(
        model, all_tensors_to_one_file=True, location="external.data", size_threshold=0)
    onnx.save_model(model, str(HERE / "external.onnx"))
    frame = pd.DataFrame(rng.normal(size=(6, 4)), columns=list("abcd"))
    record("external", "multiclass_classification", {c: "float" for c in "abcd"}, frame,
           {"x": frame.to_numpy(np.float32)}, "p", ["one", "two", "three"])

    def softmax(name, rows="n", axis=-1, width=3, extra=(), outputs=None):
        matrix = onnx.numpy_helper.from_array(np.linspace(-1, 1, 4 * width, dtype=np.float32).reshape(4, width), "w")
        save(name, graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Softmax", ["y"], ["p"], axis=axis), *extra],
            [info("x", flt, [rows, 4])], outputs or [info("p", flt, [rows, width])], [matrix]))

    softmax("fixed-rows", rows=1)
    softmax("depends-on-neighbours", axis=0)
    softmax("unknown-shape", outputs=[info("p", flt, None)])
    softmax("raw-scores", outputs=[info("y", flt, ["n", 3])])
    softmax("two-candidates", extra=[helper.make_node("Identity", ["p"], ["q"])],
            outputs=[info("p", flt, ["n", 3]), info("q", flt, ["n", 3])])

    # The labels are numbers, the pipeline's classes names.
    softmax("number-labels", extra=[helper.make_node("ArgMax", ["p"], ["label"], axis=1, keepdims=0)],
            outputs=[info("label", i64, ["n"]), info("p", flt, ["n", 3])])

    # A loop that never ends in a human's time.
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["state"], ["next"])],
        "body", [info("i", i64, []), info("go", boolean, []), info("state", flt, None)],
        [info("go_on", boolean, []), info("next", flt, None)])
    save("endless", graph(
        [helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body)],
        [info("x", flt, ["n", 1])], [info("y", flt, ["n", 1])],
        [helper.make_tensor("times", i64, [], [2**62]), helper.make_tensor("true", boolean, [], [True])]))

    # Goes round its loop as often as the largest x says.
    save("loops", graph(
        [helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0), helper.make_node("Cast", ["most"], ["times"], to=i64),
         helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body)],
        [info("x", flt, ["n", 1])], [info("y", flt, ["n", 1])],
        [helper.make_tensor("true", boolean, [], [True])]))

    # Takes as many floats of memory as the largest x says.
    save("grows", graph(
        [helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0), helper.make_node("Cast", ["most"], ["size"], to=i64),
         helper.make_node("Reshape", ["size", "one"], ["shape"]), helper.make_node("Expand", ["zero", "shape"], ["wide"]),
         helper.make_node("ReduceMax", ["wide"], ["nothing"], keepdims=0), helper.make_node("Add", ["x", "nothing"], ["y"])],
        [info("x", flt, ["n", 1])], [info("y", flt, ["n", 1])],
        [helper.make_tensor("one", i64, [1], [1]), helper.make_tensor("zero", flt, [1], [0.0])]))

    # Wants 4 TB for every row.
    save("greedy", graph(
        [helper.make_node("Expand", ["x", "shape"], ["wide"]), helper.make_node("ReduceSum", ["wide", "axes"], ["y"], keepdims=1)],
        [info("x", flt, ["n", 1])], [info("y", flt, ["n", 1])],
        [helper.make_tensor("shape", i64, [2], [1, 10**12]), helper.make_tensor("axes", i64, [1], [1])]))

    # NaN for whatever comes in.
    save("nan", graph([helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["zero", "zero"], ["y"])],
                      [info("x", flt, ["n", 1])], [info("y", flt, ["n", 1])]))

    # Types and shapes that a feature can't go in as.
    save("odd-inputs", graph(
        [helper.make_node("Cast", ["hour"], ["a"], to=flt), helper.make_node("ReduceMean", ["image"], ["b"], keepdims=1),
         helper.make_node("Add", ["a", "b"], ["y"])],
        [info("hour", TensorProto.INT32, ["n", 1]), info("image", flt, ["n", 3])], [info("y", flt, None)]))


flight_models()
matrix_models()
iris_model()
hand_made()
(HERE / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
