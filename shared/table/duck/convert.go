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
	"strings"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

// Converted is the canonical table that Convert wrote.
type Converted struct {
	Schema table.Schema
	Rows   int64
	Digest string // "sha256:" and the hex digest of the file
	Bytes  int64  // of the file
	// Aside is what was set aside before and after prepare, nil where rows are not
	// set aside.
	Aside *source.Aside
}

// rowGroup is how many rows a row group has between DuckDB and the table.
const rowGroup = 122_880

// Convert reads src, runs prep (which may be nil) over it and writes the result
// to out as a canonical Parquet file. The file appears whole or not at all, and
// replaces what was there.
//
// The columns of prep.Columns come first and have the types they have there;
// values are converted by the rules of package cell, where nothing is lost. The
// statement of prep sees the columns of the contract in their types, and others
// as text as it is written; of Parquet all columns have their own types.
//
// The same input gives the same bytes, whatever the number of threads; a
// prepare statement therefore runs on one. Memory is bounded by lim.Memory and
// one row group. Data that cannot be read, breaks a limit, or lacks a column, is
// one or several joined *[table.Unreadable], and so is a statement that fails.
//
// Temporary files are beside out, where the caller finds what a killed process
// left.
func Convert(ctx context.Context, src Source, prep *PrepareInput, out string, lim Limits) (*Converted, error) {
	lim = lim.WithDefaults()
	if prep == nil {
		prep = &PrepareInput{}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lim.Timeout, tooLong(src.Name, lim))
	defer cancel()
	dir, err := tempDir(filepath.Dir(out))
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	c := &conversion{src: src, prep: prep, lim: lim, dir: dir}
	result := filepath.Join(dir, "result.parquet")
	read, err := c.convert(ctx, result)
	if err != nil && ctx.Err() != nil {
		// What fails after the end of time fails because of it.
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return finish(read, result, out)
}

// conversion is one run of Convert.
type conversion struct {
	*sandbox
	src    Source
	prep   *PrepareInput
	lim    Limits
	dir    string        // of temporary files
	upload string        // the file that the relation upload is
	aside  *source.Aside // before prepare
}

// convert writes the result to path.
func (c *conversion) convert(ctx context.Context, path string) (*source.Result, error) {
	format, _, err := source.FormatOf(c.src.Name)
	if err != nil {
		return nil, err
	}
	text := format != source.Parquet
	if text && c.prep.SQL == "" {
		return source.Read(ctx, c.src, c.prep.options(), c.lim, path)
	}
	// A plain name of our own: DuckDB takes * and [ in a name for a pattern.
	c.upload = filepath.Join(c.dir, "upload.parquet")
	if text {
		read, err := source.Read(ctx, c.src, c.prep.options(), c.lim, c.upload)
		if err != nil {
			return nil, err
		}
		if err := c.checkCase(read.Schema); err != nil {
			return nil, err
		}
		c.aside = read.Aside
	} else if err := c.linkParquet(ctx); err != nil {
		return nil, err
	}
	result, err := c.query(ctx, path, text)
	if err == nil && c.aside != nil {
		result.Aside = c.aside.With(result.Aside)
	}
	return result, err
}

// linkParquet makes the upload known by its plain name.
func (c *conversion) linkParquet(ctx context.Context) error {
	path, err := source.Plain(ctx, c.src, c.lim, c.dir)
	if err != nil {
		return err
	}
	if err := c.inspectParquet(path); err != nil {
		return err
	}
	if err := c.checkPages(path); err != nil {
		return err
	}
	return link(path, c.upload)
}

// checkCase refuses names that SQL cannot tell apart.
func (c *conversion) checkCase(s table.Schema) error {
	seen := map[string]string{}
	for _, col := range s {
		lower := strings.ToLower(col.Name)
		if first, ok := seen[lower]; ok {
			return c.reject(fmt.Sprintf("the header has %q and %q, which prepare cannot tell apart", first, col.Name), "give every column a name of its own, whatever the case of its letters")
		}
		seen[lower] = col.Name
	}
	return nil
}

// query writes what DuckDB makes of the upload to path: what prepare selects, or
// the Parquet file as it is.
func (c *conversion) query(ctx context.Context, path string, text bool) (*source.Result, error) {
	dataset, tables, err := c.prep.linkInputs(c.dir)
	if err != nil {
		return nil, err
	}
	threads := c.lim.Threads
	if c.prep.SQL != "" {
		// The order of joined and grouped rows and the last digit of a sum are
		// then the same each time.
		threads = 1
	}
	plain := filepath.Join(c.dir, "plain.parquet")
	paths := append([]string{c.upload, plain}, dataset...)
	for _, path := range tables {
		paths = append(paths, path, tableCopy(path))
	}
	if c.sandbox, err = newSandbox(ctx, c.lim.Memory, threads, filepath.Join(c.dir, "spill"), paths...); err != nil {
		return nil, err
	}
	defer c.Close()
	if text {
		err = c.exec(ctx, "CREATE TEMP VIEW upload AS SELECT * FROM read_parquet("+quote(c.upload)+", hive_partitioning = false)")
	} else {
		err = c.openParquet(ctx)
	}
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	from := "upload"
	if c.prep.SQL != "" {
		from = "prepared"
		if err := c.prep.run(ctx, c.sandbox, dataset, tables); err != nil {
			return nil, c.explain(ctx, err)
		}
	}
	naturals, err := c.copyPlain(ctx, from, plain)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	// What DuckDB holds and what the conversion takes need not be there at once.
	if err := c.Close(); err != nil {
		return nil, fmt.Errorf("close DuckDB: %w", err)
	}
	return c.fromPlain(ctx, from, plain, naturals, path)
}

// copyPlain writes a relation to the file plain as a canonical table in which
// nothing is lost.
func (c *conversion) copyPlain(ctx context.Context, from, plain string) ([]source.Natural, error) {
	have, err := c.describe(ctx, "SELECT * FROM "+from)
	if err != nil {
		return nil, err
	}
	if len(have) > c.lim.Columns {
		return nil, c.reject(fmt.Sprintf("it has %d columns, and at most %d are allowed", len(have), c.lim.Columns), "leave out columns")
	}
	items, naturals, err := c.selectNatural(have, from)
	if err != nil {
		return nil, err
	}
	query := "SELECT " + strings.Join(items, ", ") + " FROM " + from
	if from == "prepared" {
		query += fmt.Sprintf(" LIMIT %d", c.lim.Rows+1) // a join may multiply rows
	}
	group := min(rowGroup, max(2048, 1<<24/len(items)))
	copyTo := fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE %d, USE_TMP_FILE false)", query, quote(plain), group)
	var rows int64
	if err := c.conn.QueryRowContext(ctx, copyTo).Scan(&rows); err != nil {
		return nil, err
	}
	switch {
	case rows == 0 && from == "prepared":
		return nil, &table.Unreadable{Name: "prepare", Reason: "no rows are left of " + c.src.Name, Try: "check the conditions of the statement"}
	case rows == 0:
		return nil, c.reject("it has no rows", "add at least one row")
	case rows > c.lim.Rows:
		return nil, c.reject(fmt.Sprintf("it has more than the %d rows that are allowed", c.lim.Rows), "split it")
	}
	return naturals, nil
}

