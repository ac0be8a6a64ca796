package table

import "strconv"

// MaxExamples is the number of rows shown for one broken check.
const MaxExamples = 20

// The keys under which an example says where it is, beside its columns.
const (
	RowKey     = "_row"     // the number of the row, from 1
	RepeatsKey = "_repeats" // of a row that is not unique: the number of the row it repeats
	ObjectKey  = "_object"  // of a row that repeats one of another upload: the name of that upload
)

// Rules is the contract a table has to keep. The zero value allows everything.
type Rules struct {
	Columns     []ColumnRule
	ExtraReject bool // columns that no rule names are broken
	Rows        []RowsRule
	Unique      []UniqueRule
	SQL         []SQLRule // for CheckSQL of package duck; Check does not look at them
}

// ColumnRule is the contract of one column. The column has to be there.
type ColumnRule struct {
	Name   string
	Type   Type
	Nulls  float64  // the share of nulls that is allowed, 0 to 1
	Values []string // if any: the only values allowed, written as in a pipeline file ("9E", "3", "true", "2013-01-31T06:00:00Z")
	Min    *float64 // int and float
	Max    *float64
}

// RowsRule bounds the number of rows; 0 is no bound.
type RowsRule struct {
	Name     string
	Min, Max int64
}

// UniqueRule demands that no two rows agree in Columns. Rows in which one of
// the columns is null are not compared, as in SQL.
type UniqueRule struct {
	Name        string
	Columns     []string
	MaxFraction float64 // the share of rows that may repeat an earlier one
}

// SQLRule demands that Expr, a boolean expression over the columns of a row,
// holds for all rows but MaxFraction of them. As with CHECK in SQL, a row for
// which it is null passes.
type SQLRule struct {
	Name        string
	Expr        string
	MaxFraction float64
}

// The names of the checks that a ColumnRule makes.
const (
	CheckMissing = "missing"
	CheckType    = "type"
	CheckNulls   = "nulls"
	CheckValues  = "values"
	CheckRange   = "range"
	CheckExtra   = "extra"
)

// Broken is one check that did not hold.
type Broken struct {
	Check    string           `json:"check"`              // the name of the rule, or one of CheckMissing to CheckExtra
	Column   string           `json:"column,omitempty"`   // the column it is about, if it is one
	Reason   string           `json:"reason"`             // a sentence with value and bound
	Count    int64            `json:"count"`              // rows that break it
	Fraction float64          `json:"fraction"`           // the same as a share of all rows
	Allowed  float64          `json:"allowed"`            // the share that was allowed
	Examples []map[string]any `json:"examples,omitempty"` // up to MaxExamples rows, with RowKey
}

// Percent shows a share to people.
func Percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 4, 64) + " %"
}
