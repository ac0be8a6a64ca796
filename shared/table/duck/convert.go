package duck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// Converted is the canonical table that Convert wrote.
type Converted struct {
	Schema table.Schema
	Rows   int64
	Digest string // "sha256:" and the hex digest of the file
	Bytes  int64  // of the file
}

// rowGroup is how many rows a row group of the result has.
const rowGroup = 122_880

// Convert reads src, runs prep (which may be nil) over it and writes the result
// to out as a canonical Parquet file. The file appears whole or not at all, and
// replaces what was there.
//
// The columns of prep.Columns come first and have the types they have there. A
// value of another type is converted where nothing is lost; where it can't be,
// Convert says at which line and which column. NaN becomes null. In CSV, so do
// empty fields, NA, NaN, nan, null and NULL. A timestamp without a zone is in
// UTC.
//
// The same input gives the same bytes, whatever the number of threads; a
// prepare statement therefore runs on one. Memory is bounded by lim.Memory and
// one row group. Data that can't be read, breaks a limit, or lacks a column, is
// a *[table.Unreadable], and so is a statement that fails.
//
// What is needed meanwhile lies beside out, where the caller finds what a killed
// process left.
func Convert(ctx context.Context, src Source, prep *PrepareInput, out string, lim Limits) (*Converted, error) {
	lim = lim.withDefaults()
	if prep == nil {
		prep = &PrepareInput{}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lim.Timeout, &table.Unreadable{
		Name: src.Name, Reason: fmt.Sprintf("reading it took longer than the %s that are allowed", lim.Timeout), Try: "split it, or make prepare simpler",
	})
	defer cancel()
	dir, err := tempDir(filepath.Dir(out))
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	done, err := convert(ctx, src, prep, out, dir, lim)
	if err != nil && ctx.Err() != nil {
		// What fails after the end of time fails because of it.
		return nil, context.Cause(ctx)
	}
	return done, err
}

func convert(ctx context.Context, src Source, prep *PrepareInput, out, dir string, lim Limits) (*Converted, error) {
	in, err := inspect(ctx, src, dir, lim)
	if err != nil {
		return nil, err
	}
	dataset, tables, err := prep.linkInputs(dir)
	if err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return nil, err
	}
	temp.Close()
	defer os.Remove(temp.Name())

	threads := lim.Threads
	if prep.SQL != "" {
		// The order of joined and grouped rows and the last digit of a sum are
		// then the same each time.
		threads = 1
	}
	paths := []string{in.path, temp.Name()}
	paths = append(paths, dataset...)
	for _, path := range tables {
		paths = append(paths, path)
	}
	s, err := newSandbox(ctx, lim.Memory, threads, filepath.Join(dir, "spill"), paths...)
	if err != nil {
		return nil, err
	}
	defer s.Close()

	c := &conversion{sandbox: s, in: in, prep: prep, lim: lim, dataset: dataset, tables: tables}
	// First with the types that the beginning of the file suggests; if a later
	// value says otherwise, with those that all of it has.
	err = c.write(ctx, temp.Name(), false)
	if err != nil && in.format == formatCSV && csvConvert.MatchString(err.Error()) {
		err = c.write(ctx, temp.Name(), true)
	}
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return c.finish(temp.Name(), out)
}

// conversion is one run of Convert.
type conversion struct {
	*sandbox
	in      *input
	prep    *PrepareInput
	lim     Limits
	dataset []string
	tables  map[string]string

	from    string   // the relation that is written: upload or prepared
	columns []column // of the result
	rows    int64
}

// write writes the result to path.
func (c *conversion) write(ctx context.Context, path string, wholeSample bool) error {
	if err := c.open(ctx, wholeSample); err != nil {
		return err
	}
	c.from = "upload"
	if c.prep.SQL != "" {
		c.from = "prepared"
		if err := c.prep.run(ctx, c.sandbox, c.dataset, c.tables); err != nil {
			return err
		}
	}
	if err := c.plan(ctx); err != nil {
		return err
	}
	items := make([]string, len(c.columns))
	for i, col := range c.columns {
		items[i] = col.sql()
	}
	query := "SELECT " + strings.Join(items, ", ") + " FROM " + c.from
	if c.prep.SQL != "" {
		query += fmt.Sprintf(" LIMIT %d", c.lim.Rows+1) // a join may multiply rows
	}
	copyTo := fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE %d, USE_TMP_FILE false)", query, quote(path), rowGroup)
	if err := c.conn.QueryRowContext(ctx, copyTo).Scan(&c.rows); err != nil {
		return err
	}
	switch {
	case c.rows == 0 && c.from == "prepared":
		return &table.Unreadable{Name: "prepare", Reason: "no rows are left of " + c.in.name, Try: "check the conditions of the statement"}
	case c.rows == 0:
		return c.in.reject("it has no rows", "upload it again")
	case c.rows > c.lim.Rows:
		return c.in.reject(fmt.Sprintf("it has more than the %d rows that are allowed", c.lim.Rows), "split it")
	}
	return nil
}

