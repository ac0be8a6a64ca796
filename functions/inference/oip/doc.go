// Package oip is the Open Inference Protocol over gRPC. All but this file and
// open_inference.proto is generated.
package oip

//go:generate go run ./generate
