//go:build !failpoints

package failpoint

// Keeps reports whether the process keeps the promise: always.
func Keeps(Promise) bool { return true }
