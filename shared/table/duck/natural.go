package duck

import (
	"fmt"
	"strings"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

// natural returns how a column of DuckDB's becomes one of a canonical table
// without losing anything: the SQL, and what is known of the column. Numbers
// beyond 64 bits and decimals come as text. It returns false for lists, structs
// and the like.
func natural(d described) (sql string, n source.Natural, ok bool) {
	n.Name = d.name
	x := ident(d.name)
	as := func(typ string, to table.Type) (string, source.Natural, bool) {
		n.Type = to
		return fmt.Sprintf("CAST(%s AS %s) AS %s", x, typ, x), n, true
	}
	switch d.typ {
	case "VARCHAR", "JSON", "UUID", "TIME", "TIME WITH TIME ZONE", "TIME_NS", `"NULL"`, "NULL":
		return as("VARCHAR", table.String)
	case "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT":
		return as("BIGINT", table.Int)
	case "HUGEINT", "UHUGEINT", "UBIGINT", "BIGNUM":
		return as("VARCHAR", table.Int)
	case "DOUBLE", "FLOAT":
		return as("DOUBLE", table.Float)
	case "BOOLEAN":
		return as("BOOLEAN", table.Bool)
	case "DATE":
		n.Wall, n.Date = true, true
		return as("TIMESTAMP", table.Timestamp)
	case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS":
		n.Wall = true
		return as("TIMESTAMP", table.Timestamp)
	case "TIMESTAMP WITH TIME ZONE":
		return as("TIMESTAMP WITH TIME ZONE", table.Timestamp)
	case "BLOB":
		n.Type = table.String
		return fmt.Sprintf("CASE WHEN %[1]s IS NULL THEN NULL ELSE coalesce(TRY(decode(%[1]s)), error(%[2]s)) END AS %[1]s",
			x, quote(binaryError+d.name)), n, true
	}
	switch {
	case strings.HasSuffix(d.typ, "]"):
	case strings.HasPrefix(d.typ, "ENUM("):
		return as("VARCHAR", table.String)
	case strings.HasPrefix(d.typ, "DECIMAL("):
		if strings.HasSuffix(d.typ, ",0)") {
			return as("VARCHAR", table.Int)
		}
		return as("VARCHAR", table.Float)
	}
	return "", n, false
}

// binaryError is what a query fails with at a binary value that is not text.
const binaryError = "millrace: binary in column "

// sqlType returns what DuckDB calls a type.
func sqlType(t table.Type) string {
	switch t {
	case table.Int:
		return "BIGINT"
	case table.Float:
		return "DOUBLE"
	case table.Bool:
		return "BOOLEAN"
	case table.Timestamp:
		return "TIMESTAMP WITH TIME ZONE"
	default:
		return "VARCHAR"
	}
}
