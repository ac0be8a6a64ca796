"""KServe's model server with a model of its own, V1 and V2."""

import os
import uuid

import kserve
from kserve import InferOutput, InferResponse

from model import predict, text


class Flights(kserve.Model):
    def __init__(self):
        super().__init__("flights")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):  # V1
            rows = payload["instances"]
            p = predict({k: [r[k] for r in rows] for k in rows[0]})
            return {"predictions": p.tolist()}
        p = predict({t.name: text(t.data or t.as_numpy().ravel().tolist()) for t in payload.inputs})
        out = InferOutput(name="probabilities", datatype="FP32", shape=list(p.shape), data=p.ravel().tolist())
        return InferResponse(model_name=self.name, infer_outputs=[out], response_id=payload.id or str(uuid.uuid4()))


kserve.ModelServer(http_port=int(os.environ["PORT"]), grpc_port=int(os.environ["GRPC_PORT"]), access_log_format=None, workers=1).start([Flights()])
