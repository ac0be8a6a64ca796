// Command sidecar is the part of a run's pod that has the credentials: see
// package sidecar.
package main

import (
	"os"

	_ "millrace.dev/shared/artifact/azure" // artifacts in azblob://
	_ "millrace.dev/shared/artifact/gcs"   // artifacts in gs://
	_ "millrace.dev/shared/artifact/s3"    // artifacts in s3://

	"millrace.dev/functions/train-launcher/sidecar"
)

func main() { os.Exit(sidecar.Main(os.Args[1:], os.Stderr)) }
