// Command drift-check runs the function drift-check on its own.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/shared/function"
)

func main() { os.Exit(function.Main(driftcheck.Name, driftcheck.New)) }
