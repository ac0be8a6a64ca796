package ingest

import (
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// Problems lists what is wrong with the data, one for every *table.Unreadable
// that err is made of; nil if err is about something else too, which a retry may
// cure.
func Problems(err error) []events.Problem {
	var all []events.Problem
	for _, u := range table.Unreadables(err) {
		all = append(all, problem(u))
	}
	return all
}

func problem(u *table.Unreadable) events.Problem {
	p := events.Problem{Check: "readable", Column: u.Column, Reason: u.Reason, Count: u.Count}
	if u.Try != "" {
		p.Reason += "; " + u.Try
	}
	examples := u.Examples
	if len(examples) == 0 && (u.Line != 0 || u.Value != "") {
		examples, p.Count = []table.Example{{Line: u.Line, Value: u.Value}}, 1
	}
	for _, e := range examples {
		row := map[string]any{}
		if e.Line != 0 {
			row[table.RowKey] = e.Line
		}
		if u.Column != "" && e.Value != "" {
			row[u.Column] = e.Value
		}
		p.Examples = append(p.Examples, row)
	}
	return p
}
