// Command replay answers requests for replays of past decisions.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/deploy/replay"
	"millrace.dev/functions/evaluate"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
)

func main() {
	if code, was := apart.Main(evaluate.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(function.Main(replay.Name, replay.New))
}
