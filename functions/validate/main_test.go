package validate_test

import (
	"os"
	"testing"

	"millrace.dev/functions/validate"
	"millrace.dev/shared/apart"
)

// TestMain does the tasks that a test starts in a process of its own.
func TestMain(m *testing.M) {
	if code, was := apart.Main(validate.Tasks...); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
