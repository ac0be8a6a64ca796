//go:build !murder_noguard

package eventlog

// guarding holds commits against their guards. It is off only where the
// murder harness proves that it would notice.
const guarding = true
