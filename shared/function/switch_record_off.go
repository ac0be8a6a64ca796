//go:build murder_norecord

package function

// recording is off: see switch_record_on.go.
const recording = false
