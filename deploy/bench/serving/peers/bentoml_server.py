"""BentoML, one worker: `bentoml serve bentoml_server:Flights`."""

from __future__ import annotations

import bentoml

from model import predict


@bentoml.service(workers=1, traffic={"timeout": 30})
class Flights:
    @bentoml.api
    def infer(self, inputs: list[dict]) -> dict:
        p = predict({t["name"]: t["data"] for t in inputs})
        return {"outputs": [{"name": "probabilities", "shape": list(p.shape), "data": p.ravel().tolist()}]}
