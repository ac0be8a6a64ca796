package rows_test

import (
	"os"
	"testing"

	"millrace.dev/shared/apart"
	"millrace.dev/shared/table/duck"
)

// TestMain does the tasks that a test starts in a process of its own.
func TestMain(m *testing.M) {
	if code, was := apart.Main(duck.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
