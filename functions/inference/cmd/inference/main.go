// Command inference runs the function inference on its own.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/functions/inference"
	"millrace.dev/shared/function"
)

func main() { os.Exit(function.Main(inference.Name, inference.New)) }
