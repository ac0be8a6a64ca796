package table

import "strings"

// Unreadable says why data that came from outside cannot be read, in a sentence
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

	Count    int64     // how many values or rows are wrong in this way; 0 if that was not counted
	Examples []Example // the first of them, at most MaxExamples
}

// Example is a place where something is wrong, and the value there.
type Example struct {
	Line  int64  // as in Unreadable
	Value string // shortened; empty for a whole row
}

// Unreadables returns every *Unreadable that err is made of, nil if err is about
// something else too.
func Unreadables(err error) []*Unreadable {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *Unreadable:
		return []*Unreadable{e}
	case interface{ Unwrap() error }:
		return Unreadables(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*Unreadable
		for _, err := range e.Unwrap() {
			us := Unreadables(err)
			if us == nil {
				return nil
			}
			all = append(all, us...)
		}
		return all
	}
	return nil
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
