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
	"millrace.dev/shared/table/source"
)

// PrepareInput is how an upload becomes a partition.
type PrepareInput struct {
	SQL       string            // one SELECT over upload, dataset and Tables; empty: the upload as it is
	Dataset   []string          // the Parquet files of the snapshot before; none: dataset is empty, with Columns
	Tables    map[string]string // name -> path of a CSV, TSV, JSON or Parquet file
	Columns   []source.Column   // what has to come out, first and in this order; nil: whatever comes out
	DropExtra bool              // leave out columns that Columns does not name
	Partial   bool              // leave out columns of Columns that the upload does not have
	CSV       source.Dialect    // of the upload
	Excel     source.Layout     // of the upload
	SetAside  *source.SetAside  // for rows that do not fit; nil: an upload with such rows is refused
	Nulls     []string          // words for missing values in columns that Columns does not name; nil: the default
}

// options is how the upload becomes the table, or the relation upload.
func (p *PrepareInput) options() source.Options {
	o := source.Options{Columns: p.Columns, Extra: source.Text, CSV: p.CSV, Excel: p.Excel, Nulls: p.Nulls, Partial: p.Partial, SetAside: p.SetAside}
	switch {
	case len(p.Columns) == 0:
		o.Extra = source.Infer
	case p.SQL != "":
		o.Partial = true
		if p.SetAside != nil {
			before := *p.SetAside
			before.Bounds = false // which are those of what prepare returns
			o.SetAside = &before
		}
	case p.DropExtra:
		o.Extra = source.Drop
	}
	return o
}

// schema is the columns that have to come out.
func (p *PrepareInput) schema() table.Schema {
	s := make(table.Schema, len(p.Columns))
	for i, c := range p.Columns {
		s[i] = table.Column{Name: c.Name, Type: c.Rule.Type}
	}
	return s
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
	st, err := s.parse(ctx, p.SQL)
	if err == nil {
		err = st.check(relations(slices.Sorted(maps.Keys(tables))))
	}
	if err != nil {
		return &table.Unreadable{Name: "prepare", Reason: oneLine(err), Try: "correct the statement"}
	}
	if err := p.openRelations(ctx, s, dataset, tables); err != nil {
		return err
	}
	if err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW prepared AS "+st.text); err != nil {
		return p.explain(err)
	}
	return nil
}

// openRelations creates the views dataset and of the tables.
func (p *PrepareInput) openRelations(ctx context.Context, s *sandbox, dataset []string, tables map[string]string) error {
	from := emptyRelation(p.schema())
	if len(dataset) > 0 {
		from = fmt.Sprintf("SELECT * FROM read_parquet([%s], union_by_name = true, hive_partitioning = false)", quoteAll(dataset))
	}
	if err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW dataset AS "+from); err != nil {
		return fmt.Errorf("open the dataset for prepare: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		reader, err := tableReader(ctx, tables[name])
		if err == nil {
			err = s.exec(ctx, fmt.Sprintf("CREATE OR REPLACE TEMP VIEW %s AS SELECT * FROM %s", ident(name), reader))
		}
		if err != nil {
			return &table.Unreadable{Name: "prepare", Reason: fmt.Sprintf("table %q cannot be read: %s", name, firstLine(err)), Try: "correct the file beside the pipeline file"}
		}
	}
	return nil
}

// explain makes what DuckDB says about the statement a rejection.
func (p *PrepareInput) explain(err error) error {
	if !aboutInput(err) {
		return fmt.Errorf("run prepare: %w", err)
	}
	try := "correct the statement, or the data it reads"
	if strings.Contains(err.Error(), "VARCHAR") {
		try += "; columns of the upload that data.columns does not list are text as written: cast them, as in delay::DOUBLE"
	}
	return &table.Unreadable{Name: "prepare", Reason: oneLine(err), Try: try}
}

// tableReader returns the relation in a file beside the pipeline file. Of a CSV
// file the types are the narrowest that all values have.
func tableReader(ctx context.Context, path string) (string, error) {
	switch filepath.Ext(path) {
	case ".csv", ".tsv":
		// The sandbox knows the file by the name of its plain copy.
		src := source.Source{Path: path, Name: filepath.Base(path)}
		if _, err := source.Read(ctx, src, source.Options{}, source.Limits{}, tableCopy(path)); err != nil {
			return "", err
		}
		return fmt.Sprintf("read_parquet(%s, hive_partitioning = false)", quote(tableCopy(path))), nil
	case ".json", ".jsonl", ".ndjson":
		return fmt.Sprintf("read_json(%s, sample_size = -1, map_inference_threshold = -1, hive_partitioning = false)", quote(path)), nil
	case ".parquet":
		return fmt.Sprintf("read_parquet(%s, hive_partitioning = false)", quote(path)), nil
	}
	return "", errors.New("its name ends neither in .csv, .tsv, .json, .jsonl, .ndjson nor .parquet")
}

// tableCopy is where a CSV file beside the pipeline file lies as Parquet.
func tableCopy(path string) string { return path + ".parquet" }
