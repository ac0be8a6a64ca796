// Package table reads, measures, checks, splits and writes tables: Parquet files
// of five column types. It is what "data" means to the functions of Millrace.
//
// A canonical table is a flat Parquet file whose columns are nullable and of
// the types string, int (64 bit), float (64 bit), bool and timestamp
// (microseconds, UTC). Package duck, beside this one, turns what people upload
// into canonical tables; this package links no DuckDB and needs no cgo.
//
// # Measuring
//
// A [Profile] is exact: it knows every value of a column and how often it
// occurs, so that every statistic, every comparison with a bound and every
// drift test follows from it without another look at the rows. It is cheap
// because Parquet has done half of the work: a dictionary page lists the
// distinct values and a data page holds small indices, so measuring is one
// increment an index. A column with more than [MaxDistinct] distinct values is
// held by sketches instead, with the errors stated at [ColumnProfile].
//
// Profiles of partitions merge into the profile of a snapshot, and what merging
// yields is byte for byte what measuring all rows at once would have yielded
// (as long as the columns are exact).
package table
