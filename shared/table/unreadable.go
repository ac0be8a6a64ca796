package table

import "strings"

// Unreadable says why data that came from outside can't be read, in a sentence
// for the person who sent it. Everything else that goes wrong (a full disk, a
// cancelled context) is another kind of error: find an Unreadable by errors.As
// to tell a rejection, which no retry will cure, from a failure.
type Unreadable struct {
	Name   string // what was read: the key of the upload, or the file's name
	Reason string // what is wrong: "line 7 is longer than 1 MiB"
	Try    string // what to do about it; may be empty
	Line   int64  // the line (CSV, JSON lines) or row (Parquet), from 1; 0 if it is not one line
	Column string // the column, if it is one
	Value  string // the value that could not be read, shortened; may be empty
}

// Error returns name, reason and advice in one line.
func (u *Unreadable) Error() string {
	var b strings.Builder
	if u.Name != "" {
		b.WriteString(u.Name + ": ")
	}
	b.WriteString(u.Reason)
	if u.Try != "" {
		b.WriteString("; " + u.Try)
	}
	return b.String()
}
