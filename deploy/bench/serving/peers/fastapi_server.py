"""Hand-written: FastAPI and ONNX Runtime, nothing else."""

import os

import uvicorn
from fastapi import FastAPI, Request, Response
import json

from model import predict

app = FastAPI()


@app.post("/v2/models/flights/infer")
async def infer(request: Request):
    body = json.loads(await request.body())
    p = predict({t["name"]: t["data"] for t in body["inputs"]})
    out = {"model_name": "flights", "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": list(p.shape), "data": p.ravel().tolist()}]}
    return Response(json.dumps(out), media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="error", access_log=False)
