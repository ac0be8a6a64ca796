package ingest

import (
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// problems lists what is wrong with the data, every *table.Unreadable that err
// is made of; nil if err is about something else too, which a retry may cure.
func problems(err error) []events.Problem {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *table.Unreadable:
		return []events.Problem{problem(e)}
	case interface{ Unwrap() error }:
		return problems(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []events.Problem
		for _, err := range e.Unwrap() {
			ps := problems(err)
			if ps == nil {
				return nil
			}
			all = append(all, ps...)
		}
		return all
	}
	return nil
}

func problem(u *table.Unreadable) events.Problem {
	p := events.Problem{Check: "readable", Column: u.Column, Reason: u.Reason}
	if u.Try != "" {
		p.Reason += "; " + u.Try
	}
	if u.Line == 0 && u.Value == "" {
		return p
	}
	example := map[string]any{}
	if u.Line != 0 {
		example[table.RowKey] = u.Line
	}
	if u.Column != "" && u.Value != "" {
		example[u.Column] = u.Value
	}
	p.Count, p.Examples = 1, []map[string]any{example}
	return p
}
