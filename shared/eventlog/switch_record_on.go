//go:build !murder_norecord

package eventlog

// recording holds commits against an earlier one of the same handling. It is off
// only where the murder harness proves that it would notice.
const recording = true
