// Command relay forwards the event log to a Knative broker.
package main

import (
	"os"

	"millrace.dev/deploy/relay"
)

func main() { os.Exit(relay.Main()) }
