// Command evaluate runs the function evaluate on its own.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/function"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == evaluate.ProbeArgument {
		os.Exit(evaluate.Probe())
	}
	os.Exit(function.Main(evaluate.Name, evaluate.New))
}
