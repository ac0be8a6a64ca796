package duck

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// aboutInput reports whether DuckDB failed because of what it was given: no
// retry will help then. A full disk, an interrupt or a bug in DuckDB is not.
func aboutInput(err error) bool {
	d, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
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
	d, ok := errors.AsType[*duckdb.Error](err)
	return ok && d.Type == duckdb.ErrorTypeOutOfMemory && !strings.Contains(d.Msg, "disk")
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
	d, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
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

// removeAll removes a temporary folder; what is left of one is the system's to
// clear.
func removeAll(dir string) { _ = os.RemoveAll(dir) }
