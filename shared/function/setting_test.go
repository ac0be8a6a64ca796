package function_test

import (
	"errors"
	"testing"
	"time"

	"millrace.dev/shared/function"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	if err := errors.Join(function.AboveZero("A", 1), function.AboveZero("B", time.Nanosecond), function.NotNegative("C", 0)); err != nil {
		t.Errorf("allowed values were refused: %v", err)
	}
	want := "A is 0; it must be more than 0\nB is -5m0s; it must be more than 0\nC is -1; it must not be negative"
	err := errors.Join(function.AboveZero("A", 0), function.AboveZero("B", -5*time.Minute), function.NotNegative("C", -1))
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
