package duck

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"millrace.dev/shared/table"
)

// aboutInput reports whether DuckDB failed because of what it was given: no
// retry will help then. A full disk, an interrupt or a bug in DuckDB is not.
func aboutInput(err error) bool {
	var d *duckdb.Error
	if !errors.As(err, &d) {
		return false
	}
	switch d.Type {
	case duckdb.ErrorTypeInterrupt, duckdb.ErrorTypeConnection, duckdb.ErrorTypeFatal, duckdb.ErrorTypeInternal, duckdb.ErrorTypeTransaction:
		return false
	case duckdb.ErrorTypeIO:
		// Reading a damaged Parquet file is one of these; so is failing to write.
		for _, system := range []string{"write", "space", "open file", "Cannot open", "create"} {
			if strings.Contains(d.Msg, system) {
				return false
			}
		}
	case duckdb.ErrorTypeOutOfMemory:
		return outOfMemory(err)
	}
	return true
}

// outOfMemory reports whether more memory was needed than is allowed; not
// whether the disk is full, where DuckDB puts what does not fit into memory.
func outOfMemory(err error) bool {
	var d *duckdb.Error
	return errors.As(err, &d) && d.Type == duckdb.ErrorTypeOutOfMemory && !strings.Contains(d.Msg, "disk")
}

// The parts of DuckDB's messages about CSV files. DuckDB has no other
// way to say these things; the tests hold the texts of the version in go.mod.
var (
	csvLine    = regexp.MustCompile(`CSV Error on Line: (\d+)`)
	csvConvert = regexp.MustCompile(`Error when converting column "(.*)"\. Could not convert string "((?s:.*?))" to '(.+)'`)
	csvColumns = regexp.MustCompile(`Expected Number of Columns: (\d+) Found: (\d+)`)
	csvQuote   = regexp.MustCompile(`(?i)unterminated quote`)
)

// explain makes what DuckDB says about an upload a rejection that names line,
// column and value.
func (in *input) explain(err error) error {
	if !aboutInput(err) {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	msg := err.Error()
	u := in.reject(oneLine(err), "")
	if m := csvLine.FindStringSubmatch(msg); m != nil {
		u.Line, _ = strconv.ParseInt(m[1], 10, 64)
		switch {
		case csvConvert.MatchString(msg):
			m := csvConvert.FindStringSubmatch(msg)
			u.Column, u.Value = m[1], shorten(m[2])
			u.Reason = fmt.Sprintf("line %d, column %q: %q is not %s like the values before it", u.Line, u.Column, u.Value, typeName(m[3]))
			u.Try = "correct the value, or leave it empty"
		case csvColumns.MatchString(msg):
			m := csvColumns.FindStringSubmatch(msg)
			u.Reason = fmt.Sprintf("line %d has %s values, and the header has %s columns", u.Line, m[2], m[1])
			u.Try = "put values that contain the separator into double quotes"
		case csvQuote.MatchString(msg):
			u.Reason = fmt.Sprintf("line %d: a double quote is opened and not closed", u.Line)
			u.Try = "close it, or write a double quote inside a value twice"
		default:
			_, rest, _ := strings.Cut(msg, m[0])
			u.Reason = fmt.Sprintf("line %d can't be read: %s", u.Line, detail(rest))
		}
		return u
	}
	if in.format == formatJSON {
		// DuckDB's own line numbers are off by one at times.
		if line, err := in.firstBadJSON(); line > 0 {
			u.Line = line
			u.Reason = fmt.Sprintf("line %d is not a JSON object: %v", line, err)
			u.Try = "write one JSON object a line"
		}
	}
	if in.format == formatParquet {
		u.Reason = fmt.Sprintf("the Parquet file is damaged (%s)", oneLine(err))
		u.Try = "write and upload it again"
	}
	return u
}

// typeName says what a value should have been.
func typeName(duck string) string {
	if t, ok := natural(duck); ok {
		return typeNames[t]
	}
	return "of type " + duck
}

var typeNames = map[table.Type]string{
	table.String:    "a string",
	table.Int:       "a whole number",
	table.Float:     "a number",
	table.Bool:      "true or false",
	table.Timestamp: "a time (as 2013-01-31T06:00:00Z)",
}

// tempNames are the files that a sandbox sees; nobody needs their names.
var tempNames = regexp.MustCompile(`["']?[^"'\s]*/millrace-table-[^/\s]*/([A-Za-z0-9.-]+)["']?`)

// firstLine returns what an error of DuckDB says first, without its kind and
// without names of temporary files.
func firstLine(err error) string {
	msg, _, _ := strings.Cut(err.Error(), "\n")
	for _, kind := range []string{"Invalid Input", "Conversion", "Binder", "Catalog", "Parser", "Permission", "Out of Range", "Out of Memory", "IO", "Not implemented", "Serialization", "Mismatch Type", "Invalid", "TransactionContext"} {
		msg = strings.TrimPrefix(msg, kind+" Error: ")
	}
	return strings.TrimSpace(strings.TrimRight(tempNames.ReplaceAllString(msg, "$1"), ". "))
}

// oneLine returns what an error says on one line: all of it if it is ours, the
// first line with the suggestion that follows it if it is DuckDB's.
func oneLine(err error) string {
	var d *duckdb.Error
	if !errors.As(err, &d) {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	said := []string{firstLine(err)}
	for line := range strings.Lines(d.Msg) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Candidate bindings:") || strings.HasPrefix(line, "Did you mean") {
			said = append(said, strings.ToLower(line[:1])+line[1:])
		}
	}
	return strings.Join(said, "; ")
}

// detail returns the line of DuckDB's text that says what is wrong: the one
// after the quoted line.
func detail(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "Original Line:") {
			return strings.TrimRight(line, ".")
		}
	}
	return "it is not CSV"
}

// shorten cuts a value for a message.
func shorten(s string) string {
	const most = 80
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return s
}

// removeAll removes a temporary folder; what is left of one is the system's to
// clear.
func removeAll(dir string) { _ = os.RemoveAll(dir) }
