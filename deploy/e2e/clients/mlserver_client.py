"""MLServer's types, codecs and gRPC stubs, against a running Millrace."""

import sys

import grpc
import numpy as np
import pandas as pd
import requests
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataServerResponse

import expected


def by_column():
    inputs = []
    for name, datatype, values in expected.columns():
        if datatype == "BYTES":
            inputs.append(StringCodec.encode_input(name, values))
        else:
            dtype = {"INT64": np.int64, "FP64": np.float64, "BOOL": bool}[datatype]
            inputs.append(NumpyCodec.encode_input(name, np.array([[v] for v in values], dtype=dtype)))
    return InferenceRequest(id="mlserver", inputs=inputs)


def by_frame():
    return PandasCodec.encode_request(pd.DataFrame({name: values for name, _, values in expected.columns()}))


def check(response):
    assert response.model_name == "flights" and response.model_version == "1", response
    outputs = {o.name: o for o in response.outputs}
    expected.same(NumpyCodec.decode_output(outputs["probabilities"]))
    assert StringCodec.decode_output(outputs["label"]) == expected.LABELS


def over_rest(url, t):
    def post(request, model="flights"):
        return requests.post(f"{url}/v2/models/{model}/infer", data=request.model_dump_json(), timeout=10)

    with t("REST: metadata"):
        server = MetadataServerResponse.model_validate(requests.get(f"{url}/v2", timeout=10).json())
        model = MetadataModelResponse.model_validate(requests.get(f"{url}/v2/models/flights", timeout=10).json())
        assert server.name == "millrace" and [i.name for i in model.inputs] == [c[0] for c in expected.columns()]
    for name, request in (("NumpyCodec and StringCodec", by_column), ("PandasCodec", by_frame)):
        with t(f"REST: infer by {name}"):
            check(InferenceResponse.model_validate(post(request()).json()))
    with t("REST: an unknown model is 404 in words"):
        answer = post(by_column(), "trains")
        assert answer.status_code == 404 and "the models are flights" in answer.json()["error"], answer.text


def over_grpc(address, t):
    stub = GRPCInferenceServiceStub(grpc.insecure_channel(address))
    with t("gRPC: live, ready, metadata"):
        assert stub.ServerLive(pb.ServerLiveRequest()).live and stub.ServerReady(pb.ServerReadyRequest()).ready
        assert stub.ModelReady(pb.ModelReadyRequest(name="flights")).ready
        assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "millrace"
        assert len(stub.ModelMetadata(pb.ModelMetadataRequest(name="flights")).inputs) == len(expected.columns())
    for raw in (False, True):
        with t(f"gRPC: infer, raw {raw}"):
            request = ModelInferRequestConverter.from_types(by_column(), model_name="flights", use_raw=raw)
            check(ModelInferResponseConverter.to_types(stub.ModelInfer(request)))
    with t("gRPC: an unknown model is NOT_FOUND in words"):
        try:
            stub.ModelInfer(ModelInferRequestConverter.from_types(by_column(), model_name="trains"))
            raise AssertionError("no error")
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.NOT_FOUND and "the models are flights" in e.details(), e


def main(url):
    t = expected.Tests("mlserver")
    over_rest(url, t)
    over_grpc(url.removeprefix("http://"), t)
    t.end()


main(sys.argv[1])
