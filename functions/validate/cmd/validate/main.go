// Command validate runs the function validate on its own.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifact stores azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifact stores gs://
	_ "millrace.dev/shared/artifact/s3"    // artifact stores s3://

	"millrace.dev/functions/validate"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
)

func main() {
	if code, was := apart.Main(validate.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(function.Main(validate.Name, validate.New))
}
