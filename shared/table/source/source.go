package source

import (
	"runtime"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// Source is a file that came from outside.
type Source struct {
	Path string // where the file is
	Name string // its original key, whose extension is the format: see Formats
}

// Column is a column of the contract.
type Column struct {
	Name string   // in the table, and in the file unless From is there
	From []string // other names that the column may have in a file
	Rule cell.Rule
	// Optional accepts files without the column. Their rows have Default, or
	// null if it is empty.
	Optional bool
	Default  string
	// Bounds are the values that rows may have which are not set aside. Without
	// SetAside they are not looked at.
	Bounds cell.Bounds
}

// Columns returns a column for each of the schema, with default rules.
func Columns(s table.Schema) []Column {
	columns := make([]Column, len(s))
	for i, c := range s {
		columns[i] = Column{Name: c.Name, Rule: cell.Rule{Type: c.Type}}
	}
	return columns
}

// Extra is what becomes of columns that the contract does not list.
type Extra int

const (
	// Infer gives them the narrowest type that all their values have.
	Infer Extra = iota
	// Text keeps them as text, as written. Parquet columns keep their own type.
	Text
	// Drop leaves them out.
	Drop
)

// Dialect is how a CSV file is written. The zero value is RFC 4180 in UTF-8 with
// one header row; the delimiter is then the one of , ; tab and | that makes the
// names of the header those of the contract.
type Dialect struct {
	Delimiter byte
	Quote     *byte // nil: the double quote; 0: values are not quoted
	Comment   byte  // begins a line that is not a record; 0: none
	Encoding  string
	Skip      int      // lines before the header
	Footer    int      // lines after the last record
	Header    *int     // header rows, the first with the names; nil: 1
	Names     []string // of the columns if Header is 0
}

// Options is how a file becomes a table.
type Options struct {
	Columns []Column // first in the table, in this order
	Extra   Extra    // of other columns, which follow in the order of the file
	CSV     Dialect
	Excel   Layout
	Nulls   []string // of columns that the contract does not list; nil: the default
	// Partial leaves out columns of the contract that the file does not have, and
	// keeps the order of the file.
	Partial bool
	// SetAside is for rows that do not fit; nil: a file with such rows is refused.
	SetAside *SetAside
}

// Wanted returns a function that reports whether the column of a file with that
// name is a column of the table.
func (o Options) Wanted() func(name string) bool {
	if o.Extra != Drop || len(o.Columns) == 0 {
		return func(string) bool { return true }
	}
	names := map[string]bool{}
	for _, c := range o.Columns {
		names[c.Name] = true
		for _, name := range c.From {
			names[name] = true
		}
	}
	return func(name string) bool { return names[name] }
}

// Limits bounds what one file may take. Zero values mean the defaults.
type Limits struct {
	Bytes     int64         // of the upload, uncompressed; 4 GiB
	Rows      int64         // 100 million
	Columns   int           // 16384
	LineBytes int64         // of one CSV record or JSON object; 1 MiB
	Memory    string        // of DuckDB, as "512MB", which is the default
	Threads   int           // GOMAXPROCS
	Timeout   time.Duration // 10 minutes
}

// WithDefaults returns l with the defaults for what is zero.
func (l Limits) WithDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 4 << 30
	}
	if l.Rows == 0 {
		l.Rows = 100_000_000
	}
	if l.Columns == 0 {
		l.Columns = 16384
	}
	if l.LineBytes == 0 {
		l.LineBytes = 1 << 20
	}
	if l.Memory == "" {
		l.Memory = "512MB"
	}
	if l.Threads == 0 {
		l.Threads = runtime.GOMAXPROCS(0)
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Minute
	}
	return l
}
