// Package cell holds the one rule by which a written value becomes a value of a
// column's type. CSV fields, JSON values and Parquet values of other types all
// pass through it, so that a column accepts the same in every format. The table
// of what each type accepts is in the README of package table.
package cell
