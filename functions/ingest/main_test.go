package ingest_test

import (
	"os"
	"testing"

	"millrace.dev/functions/ingest"
	"millrace.dev/shared/apart"
)

// TestMain does the tasks that a test starts in a process of its own.
func TestMain(m *testing.M) {
	if code, was := apart.Main(ingest.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
