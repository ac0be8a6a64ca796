//go:build !murder_ackfirst

package function

// ackFirst acknowledges an event before it is handled. It is on only where the
// murder harness proves that it would notice.
const ackFirst = false
