// Package contract says how the files of a pipeline are read: what its
// configuration states, as the readers of shared/table take it.
package contract

import (
	"time"
	_ "time/tzdata" // the zones of contracts, on machines without them
	"unicode/utf8"

	"millrace.dev/config"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// Reading returns how the files of a pipeline are read: its columns, and how CSV
// is written. prepare, and what becomes of other columns, are left to the caller.
func Reading(p *config.Pipeline) *duck.PrepareInput {
	csv := p.Spec.Data.CSV
	return &duck.PrepareInput{Columns: Columns(p), CSV: dialect(csv), Excel: layout(p.Spec.Data.XLSX), Nulls: csv.Null}
}

// Upload returns how the uploads of a pipeline are read, without prepare.
func Upload(p *config.Pipeline) *duck.PrepareInput {
	in := Reading(p)
	in.DropExtra = p.Spec.Data.Extra == config.ExtraIgnore
	return in
}

// SetAside returns what becomes of rows of an upload that do not fit: they are
// added to the file at path. It is nil if the pipeline has no data.quarantine.
func SetAside(p *config.Pipeline, path string) *source.SetAside {
	q := p.Spec.Data.Quarantine
	if q.MaxFraction == 0 {
		return nil
	}
	return &source.SetAside{Path: path, MaxFraction: q.MaxFraction, Bounds: true}
}

// Columns returns the columns that the configuration lists, nil if it lists none.
func Columns(p *config.Pipeline) []source.Column {
	var columns []source.Column
	for _, c := range p.Columns() {
		to := column(c, p.Spec.Data.CSV)
		to.Bounds = bounds(c, p.Spec.Data.Time)
		columns = append(columns, to)
	}
	return columns
}

// bounds are the values that single rows may have. A share of missing values is
// a rule about the whole file.
func bounds(c config.Column, time string) cell.Bounds {
	b := cell.Bounds{Required: c.Nulls == 0 || c.Name == time, Min: c.Min, Max: c.Max}
	for _, v := range c.Values {
		b.Values = append(b.Values, v.String())
	}
	return b
}

// column is how a column of the contract is read.
func column(c config.Column, csv config.CSV) source.Column {
	r := cell.Rule{
		Type: table.Type(c.Type), Nulls: csv.Null, Format: c.Format, True: c.True, False: c.False,
		Percent: c.Unit == config.UnitPercent, Decimal: firstRune(csv.Decimal), Thousands: firstRune(csv.Thousands),
	}
	if c.Zone != "" {
		// A zone that this machine does not know is found when the file is loaded.
		if zone, err := time.LoadLocation(c.Zone); err == nil {
			r.Zone = zone
		}
	}
	for _, v := range c.Values {
		r.Keep = append(r.Keep, v.String()) // a value, although it may look like a missing one
	}
	to := source.Column{Name: c.Name, From: c.From, Rule: r, Optional: c.Optional}
	if c.Default != nil {
		to.Default = c.Default.String()
	}
	return to
}

func layout(xlsx config.XLSX) source.Layout {
	return source.Layout{Sheet: xlsx.Sheet, Skip: xlsx.Skip, Header: xlsx.Header}
}

func dialect(csv config.CSV) source.Dialect {
	d := source.Dialect{Encoding: csv.Encoding, Skip: csv.Skip, Footer: csv.Footer, Header: csv.Header, Names: csv.Names}
	if csv.Delimiter != "" {
		d.Delimiter = csv.Delimiter[0]
	}
	if csv.Comment != "" {
		d.Comment = csv.Comment[0]
	}
	if csv.Quote != "" {
		var quote byte
		if csv.Quote != config.QuoteNone {
			quote = csv.Quote[0]
		}
		d.Quote = &quote
	}
	return d
}

func firstRune(text string) rune {
	if text == "" {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(text)
	return r
}
