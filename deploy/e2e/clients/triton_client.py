"""Triton's own clients, HTTP and gRPC, against a running Millrace."""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

import expected


def inputs(package, **how):
    tensors = []
    for name, datatype, values in expected.columns():
        tensor = package.InferInput(name, [len(values), 1], datatype)
        dtype = {"BYTES": object, "INT64": np.int64, "FP64": np.float64, "BOOL": bool}[datatype]
        tensor.set_data_from_numpy(np.array([[v] for v in values], dtype=dtype), **how)
        tensors.append(tensor)
    return tensors


def check(result):
    expected.same(result.as_numpy("probabilities"))
    labels = [v.decode() if isinstance(v, bytes) else v for v in result.as_numpy("label").ravel()]
    assert labels == expected.LABELS, labels


def metadata(client, **how):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("flights") and client.is_model_ready("flights", "1")
    server, model = client.get_server_metadata(**how), client.get_model_metadata("flights", **how)
    assert server["name"] == "millrace" and "binary_tensor_data" in server["extensions"], server
    assert [i["name"] for i in model["inputs"]] == [c[0] for c in expected.columns()], model


def refused(what, call):
    try:
        call()
    except InferenceServerException as e:
        assert what in e.message(), e
        return
    raise AssertionError("no error")


def over_http(address, t):
    client = tritonclient.http.InferenceServerClient(address)
    output = tritonclient.http.InferRequestedOutput
    with t("HTTP: live, ready, metadata"):
        metadata(client)
        assert not client.is_model_ready("trains")
    for data in (True, False):
        for out in (True, False):
            with t(f"HTTP: infer, binary inputs {data}, binary outputs {out}"):
                outputs = [output("label", binary_data=out), output("probabilities", binary_data=out)]
                result = client.infer("flights", inputs(tritonclient.http, binary_data=data), outputs=outputs, request_id="x")
                check(result)
                assert result.get_response()["id"] == "x"
    with t("HTTP: infer, all outputs, as the client asks by default"):
        check(client.infer("flights", inputs(tritonclient.http)))
    with t("HTTP: a version by path"):
        check(client.infer("flights", inputs(tritonclient.http), model_version="1"))
    with t("HTTP: half precision"):
        tensors = inputs(tritonclient.http)
        at = [c[0] for c in expected.columns()].index("distance")
        tensors[at] = tritonclient.http.InferInput("distance", [expected.ROWS, 1], "FP16")
        tensors[at].set_data_from_numpy(np.full((expected.ROWS, 1), 512, dtype=np.float16))
        assert client.infer("flights", tensors).as_numpy("probabilities").shape == (expected.ROWS, 2)
    with t("HTTP: compressed requests"):
        check(client.infer("flights", inputs(tritonclient.http), request_compression_algorithm="gzip"))
    with t("HTTP: repository"):
        repository(client)
    with t("HTTP: mistakes in words"):
        refused("the models are flights", lambda: client.infer("trains", inputs(tritonclient.http)))
        refused("column carrier (BYTES) is missing", lambda: client.infer("flights", inputs(tritonclient.http)[1:]))
        refused("the outputs are label, probabilities", lambda: client.infer("flights", inputs(tritonclient.http), outputs=[output("x")]))


def repository(client, **how):
    index = client.get_model_repository_index(**how)
    index = index["models"] if isinstance(index, dict) else index
    assert [(m["name"], m["version"], m["state"]) for m in index] == [("flights", "1", "READY")], index
    client.load_model("flights")
    refused("stays loaded", lambda: client.unload_model("flights"))


def over_grpc(address, t):
    client = tritonclient.grpc.InferenceServerClient(address)
    with t("gRPC: live, ready, metadata"):
        metadata(client, as_json=True)
        refused("the models are flights", lambda: client.is_model_ready("trains"))
    with t("gRPC: infer raw"):
        check(client.infer("flights", inputs(tritonclient.grpc), request_id="x"))
    with t("gRPC: one output"):
        result = client.infer("flights", inputs(tritonclient.grpc), outputs=[tritonclient.grpc.InferRequestedOutput("probabilities")])
        expected.same(result.as_numpy("probabilities"))
        assert result.as_numpy("label") is None
    with t("gRPC: headers pin a version"):
        check(client.infer("flights", inputs(tritonclient.grpc), headers={"x-millrace-version": "1"}))
        refused("flights has no version 7", lambda: client.infer("flights", inputs(tritonclient.grpc), headers={"x-millrace-version": "7"}))
    with t("gRPC: repository"):
        repository(client, as_json=True)
    with t("gRPC: mistakes in words"):
        refused("the models are flights", lambda: client.infer("trains", inputs(tritonclient.grpc)))
        refused("column carrier (BYTES) is missing", lambda: client.infer("flights", inputs(tritonclient.grpc)[1:]))


def main(url):
    t = expected.Tests("tritonclient")
    address = url.removeprefix("http://")
    over_http(address, t)
    over_grpc(address, t)
    t.end()


main(sys.argv[1])
