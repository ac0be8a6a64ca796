// Package state is the fold: what a pipeline is at a point of the log.
//
// Apply is pure and total. It never fails, it does not look at the clock, and
// an event it does not know changes nothing, so that a log written by a newer
// Millrace can be folded by an older one. It copies what it changes and shares
// the rest, so that a state handed out stays as it was: handlers may keep it
// and read it from several goroutines, and must not write to it.
//
// No stream sequence is part of a state: the same events give the same state
// in any log. What a Store caches (in memory, and in a KV bucket) may be
// deleted at any time.
package state
