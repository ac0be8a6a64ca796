package duck

import (
	"fmt"
	"strings"

	"millrace.dev/shared/table"
)

// column is one column of what Convert writes.
type column struct {
	name string
	from string // the type DuckDB found
	to   table.Type
	expr string // of type to; null where the value can't be converted
	// risky says that expr may be null where the column is not. Convert then
	// stops at such a value.
	risky bool
}

// castError is what a query fails with at a value that can't be converted.
const castError = "millrace: this value can't be converted"

// sql returns the item of a SELECT list that yields the column.
func (c column) sql() string {
	expr := c.expr
	if c.risky {
		expr = fmt.Sprintf("CASE WHEN %s IS NOT NULL AND (%s) IS NULL THEN error(%s) ELSE %s END",
			c.present(), c.expr, quote(castError), c.expr)
	}
	return fmt.Sprintf("(%s)::%s AS %s", expr, sqlType(c.to), ident(c.name))
}

// present is null where the column has no value. A NaN is none: that is how
// some programs write what is missing.
func (c column) present() string {
	if c.from == "DOUBLE" || c.from == "FLOAT" {
		return fmt.Sprintf("(CASE WHEN NOT isnan(%[1]s) THEN %[1]s END)", ident(c.name))
	}
	return ident(c.name)
}

// kind sums up DuckDB's types.
type kind int

const (
	unknown kind = iota // lists, structs, blobs and the like
	text
	whole    // fits into 64 bits
	large    // integers that need not
	fraction // floats
	decimal
	truth
	instant // dates and times of day on a date
	other   // has a text form and no other use: uuid, enum, time
	nothing // a column of nulls only
)

func kindOf(typ string) kind {
	switch typ {
	case "VARCHAR":
		return text
	case "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT":
		return whole
	case "HUGEINT", "UHUGEINT", "UBIGINT", "BIGNUM":
		return large
	case "DOUBLE", "FLOAT":
		return fraction
	case "BOOLEAN":
		return truth
	case "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE":
		return instant
	case "UUID", "TIME", "TIME WITH TIME ZONE", "TIME_NS":
		return other
	case `"NULL"`, "NULL":
		return nothing
	}
	switch {
	case strings.HasSuffix(typ, "]"):
		return unknown
	case strings.HasPrefix(typ, "DECIMAL("):
		return decimal
	case strings.HasPrefix(typ, "ENUM("):
		return other
	}
	return unknown
}

// natural returns the type that a column has if no contract says otherwise.
func natural(typ string) (table.Type, bool) {
	switch kindOf(typ) {
	case text, other, nothing:
		return table.String, true
	case whole, large:
		return table.Int, true
	case fraction:
		return table.Float, true
	case decimal:
		if strings.HasSuffix(typ, ",0)") {
			return table.Int, true
		}
		return table.Float, true
	case truth:
		return table.Bool, true
	case instant:
		return table.Timestamp, true
	}
	return "", false
}

// cast returns how a column that DuckDB found becomes one of type to; false if
// there is no such way.
func cast(d described, to table.Type) (column, bool) {
	c := column{name: d.name, from: d.typ, to: to}
	x, from := c.present(), kindOf(d.typ)
	if from == unknown {
		return c, false
	}
	if from == nothing {
		c.expr = "NULL"
		return c, true
	}
	switch to {
	case table.String:
		c.expr = fmt.Sprintf("CAST(%s AS VARCHAR)", x)
		return c, true
	case table.Int:
		switch from {
		case whole, truth:
			c.expr = fmt.Sprintf("CAST(%s AS BIGINT)", x)
		case large:
			c.expr, c.risky = fmt.Sprintf("TRY_CAST(%s AS BIGINT)", x), true
		case fraction, decimal:
			c.expr, c.risky = fmt.Sprintf("CASE WHEN %[1]s = trunc(%[1]s) THEN TRY_CAST(%[1]s AS BIGINT) END", x), true
		case text: // a cast would round
			c.expr, c.risky = fmt.Sprintf("CASE WHEN TRY_CAST(%[1]s AS DOUBLE) = trunc(TRY_CAST(%[1]s AS DOUBLE)) THEN TRY_CAST(%[1]s AS BIGINT) END", x), true
		}
	case table.Float:
		switch from {
		case whole, large, fraction, decimal, truth:
			c.expr = fmt.Sprintf("CAST(%s AS DOUBLE)", x)
		case text:
			c.expr, c.risky = fmt.Sprintf("TRY_CAST(%s AS DOUBLE)", x), true
		}
	case table.Bool:
		switch from {
		case truth:
			c.expr = x
		case whole, large, fraction, decimal:
			c.expr, c.risky = fmt.Sprintf("CASE %s WHEN 0 THEN false WHEN 1 THEN true END", x), true
		case text:
			c.expr, c.risky = fmt.Sprintf("TRY_CAST(%s AS BOOLEAN)", x), true
		}
	case table.Timestamp:
		if from == instant || from == text {
			// Not infinity, nor a year that nothing else can write.
			c.expr, c.risky = fmt.Sprintf("CASE WHEN TRY_CAST(%[1]s AS TIMESTAMP WITH TIME ZONE) BETWEEN '0001-01-01'::TIMESTAMP AND '9999-12-31 23:59:59.999999'::TIMESTAMP THEN TRY_CAST(%[1]s AS TIMESTAMP WITH TIME ZONE) END", x), true
		}
	}
	return c, c.expr != ""
}

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
