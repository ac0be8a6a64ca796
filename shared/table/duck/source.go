package duck

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/source"
)

// Source is a file that came from outside.
type Source = source.Source

// Limits bounds what one conversion may take.
type Limits = source.Limits

// Formats are the extensions that Convert knows.
const Formats = source.Formats

// link makes the file at path known as name.
func link(path, name string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(abs); err != nil {
		return err
	}
	return os.Symlink(abs, name)
}

func (c *conversion) reject(reason, try string) *table.Unreadable {
	return &table.Unreadable{Name: c.src.Name, Reason: reason, Try: try}
}

// parquetMagic is how a Parquet file begins and ends.
const parquetMagic = "PAR1"

// inspectParquet refuses a file that is not Parquet.
func (c *conversion) inspectParquet(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < 12 {
		return c.reject("it is too short to be a Parquet file", "write the file again")
	}
	head, tail := make([]byte, 4), make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil {
		return err
	}
	if _, err := f.ReadAt(tail, info.Size()-4); err != nil {
		return err
	}
	switch {
	case string(head) != parquetMagic:
		return c.reject("it is not a Parquet file: it does not begin as one", "check what was uploaded")
	case string(tail) != parquetMagic:
		return c.reject("the Parquet file is cut off: its end is missing", "write or copy it again")
	}
	return c.checkNesting(f, info.Size())
}

// openParquet creates the view upload over a Parquet file.
func (c *conversion) openParquet(ctx context.Context) error {
	if err := c.checkParquet(ctx); err != nil {
		return c.damaged(err)
	}
	from := "read_parquet(" + quote(c.upload) + ", hive_partitioning = false)"
	folders, err := c.folderColumns(ctx, from)
	if err != nil {
		return c.damaged(err)
	}
	return c.damaged(c.exec(ctx, "CREATE TEMP VIEW upload AS SELECT *"+folders+" FROM "+from))
}

// folderColumns selects the columns of the contract that are in the folders of
// the file's name and not in the file, for prepare.
func (c *conversion) folderColumns(ctx context.Context, from string) (string, error) {
	if c.prep.SQL == "" {
		return "", nil
	}
	have, err := c.describe(ctx, "SELECT * FROM "+from)
	if err != nil {
		return "", err
	}
	var items strings.Builder
	for _, col := range c.prep.Columns {
		value, null, ok := source.FolderValue(c.src.Name, col.Name)
		if !ok || slices.ContainsFunc(have, func(d described) bool { return strings.EqualFold(d.name, col.Name) }) {
			continue
		}
		literal := quote(value)
		if null {
			literal = "NULL"
		}
		fmt.Fprintf(&items, ", CAST(%s AS %s) AS %s", literal, sqlType(col.Rule.Type), ident(col.Name))
	}
	return items.String(), nil
}

// damaged makes what DuckDB says about a Parquet file an answer about it.
func (c *conversion) damaged(err error) error {
	if err == nil || !aboutInput(err) || outOfMemory(err) {
		return err
	}
	return c.reject(fmt.Sprintf("the Parquet file is damaged (%s)", oneLine(err)), "write the file again")
}

// checkParquet holds what the footer says against the limits, and against what
// DuckDB would not read exactly.
func (c *conversion) checkParquet(ctx context.Context) error {
	var rows, bytes int64
	file := quote(c.upload)
	err := c.conn.QueryRowContext(ctx, "SELECT (SELECT sum(num_rows) FROM parquet_file_metadata("+file+"))::BIGINT, (SELECT coalesce(sum(total_uncompressed_size), 0) FROM parquet_metadata("+file+"))::BIGINT").Scan(&rows, &bytes)
	switch {
	case err != nil:
		return err
	case rows > c.lim.Rows:
		return c.reject(fmt.Sprintf("it has %d rows, and at most %d are allowed", rows, c.lim.Rows), "split it")
	case bytes > c.lim.Bytes:
		return c.reject(fmt.Sprintf("uncompressed it has %s, and at most %s are allowed", source.Size(bytes), source.Size(c.lim.Bytes)), "split it")
	}
	columns, err := c.parquetColumns(ctx)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for _, col := range columns {
		lower := strings.ToLower(col.name)
		if first, ok := seen[lower]; ok {
			return c.reject(fmt.Sprintf("the columns %q and %q cannot be told apart", first, col.name), "give every column a name of its own, whatever the case of its letters")
		}
		seen[lower] = col.name
		if col.precision > 38 {
			u := c.reject(fmt.Sprintf("column %q is a decimal of %d digits, and at most 38 can be read exactly", col.name, col.precision), "write it with fewer digits, or as a string")
			u.Column = col.name
			return u
		}
	}
	return nil
}

// parquetColumn is a column as the footer of a Parquet file has it.
type parquetColumn struct {
	name      string
	precision int64
}

// parquetColumns returns the columns of the file, and not what is inside them.
func (c *conversion) parquetColumns(ctx context.Context) ([]parquetColumn, error) {
	rows, err := c.conn.QueryContext(ctx, "SELECT name, coalesce(num_children, 0), coalesce(precision, 0) FROM parquet_schema("+quote(c.upload)+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []parquetColumn
	inside := int64(-1) // how many elements of the schema follow inside a column; -1 before the root
	for rows.Next() {
		var col parquetColumn
		var children int64
		if err := rows.Scan(&col.name, &children, &col.precision); err != nil {
			return nil, err
		}
		switch {
		case inside < 0:
			inside = 0
		case inside > 0:
			inside += children - 1
		default:
			columns = append(columns, col)
			inside = children
		}
	}
	return columns, rows.Err()
}
