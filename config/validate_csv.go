package config

import (
	"slices"
	"strings"
	"time"
)

// checkReading checks the fields that say how a column's values are read.
func (c *checker) checkReading(path string, col Column) {
	only := func(field string, set, fits bool, types string) {
		if set && !fits {
			c.says(join(path, field), "is for %s columns, but this is %s column", types, aType(col.Type))
		}
	}
	isTime, isBool := col.Type == TypeTimestamp, col.Type == TypeBool
	only("format", col.Format != "", isTime, "timestamp")
	only("zone", col.Zone != "", isTime, "timestamp")
	only("true", len(col.True) > 0, isBool, "bool")
	only("false", len(col.False) > 0, isBool, "bool")
	only("unit", col.Unit != "", col.Numeric(), "int and float")
	epochs := []string{"unix", "unix_ms", "unix_us", "unix_ns"}
	if isTime && col.Format != "" && !strings.Contains(col.Format, "%") && !slices.Contains(epochs, col.Format) {
		c.d.problem(join(path, "format"), "strftime, such as %d/%m/%Y %H:%M, or unix, unix_ms, unix_us, unix_ns", nil, "%q is not a format of times", col.Format)
	}
	if _, err := time.LoadLocation(col.Zone); col.Zone != "" && (err != nil || col.Zone == "Local") {
		c.d.problem(join(path, "zone"), "such as UTC or Europe/Berlin", nil, "%q is not a time zone", col.Zone)
	}
	switch {
	case len(col.True) > 0 && len(col.False) == 0:
		c.says(join(path, "true"), "needs false: the words for both must be listed")
	case len(col.False) > 0 && len(col.True) == 0:
		c.says(join(path, "false"), "needs true: the words for both must be listed")
	}
	for i, w := range col.True {
		if slices.ContainsFunc(col.False, func(f string) bool { return strings.EqualFold(f, w) }) {
			c.says(index(join(path, "true"), i), "%q is a word for false too", w)
		}
	}
	for i, name := range col.From {
		if c.hasColumn(name) {
			c.says(index(join(path, "from"), i), "%q is another column of data.columns", name)
		}
		for _, other := range c.columnNames() {
			if join(columns, other) != path && slices.Contains(c.Spec.Data.Columns[other].From, name) && join(columns, other) < path {
				c.says(index(join(path, "from"), i), "%q is read as column %q already", name, other)
			}
		}
	}
	if col.Default == nil {
		return
	}
	if !col.Optional {
		c.says(join(path, "default"), "needs optional: true; it is the value in files without the column")
	}
	if col.Type != TypeTimestamp && !col.Default.as(col.Type).is(col.Type) {
		c.says(join(path, "default"), "%s is not a value of %s column", *col.Default, aType(col.Type))
	}
}

// encodings are the names of encodings that data.csv.encoding takes.
var encodings = []string{
	"utf-8", "utf-16", "utf-16le", "utf-16be", "latin-1", "iso-8859-1", "iso-8859-2", "iso-8859-15", "latin-9",
	"cp1250", "cp1251", "cp1252", "windows-1250", "windows-1251", "windows-1252", "cp437", "cp850", "mac-roman",
}

func (c *checker) checkCSV() {
	d := c.Spec.Data.CSV
	path := func(field string) string { return "spec.data.csv." + field }
	char := func(field, text string) {
		if text != "" && (len(text) != 1 || text[0] >= 0x80 || text == "\n" || text == "\r") {
			c.says(path(field), "%q is not one ASCII character", text)
		}
	}
	char("delimiter", d.Delimiter)
	char("comment", d.Comment)
	if d.Quote != QuoteNone {
		char("quote", d.Quote)
	}
	marks := []string{".", ","}
	if d.Decimal != "" && !slices.Contains(marks, d.Decimal) {
		c.d.problem(path("decimal"), "", marks, "%q is not a decimal mark", d.Decimal)
	}
	groups := []string{".", ",", " ", "'", "\u2019", "_"}
	if d.Thousands != "" && !slices.Contains(groups, d.Thousands) {
		c.d.problem(path("thousands"), "", groups, "%q is not a separator of thousands", d.Thousands)
	}
	decimal := d.Decimal
	if decimal == "" {
		decimal = "."
	}
	if d.Thousands == decimal {
		c.says(path("thousands"), "%q is the decimal mark", d.Thousands)
	}
	if d.Encoding != "" && !slices.Contains(encodings, strings.ToLower(d.Encoding)) {
		c.d.problem(path("encoding"), didYouMean(d.Encoding, encodings), encodings, "%q is not an encoding", d.Encoding)
	}
	for _, other := range []struct{ field, text string }{{"quote", d.Quote}, {"comment", d.Comment}} {
		if other.text != "" && other.text == d.Delimiter {
			c.says(path(other.field), "%q is the delimiter", other.text)
		}
	}
	none := d.Header != nil && *d.Header == 0
	if none && len(d.Names) == 0 {
		c.says(path("header"), "0 needs names, the names of the columns")
	}
	if len(d.Names) > 0 && !none {
		c.says(path("names"), "needs header: 0; the names of a header row are used as they are")
	}
	c.areDistinct(path("names"), d.Names)
}
