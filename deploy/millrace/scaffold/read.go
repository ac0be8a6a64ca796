package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// Data is what a file holds: its columns, and how it is written.
type Data struct {
	File     string
	Profile  *table.Profile
	Format   map[string]string // of columns with times that are not in ISO 8601, in strftime's words
	Nulls    config.Words      // the words for missing values; nil for the usual ones
	Decimal  string            // the decimal mark if it is not a point
	Encoding string            // if it is not UTF-8
	Notes    map[string]string // of columns whose values say too little

	rows string // the canonical table
}

// Read reads a file as an upload is read, and finds out what it holds. It leaves the rows in the folder dir. A file that
// cannot be read is one or several *[table.Unreadable].
func Read(ctx context.Context, file, dir string) (*Data, error) {
	d := &Data{File: file, Format: map[string]string{}, Notes: map[string]string{}, rows: filepath.Join(dir, "rows.parquet")}
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	how := &duck.PrepareInput{}
	err := d.convert(ctx, how)
	if err != nil && strings.Contains(err.Error(), "is not UTF-8") {
		d.Encoding = "cp1252"
		how.CSV.Encoding = d.Encoding
		err = d.convert(ctx, how)
	}
	if err != nil {
		return nil, err
	}
	if !d.written(how) {
		return d, nil
	}
	return d, d.convert(ctx, how)
}

// convert reads the file and measures its columns.
func (d *Data) convert(ctx context.Context, how *duck.PrepareInput) error {
	if _, err := duck.ConvertApart(ctx, duck.Source{Path: d.File, Name: source.FolderName(d.File)}, how, d.rows, duck.Limits{}); err != nil {
		return err
	}
	var err error
	d.Profile, err = table.ProfileFile(ctx, d.rows)
	return err
}

// otherNulls are words that mean a missing value where all other values are numbers or times.
var otherNulls = []string{"?", "-", "--", ".", "N/A", "n/a", "#N/A", "None", "none", "NONE", "Nan", "missing", "unknown", "Unknown"}

// formats are the ways to write a time that are tried, beside ISO 8601.
var formats = []string{
	"%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y",
	"%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S",
	"%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
}

// written finds texts that are numbers or times in other words, and says in how that they are. It reports whether there
// are any.
func (d *Data) written(how *duck.PrepareInput) bool {
	found := false
	for i := range d.Profile.Columns {
		c := &d.Profile.Columns[i]
		column := source.Column{Name: c.Name, Rule: cell.Rule{Type: c.Type}}
		if c.Type == table.String && c.Exact && c.Count > 0 {
			if rule, ok := d.otherwise(c); ok {
				found, column.Rule = true, rule
			}
		}
		how.Columns = append(how.Columns, column)
	}
	for i := range how.Columns {
		how.Columns[i].Rule.Nulls = d.Nulls
		if d.Decimal != "" {
			how.Columns[i].Rule.Decimal = ','
		}
	}
	how.Nulls = d.Nulls
	return found
}

// otherwise returns the rule of a column of texts that are something else.
func (d *Data) otherwise(c *table.ColumnProfile) (cell.Rule, bool) {
	var words, values []string
	for v := range c.Values() {
		text := strings.TrimSpace(v.(string)) //nolint:forcetypeassert // a column of strings
		if slices.Contains(otherNulls, text) {
			words = append(words, text)
		} else if text != "" {
			values = append(values, text)
		}
	}
	if len(values) == 0 {
		return cell.Rule{}, false
	}
	rule, ok := d.rule(c.Name, values)
	if !ok {
		return rule, false
	}
	for _, w := range words {
		if d.Nulls == nil {
			d.Nulls = append(d.Nulls, cell.DefaultNulls...)
		}
		if !slices.Contains(d.Nulls, w) {
			d.Nulls = append(d.Nulls, w)
		}
	}
	if rule.Decimal != 0 {
		d.Decimal = string(rule.Decimal)
	}
	if rule.Format != "" {
		d.Format[c.Name] = rule.Format
	}
	return rule, true
}

// rule returns the rule by which all texts can be read as numbers or times.
func (d *Data) rule(column string, values []string) (cell.Rule, bool) {
	infer := cell.NewInference(nil)
	for _, v := range values {
		infer.See([]byte(v), false)
	}
	if t := infer.Type(); t == table.Int || t == table.Float || t == table.Timestamp {
		return cell.Rule{Type: t}, true
	}
	if rule := (cell.Rule{Type: table.Float, Decimal: ','}); allFit(rule, values) {
		return rule, true
	}
	var fit []string
	for _, f := range formats {
		if allFit(cell.Rule{Type: table.Timestamp, Format: f}, values) {
			fit = append(fit, f)
		}
	}
	switch len(fit) {
	case 0:
		return cell.Rule{}, false
	case 1:
		return cell.Rule{Type: table.Timestamp, Format: fit[0]}, true
	}
	d.Notes[column] = fmt.Sprintf("times that can be read in %d ways: write {type: timestamp, format: %q} or %q", len(fit), fit[0], fit[1])
	return cell.Rule{}, false
}

func allFit(rule cell.Rule, values []string) bool {
	c := cell.New(rule)
	for _, v := range values {
		if c.AddText([]byte(v), false) != nil {
			return false
		}
	}
	return true
}

// each calls see with every row of two columns; a nil value is a missing one.
func (d *Data) each(a, b string, see func(a, b any)) (err error) {
	t, err := table.Open(d.rows, []string{a, b})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	for {
		batch, err := t.Next(10_000)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range batch.Rows {
			see(valueAt(batch, 0, i), valueAt(batch, 1, i))
		}
	}
}

func valueAt(b *table.Batch, column, row int) any {
	v := &b.Columns[column]
	switch {
	case v.Null(row):
		return nil
	case v.Strings != nil:
		return v.Strings[row]
	case v.Floats != nil:
		return v.Floats[row]
	case v.Bools != nil:
		return v.Bools[row]
	}
	return v.Ints[row]
}
