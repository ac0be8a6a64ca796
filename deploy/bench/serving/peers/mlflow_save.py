"""Saves the model as an MLflow model, for `mlflow models serve`."""

import os
import sys

import mlflow
import onnx

mlflow.onnx.save_model(onnx.load(os.environ["MODEL"]), sys.argv[1], onnx_execution_providers=["CPUExecutionProvider"])
