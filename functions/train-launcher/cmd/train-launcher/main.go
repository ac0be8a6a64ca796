// Command train-launcher runs the function train-launcher on its own: in a
// cluster its runs are Jobs there, elsewhere processes.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifacts in azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifacts in gs://
	_ "millrace.dev/shared/artifact/s3"    // artifacts in s3://

	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/train-launcher/job"
	"millrace.dev/shared/function"
)

func main() { os.Exit(function.Main(trainlauncher.Name, job.New)) }
