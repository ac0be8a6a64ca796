package duck

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strings"

	"millrace.dev/shared/table"
)

// nulls are the texts that stand for nothing in a CSV file.
const nulls = "['', 'NA', 'NaN', 'nan', 'null', 'NULL']"

// open creates the view upload over the file. The types of its columns are
// those that its beginning suggests, or all of it if wholeSample.
func (c *conversion) open(ctx context.Context, wholeSample bool) error {
	var reader string
	switch c.in.format {
	case formatParquet:
		if err := c.checkParquet(ctx); err != nil {
			return err
		}
		reader = fmt.Sprintf("read_parquet(%s, hive_partitioning = false)", quote(c.in.path))
	case formatJSON:
		reader = fmt.Sprintf("read_json(%s, format = 'newline_delimited', records = true, sample_size = -1, maximum_object_size = %d, hive_partitioning = false%%s)",
			quote(c.in.path), c.lim.LineBytes)
	case formatCSV:
		sample := ""
		if wholeSample {
			sample = ", sample_size = -1"
		}
		reader = fmt.Sprintf(`read_csv(%s, header = true, delim = %s, quote = '"', escape = '"', nullstr = %s, max_line_size = %d, hive_partitioning = false%s%%s)`,
			quote(c.in.path), quote(string(c.in.comma)), nulls, c.lim.LineBytes, sample)
	}
	if c.in.format != formatParquet {
		found, err := c.describe(ctx, "SELECT * FROM "+fmt.Sprintf(reader, ""))
		if err != nil {
			return c.explainSniff(ctx, err)
		}
		reader = fmt.Sprintf(reader, c.asWritten(found))
	}
	return c.exec(ctx, "CREATE OR REPLACE TEMP VIEW upload AS SELECT * FROM "+reader)
}

// asWritten returns the option that keeps text as it is written in columns that
// the contract calls strings: a postcode does not lose its zeros, nor a time
// its zone.
func (c *conversion) asWritten(found []described) string {
	var types []string
	changed := false
	for _, d := range found {
		i := c.prep.Columns.Index(d.name)
		isText := i >= 0 && c.prep.Columns[i].Type == table.String && kindOf(d.typ) != unknown
		switch {
		case isText, d.typ == "JSON": // JSON: values of several types
			changed = changed || d.typ != "VARCHAR"
			d.typ = "VARCHAR"
		case c.in.format == formatCSV:
			continue
		}
		types = append(types, quote(d.name)+": "+quote(d.typ))
	}
	switch {
	case !changed:
		return ""
	case c.in.format == formatCSV:
		return ", types = {" + strings.Join(types, ", ") + "}"
	}
	return ", columns = {" + strings.Join(types, ", ") + "}"
}

// checkParquet holds what the footer says against the limits.
func (c *conversion) checkParquet(ctx context.Context) error {
	var rows, bytes int64
	file := quote(c.in.path)
	err := c.conn.QueryRowContext(ctx, "SELECT (SELECT sum(num_rows) FROM parquet_file_metadata("+file+"))::BIGINT, (SELECT coalesce(sum(total_uncompressed_size), 0) FROM parquet_metadata("+file+"))::BIGINT").Scan(&rows, &bytes)
	switch {
	case err != nil:
		return err
	case rows > c.lim.Rows:
		return c.in.reject(fmt.Sprintf("it has %d rows, and at most %d are allowed", rows, c.lim.Rows), "split it")
	case bytes > c.lim.Bytes:
		return c.in.reject(fmt.Sprintf("uncompressed it has %s, and at most %s are allowed", size(bytes), size(c.lim.Bytes)), "split it")
	}
	return nil
}

// explainSniff says why DuckDB could not make out the types of a text. About
// CSV it then only says that it could not; reading every column as text tells
// which line is at fault.
func (c *conversion) explainSniff(ctx context.Context, sniff error) error {
	if c.in.format != formatCSV || !aboutInput(sniff) || csvLine.MatchString(sniff.Error()) {
		return sniff
	}
	names, err := c.in.header()
	if err != nil {
		return c.in.reject("the header can't be read: "+err.Error(), "write the names of the columns into the first line")
	}
	var columns []string
	for i := range names {
		columns = append(columns, fmt.Sprintf("'c%d': 'VARCHAR'", i))
	}
	query := fmt.Sprintf(`SELECT count(c0) FROM read_csv(%s, auto_detect = false, header = true, delim = %s, quote = '"', escape = '"', max_line_size = %d, columns = {%s})`,
		quote(c.in.path), quote(string(c.in.comma)), c.lim.LineBytes, strings.Join(columns, ", "))
	var n int64
	if err := c.conn.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return err
	}
	return sniff
}

// header returns the names of the columns of a CSV file.
func (in *input) header() ([]string, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f))
	r.Comma, r.LazyQuotes = rune(in.comma), true
	return r.Read()
}
