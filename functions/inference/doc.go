// Package inference is the function that answers predictions, over the Open
// Inference Protocol (REST) and KServe's V1 protocol, and writes down what it
// answered.
package inference
