"""MLServer with a runtime of its own."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from model import predict, text


class Flights(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        p = predict({t.name: text(t.data.root if hasattr(t.data, "root") else t.data) for t in payload.inputs})
        out = ResponseOutput(name="probabilities", datatype="FP32", shape=list(p.shape), data=p.ravel().tolist())
        return InferenceResponse(model_name=self.name, outputs=[out])
