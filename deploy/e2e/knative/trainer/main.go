// Command trainer is the trainer of the whole chain's test on a cluster, in an
// image of its own: it leaves the model that its argument names, of those that
// were trained on tumours (package tumours), so that a training takes a moment
// and all around it is real.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := train(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trainer: error:", err)
		os.Exit(1)
	}
}

func train(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments; the only one is the model's name", len(args))
	}
	data, err := filepath.Glob(filepath.Join(os.Getenv("MILLRACE_TRAIN_DATA"), "*.parquet"))
	if err != nil || len(data) == 0 {
		return fmt.Errorf("there is nothing to train on in MILLRACE_TRAIN_DATA=%s", os.Getenv("MILLRACE_TRAIN_DATA"))
	}
	// Where ko puts an image's kodata.
	model, err := os.ReadFile(filepath.Join("/var/run/ko", filepath.Base(args[0])+".onnx"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(os.Getenv("MILLRACE_OUTPUT"), "model.onnx"), model, 0o600)
}
