// Package feedback takes labels that clients send, keeps them on the local disk,
// and makes them an upload that the label globs of their pipeline match, so that
// ingest joins them like any other labels.
package feedback
