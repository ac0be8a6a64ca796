package function

import (
	"cmp"
	"fmt"
)

// AboveZero returns an error with the setting's name and value unless the value is more than 0. Join several with
// errors.Join, so that Validate of a Config reports all mistakes at once.
func AboveZero[T cmp.Ordered](name string, value T) error {
	var zero T
	if value > zero {
		return nil
	}
	return fmt.Errorf("%s is %v; it must be more than 0", name, value)
}

// NotNegative returns an error with the setting's name and value if the value is less than 0.
func NotNegative[T cmp.Ordered](name string, value T) error {
	var zero T
	if value >= zero {
		return nil
	}
	return fmt.Errorf("%s is %v; it must not be negative", name, value)
}
