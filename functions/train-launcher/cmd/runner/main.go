// Command runner wraps a trainer: see package runner.
package main

import (
	"os"
	"runtime"

	"millrace.dev/functions/train-launcher/runner"
)

func main() {
	runtime.LockOSThread() // the trainer dies with the thread that started it
	os.Exit(runner.Main(os.Args[1:], os.Stdout, os.Stderr))
}
