// Package duck is the part of package table that needs SQL: it turns uploads
// into canonical tables and checks SQL expressions over their rows. It links
// DuckDB (cgo).
//
// Whatever a pipeline file says runs in a sandbox: a database of its own in
// memory that can read the files it was given and nothing else, writes nowhere
// but into the result, loads no extensions, and can't change its settings.
package duck

import (
	"context"
	"time"

	"millrace.dev/shared/table"
)

// Source is a file that came from outside.
type Source struct {
	Path string // where it lies
	Name string // its original key; its end tells the format: .csv .csv.gz .tsv .tsv.gz .jsonl .jsonl.gz .ndjson .ndjson.gz .parquet
}

// PrepareInput is how an upload becomes a partition.
type PrepareInput struct {
	SQL       string            // one SELECT over upload, dataset and Tables; empty: the upload as it is
	Dataset   []string          // the Parquet files of the snapshot before; none: dataset is empty, with Columns
	Tables    map[string]string // name -> path of a CSV, JSON or Parquet file
	Columns   table.Schema      // what has to come out; nil: whatever comes out
	DropExtra bool              // leave out columns that Columns does not name
}

// Limits bounds what one conversion may take. Zero values mean the defaults.
type Limits struct {
	Bytes     int64         // of the upload, uncompressed; 4 GiB
	Rows      int64         // 100 million
	Columns   int           // 4096
	LineBytes int64         // of one line of CSV or JSON; 1 MiB
	Memory    string        // of DuckDB, as "512MB", which is the default
	Threads   int           // GOMAXPROCS
	Timeout   time.Duration // 10 minutes
}

// Converted is the canonical table that Convert wrote.
type Converted struct {
	Schema table.Schema
	Rows   int64
	Digest string // "sha256:" and the hex digest of the file
	Bytes  int64  // of the file
}

// Convert reads src, runs prep (which may be nil) over it and writes the result
// to out as a canonical Parquet file. The file appears whole or not at all.
// The same input gives the same bytes, whatever the number of threads.
// Data that can't be read, or that lacks a column, is a *table.Unreadable.
func Convert(ctx context.Context, src Source, prep *PrepareInput, out string, lim Limits) (*Converted, error) {
	panic("not yet")
}

// CheckSQL returns the rules that do not hold for the table at path, in their
// order. As with CHECK in SQL, a row for which an expression is null passes.
func CheckSQL(ctx context.Context, path string, rules []table.SQLRule) ([]table.Broken, error) {
	panic("not yet")
}

// ValidateExpr reports what is wrong with the expression of an SQLRule over
// columns, as far as it can be told without data.
func ValidateExpr(ctx context.Context, expr string, columns table.Schema) error { panic("not yet") }

// ValidatePrepare reports what is wrong with a prepare statement, as far as it
// can be told without data: that it is one SELECT, of the relations it may
// read (upload, dataset, the names in tables) and of functions it may call.
func ValidatePrepare(ctx context.Context, sql string, tables []string) error { panic("not yet") }