// plan decides what becomes of each column, and reports everything that is
// wrong with them at once.
func (c *conversion) plan(ctx context.Context) error {
	have, err := c.describe(ctx, "SELECT * FROM "+c.from)
	if err != nil {
		return err
	}
	if len(have) > c.lim.Columns {
		return c.in.reject(fmt.Sprintf("it has %d columns, and at most %d are allowed", len(have), c.lim.Columns), "leave out columns")
	}
	names := make([]string, len(have))
	for i, d := range have {
		names[i] = d.name
	}
	c.columns = nil
	var missing, refused []string
	for _, want := range c.prep.Columns {
		i := slices.Index(names, want.Name)
		if i < 0 {
			missing = append(missing, want.Name)
			continue
		}
		col, ok := cast(have[i], want.Type)
		if !ok {
			refused = append(refused, fmt.Sprintf("column %q is %s, which can't become %s", want.Name, have[i].typ, want.Type))
			continue
		}
		c.columns = append(c.columns, col)
	}
	for _, d := range have {
		if c.prep.Columns.Index(d.name) >= 0 || c.prep.DropExtra && len(c.prep.Columns) > 0 {
			continue
		}
		typ, ok := natural(d.typ)
		if !ok {
			refused = append(refused, fmt.Sprintf("column %q is %s, and a column has to be string, int, float, bool or timestamp", d.name, d.typ))
			continue
		}
		col, _ := cast(d, typ)
		c.columns = append(c.columns, col)
	}
	name := c.in.name
	if c.from == "prepared" {
		name = "prepare"
	}
	if missing != nil {
		return table.MissingColumns(name, missing, names)
	}
	if refused != nil {
		return &table.Unreadable{Name: name, Reason: strings.Join(refused, "; "), Try: "leave these columns out, or convert them before"}
	}
	return nil
}

// explain turns a failure of write into an answer about the data.
func (c *conversion) explain(ctx context.Context, err error) error {
	var u *table.Unreadable
	switch {
	case errors.As(err, &u) || ctx.Err() != nil:
		return err
	case outOfMemory(err):
		return c.in.reject(fmt.Sprintf("converting it needs more than the %s of memory that are allowed", c.lim.Memory), "split it, or make prepare simpler")
	case strings.Contains(err.Error(), castError):
		return c.explainCast(ctx, err)
	case c.from == "prepared" && !csvLine.MatchString(err.Error()):
		return c.prep.explain(err)
	}
	return c.in.explain(err)
}

// explainCast finds the first value that can't be converted.
func (c *conversion) explainCast(ctx context.Context, err error) error {
	var first *table.Unreadable
	row := int64(0)
	for _, col := range c.columns {
		if !col.risky {
			continue
		}
		var at int64
		var value string
		query := fmt.Sprintf("SELECT n, left(v, 1000) FROM (SELECT row_number() OVER () AS n, CAST(%[1]s AS VARCHAR) AS v, (%[2]s) IS NULL AND %[1]s IS NOT NULL AS bad FROM %[3]s) WHERE bad ORDER BY n LIMIT 1",
			col.present(), col.expr, c.from)
		if scan := c.conn.QueryRowContext(ctx, query).Scan(&at, &value); scan != nil {
			continue // no such value, or another failure, which err stands for
		}
		if first == nil || at < row {
			row = at
			first = &table.Unreadable{Name: c.in.name, Column: col.name, Value: shorten(value)}
			first.Reason = fmt.Sprintf("column %q: %q is not %s", col.name, first.Value, typeNames[col.to])
			first.Try = "correct the value, or leave it empty"
		}
	}
	if first == nil {
		return fmt.Errorf("convert %s: %w", c.in.name, err)
	}
	place := fmt.Sprintf("row %d", row)
	switch {
	case c.from == "prepared":
		place = fmt.Sprintf("row %d of what prepare returns", row)
	case c.in.format != formatParquet:
		if line := c.in.lineOf(row); line > 0 {
			row, place = line, fmt.Sprintf("line %d", line)
		}
	}
	first.Line = row
	first.Reason = place + ", " + first.Reason
	return first
}

// finish measures the file at temp and puts it in its place.
func (c *conversion) finish(temp, out string) (*Converted, error) {
	f, err := os.Open(temp)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	done := &Converted{Rows: c.rows, Bytes: n, Digest: "sha256:" + hex.EncodeToString(h.Sum(nil))}
	for _, col := range c.columns {
		done.Schema = append(done.Schema, table.Column{Name: col.name, Type: col.to})
	}
	if err := os.Chmod(temp, 0o644); err != nil {
		return nil, err
	}
	return done, os.Rename(temp, out)
}
