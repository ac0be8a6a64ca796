//go:build murder_noguard

package eventlog

// guarding is off: see switch_guard_on.go.
const guarding = false
