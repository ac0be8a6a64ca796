// Command ingest runs the function ingest on its own.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // buckets and artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // buckets and artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // buckets and artifact stores s3://

	"millrace.dev/functions/ingest"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
)

func main() {
	if code, was := apart.Main(ingest.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(function.Main(ingest.Name, ingest.New))
}
