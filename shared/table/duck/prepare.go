package duck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// PrepareInput is how an upload becomes a partition.
type PrepareInput struct {
	SQL       string            // one SELECT over upload, dataset and Tables; empty: the upload as it is
	Dataset   []string          // the Parquet files of the snapshot before; none: dataset is empty, with Columns
	Tables    map[string]string // name -> path of a CSV, TSV, JSON or Parquet file
	Columns   table.Schema      // what has to come out, first and in this order; nil: whatever comes out
	DropExtra bool              // leave out columns that Columns does not name
}

// linkInputs makes the files that a prepare statement reads known under plain
// names in dir, and returns their links: of the dataset, and of the tables.
func (p *PrepareInput) linkInputs(dir string) (dataset []string, tables map[string]string, err error) {
	tables = map[string]string{}
	for i, path := range p.Dataset {
		name := filepath.Join(dir, fmt.Sprintf("dataset-%05d.parquet", i))
		if err := link(path, name); err != nil {
			return nil, nil, err
		}
		dataset = append(dataset, name)
	}
	for i, name := range slices.Sorted(maps.Keys(p.Tables)) {
		path := filepath.Join(dir, fmt.Sprintf("table-%d%s", i, strings.ToLower(filepath.Ext(p.Tables[name]))))
		if err := link(p.Tables[name], path); err != nil {
			return nil, nil, err
		}
		tables[name] = path
	}
	return dataset, tables, nil
}

// run creates the view prepared: what p's statement makes of the view upload.
func (p *PrepareInput) run(ctx context.Context, s *sandbox, dataset []string, tables map[string]string) error {
	names := slices.Sorted(maps.Keys(tables))
	st, err := s.parse(ctx, p.SQL)
	if err == nil {
		err = st.check(relations(names))
	}
	if err != nil {
		return &table.Unreadable{Name: "prepare", Reason: oneLine(err), Try: "correct the statement"}
	}
	from := emptyRelation(p.Columns)
	if len(dataset) > 0 {
		from = fmt.Sprintf("SELECT * FROM read_parquet([%s], union_by_name = true, hive_partitioning = false)", quoteAll(dataset))
	}
	if err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW dataset AS "+from); err != nil {
		return fmt.Errorf("open the dataset for prepare: %w", err)
	}
	for _, name := range names {
		reader, err := tableReader(tables[name])
		if err == nil {
			err = s.exec(ctx, fmt.Sprintf("CREATE OR REPLACE TEMP VIEW %s AS SELECT * FROM %s", ident(name), reader))
		}
		if err != nil {
			return &table.Unreadable{Name: "prepare", Reason: fmt.Sprintf("table %q can't be read: %s", name, firstLine(err)), Try: "correct the file beside the pipeline file"}
		}
	}
	if err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW prepared AS "+st.text); err != nil {
		return p.explain(err)
	}
	return nil
}

// explain makes what DuckDB says about the statement a rejection.
func (p *PrepareInput) explain(err error) error {
	if !aboutInput(err) {
		return fmt.Errorf("run prepare: %w", err)
	}
	return &table.Unreadable{Name: "prepare", Reason: oneLine(err), Try: "correct the statement, or the data it reads"}
}

func tableReader(path string) (string, error) {
	switch filepath.Ext(path) {
	case ".csv":
		return fmt.Sprintf("read_csv(%s, header = true, nullstr = %s, hive_partitioning = false)", quote(path), nulls), nil
	case ".tsv":
		return fmt.Sprintf("read_csv(%s, header = true, delim = '\t', nullstr = %s, hive_partitioning = false)", quote(path), nulls), nil
	case ".json", ".jsonl", ".ndjson":
		return fmt.Sprintf("read_json(%s, hive_partitioning = false)", quote(path)), nil
	case ".parquet":
		return fmt.Sprintf("read_parquet(%s, hive_partitioning = false)", quote(path)), nil
	}
	return "", errors.New("its name ends neither in .csv, .tsv, .json, .jsonl, .ndjson nor .parquet")
}
