// Package codec reads the bytes of a request into columns and writes a model's
// scores as an answer, in the protocols that inference speaks: the Open
// Inference Protocol as JSON, with binary tensors, and as protocol buffers, and
// KServe's V1 protocol.
//
// Bodies are decoded in one pass into memory that is used again: a warm request
// allocates next to nothing. The JSON that it reads is what encoding/json reads,
// and NaN where a number may be; a fuzz test compares
// the two. The package knows no server: the status of an Error is all it shares
// with HTTP.
package codec
