"""LitServe, one worker."""

import os

import litserve

from model import predict


class Flights(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return {t["name"]: t["data"] for t in request["inputs"]}

    def predict(self, columns):
        return predict(columns)

    def encode_response(self, p):
        return {"outputs": [{"name": "probabilities", "shape": list(p.shape), "data": p.ravel().tolist()}]}


if __name__ == "__main__":
    litserve.LitServer(Flights(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(os.environ["PORT"]), log_level="error", generate_client_file=False)
