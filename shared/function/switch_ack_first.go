//go:build murder_ackfirst

package function

// ackFirst is on: see switch_ack_last.go.
const ackFirst = true
