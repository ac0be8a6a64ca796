//go:build !failpoints

package failpoint

// Hit passes the named point.
func Hit(string) {}

// Environ is what a program must find in its environment to pass its own
// points as this process does.
func Environ() []string { return nil }
