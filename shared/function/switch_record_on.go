//go:build !murder_norecord

package function

// recording looks for the record of an event that comes again. It is off only
// where the murder harness proves that it would notice.
const recording = true
