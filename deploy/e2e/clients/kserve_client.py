"""KServe's own clients, REST and gRPC, against a running Millrace."""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

import expected


def inputs(binary):
    tensors = []
    for name, datatype, values in expected.columns():
        tensor = InferInput(name=name, shape=[len(values), 1], datatype=datatype)
        dtype = {"BYTES": object, "INT64": np.int64, "FP64": np.float64, "BOOL": bool}[datatype]
        array = np.array([[v.encode() if datatype == "BYTES" else v] for v in values], dtype=dtype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return tensors


def request(binary, **more):
    return InferRequest(model_name="flights", infer_inputs=inputs(binary), **more)


def check(response, versions=("1",)):
    assert response.model_name == "flights" and response.model_version in versions, response.to_dict()
    outputs = {o.name: o for o in response.outputs}
    expected.same(outputs["probabilities"].as_numpy())
    labels = [v.decode() if isinstance(v, bytes) else v for v in outputs["label"].as_numpy().ravel()]
    assert labels == expected.LABELS, labels


# The client leaves the version out of what it reads from JSON.
UNKNOWN = ("1", None)


async def rest(url, t):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    with t("REST: live, ready, model ready"):
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, "flights")
    with t("REST: infer by JSON"):
        check(await client.infer(url, request(False, request_id="json"), model_name="flights"), UNKNOWN)
    with t("REST: infer by binary tensors, answered in JSON"):
        check(await client.infer(url, request(True, request_id="binary"), model_name="flights"), UNKNOWN)
    with t("REST: infer by binary tensors, answered by binary tensors"):
        check(await client.infer(url, request(True, parameters={"binary_data_output": True}), model_name="flights"), UNKNOWN)
    with t("REST: an unknown model is 404 in words"):
        try:
            await client.infer(url, request(False), model_name="trains")
            raise AssertionError("no error")
        except Exception as e:  # httpx.HTTPStatusError; the client chooses
            assert "404" in str(e) and "the models are flights" in str(e), e
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    with t("REST: V1 predict"):
        rows = [dict(zip([c[0] for c in expected.columns()], row)) for row in zip(*[c[2] for c in expected.columns()])]
        answer = await v1.infer(url, {"instances": rows}, model_name="flights")
        expected.same(np.array([p["probabilities"] for p in answer["predictions"]]))
    with t("REST: V1 model ready"):
        assert await v1.is_model_ready(url, "flights")


async def grpc(address, t):
    client = InferenceGRPCClient(url=address)
    with t("gRPC: live, ready, model ready"):
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("flights")
    with t("gRPC: infer typed"):
        check(await client.infer(request(False, request_id="typed")))
    with t("gRPC: infer raw"):
        check(await client.infer(request(True, request_id="raw")))
    with t("gRPC: an unknown model is NOT_FOUND in words"):
        try:
            await client.infer(InferRequest(model_name="trains", infer_inputs=inputs(False)))
            raise AssertionError("no error")
        except Exception as e:
            assert "NOT_FOUND" in str(e) and "the models are flights" in str(e), e
    await client.close()


def main(url):
    t = expected.Tests("kserve")
    asyncio.run(rest(url, t))
    asyncio.run(grpc(url.removeprefix("http://"), t))
    t.end()


main(sys.argv[1])