// outcome is how the relation from becomes the table.
func (c *conversion) outcome(from string) (name string, opts source.Options) {
	opts = c.prep.options()
	opts.Partial, opts.SetAside = c.prep.Partial, c.prep.SetAside
	if c.prep.DropExtra {
		opts.Extra = source.Drop
	}
	if from == "prepared" {
		return "prepare", opts
	}
	return c.src.Name, opts
}

// selectNatural returns the columns of the relation that are wanted, and
// reports everything that is wrong with them at once.
func (c *conversion) selectNatural(have []described, from string) ([]string, []source.Natural, error) {
	name, opts := c.outcome(from)
	names := make([]string, len(have))
	for i, d := range have {
		names[i] = d.name
	}
	if err := opts.Missing(name, names); err != nil {
		return nil, nil, err
	}
	wanted := opts.Wanted()
	var items, refused []string
	var naturals []source.Natural
	for _, d := range have {
		if !wanted(d.name) {
			continue
		}
		sql, n, ok := natural(d)
		if !ok {
			refused = append(refused, fmt.Sprintf("column %q is %s, and a column has to be string, int, float, bool or timestamp", d.name, d.typ))
			continue
		}
		items, naturals = append(items, sql), append(naturals, n)
	}
	if refused != nil {
		return nil, nil, &table.Unreadable{Name: name, Reason: strings.Join(refused, "; "), Try: "leave these columns out, or convert them before"}
	}
	return items, naturals, nil
}

// fromPlain converts the file plain by the rules of the contract.
func (c *conversion) fromPlain(ctx context.Context, from, plain string, naturals []source.Natural, path string) (*source.Result, error) {
	_, opts := c.outcome(from)
	if from != "prepared" {
		return source.Convert(ctx, plain, c.src.Name, "", naturals, opts, c.lim, path)
	}
	result, err := source.Convert(ctx, plain, c.src.Name, "prepare", naturals, opts, c.lim, path)
	ofPrepare(table.Unreadables(err))
	if err == nil && result.Aside != nil {
		ofPrepare(result.Aside.Reasons)
	}
	return result, err
}

// ofPrepare says of faults that they are in what prepare returns.
func ofPrepare(all []*table.Unreadable) {
	for _, u := range all {
		u.Reason = strings.Replace(u.Reason, ", column", " of what prepare returns, column", 1)
	}
}

// explain turns a failure of DuckDB into an answer about the data.
func (c *conversion) explain(ctx context.Context, err error) error {
	_, explained := errors.AsType[*table.Unreadable](err)
	_, column, binary := strings.Cut(err.Error(), binaryError)
	switch {
	case explained || ctx.Err() != nil:
		return err
	case outOfMemory(err):
		return c.reject(fmt.Sprintf("converting it needs more than the %s of memory that are allowed", c.lim.Memory), "split it, or make prepare simpler")
	case binary:
		u := c.reject(fmt.Sprintf("column %q has binary values that are not text in UTF-8", column), "leave this column out, or convert it before")
		u.Column = column
		return u
	case c.prep.SQL != "":
		return c.prep.explain(err)
	case aboutInput(err):
		return c.damaged(err)
	}
	return fmt.Errorf("read %s: %w", c.src.Name, err)
}

// finish measures the file at temp and puts it in its place.
func finish(read *source.Result, temp, out string) (*Converted, error) {
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
	done := &Converted{Schema: read.Schema, Rows: read.Rows, Aside: read.Aside, Bytes: n, Digest: "sha256:" + hex.EncodeToString(h.Sum(nil))}
	return done, os.Rename(temp, out)
}
