package source

import (
	"context"
	"fmt"

	"millrace.dev/shared/table"
)

// Result is the table that Read wrote.
type Result struct {
	Schema table.Schema
	Rows   int64
	// Aside is what was set aside, nil where rows are not set aside.
	Aside *Aside
}

// Read reads src, a file of any format but Parquet, and writes it to out as a canonical table. The file
// at out appears whole or not at all, and replaces what was there.
//
// What is wrong with the file is an error of one or several *[table.Unreadable],
// joined: one for each column that has values which do not fit, with their
// number and the first of them. With opts.SetAside these rows are left out instead
// and written to a file of their own, as far as it allows. Memory is bounded by one row group and one
// record. The same file gives the same bytes.
func Read(ctx context.Context, src Source, opts Options, lim Limits, out string) (*Result, error) {
	in, err := inspect(src, &opts, lim.WithDefaults())
	if err != nil {
		return nil, err
	}
	b := &builder{in: in, out: out}
	defer b.abort()
	switch in.format {
	case CSV, TSV:
		err = in.readCSV(ctx, b)
	case JSON, Lines:
		err = in.readJSON(ctx, b)
	case Arrow:
		err = in.readArrow(ctx, b)
	case Excel:
		err = in.readExcel(ctx, b)
	default:
		err = fmt.Errorf("read %s: a %s file is not read here", src.Name, in.format)
	}
	if err != nil {
		return nil, err
	}
	return b.finish()
}

// rowsAllowed reports whether one more row is within the limit.
func (in *input) rowsAllowed(rows int64) error {
	if rows > in.lim.Rows {
		return in.reject(fmt.Sprintf("it has more than the %d rows that are allowed", in.lim.Rows), "split it")
	}
	return nil
}
