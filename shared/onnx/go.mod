module millrace.dev/shared/onnx

go 1.26
