// Package signature tells what goes into an ONNX model and what comes out, from
// the file alone, and whether that is what a pipeline promises.
//
// It reads the protocol buffer on the wire and skips the weights, so that the
// train launcher can refuse garbage, and models of other features, without
// linking ONNX Runtime. What only running a model shows is for evaluate to find.
package signature
