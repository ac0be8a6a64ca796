// Package signature says whether an ONNX model takes what a pipeline promises,
// from the file alone (package onnxfile). What only running a model shows is for
// evaluate to find.
package signature
