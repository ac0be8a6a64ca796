package duck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"millrace.dev/shared/table"
)

// ValidatePrepare reports everything that is wrong with the statement of p, as
// far as it can be told without an upload: whether it is one SELECT of the
// relations that it may read and of functions that it may call, whether DuckDB
// can bind it to an upload that has the columns it names, and whether a column
// of the contract is missing in what it returns. Without a contract, the last
// two are not checked.
func ValidatePrepare(ctx context.Context, p *PrepareInput) error {
	dir, err := tempDir("")
	if err != nil {
		return err
	}
	defer removeAll(dir)
	_, tables, err := p.linkInputs(dir)
	if err != nil {
		return err
	}
	var paths []string
	for _, path := range tables {
		paths = append(paths, path, tableCopy(path))
	}
	s, err := newSandbox(ctx, "256MB", 1, filepath.Join(dir, "spill"), paths...)
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := s.parse(ctx, p.SQL)
	if err == nil {
		err = st.check(relations(slices.Sorted(maps.Keys(tables))))
	}
	if err == nil {
		err = p.openRelations(ctx, s, nil, tables)
	}
	if err != nil || len(p.Columns) == 0 {
		return err
	}
	return p.bind(ctx, s, st)
}

// bind creates the view prepared over an upload without rows. The upload has the
// columns that the statement names, in the types of the contract, or as text;
// of a Parquet file they may have any other, so that a mistake is only what is
// one whatever their types.
func (p *PrepareInput) bind(ctx context.Context, s *sandbox, st *statement) error {
	var first error
	for i, variant := range []func(string) string{
		p.contractType,
		func(string) string { return "VARCHAR" },
		func(string) string { return "DOUBLE" },
		func(string) string { return "BIGINT" },
		func(string) string { return "BOOLEAN" },
		func(string) string { return "TIMESTAMP" },
	} {
		err := p.bindTo(ctx, s, variant)
		switch {
		case err == nil:
			return p.returned(ctx, s, st)
		case !aboutInput(err):
			return err
		case i == 0:
			first = err
		case oneLine(err) != oneLine(first):
			return nil // it depends on types
		}
	}
	if strings.Contains(first.Error(), "COLUMNS") {
		return nil // it names columns by a pattern
	}
	return errors.New(oneLine(first) + lineOf(first))
}

// contractType is the type of a column of the contract, or text.
func (p *PrepareInput) contractType(name string) string {
	for _, c := range p.Columns {
		if strings.EqualFold(c.Name, name) {
			return sqlType(c.Rule.Type)
		}
	}
	return "VARCHAR"
}

// noColumn matches what DuckDB says of a column that no relation has.
var noColumn = regexp.MustCompile(`Referenced column "([^"]+)" not found|does not have a column named "([^"]+)"|` +
	`Column "([^"]+)" (?:in (?:EXCLUDE|REPLACE) list not found|referenced that exists in the SELECT clause|does not exist on)`)

// maxNamed bounds the columns of an upload that a statement names.
const maxNamed = 2000

// bindTo creates the view prepared over an upload that has the columns the
// statement names, with these types.
func (p *PrepareInput) bindTo(ctx context.Context, s *sandbox, typ func(string) string) error {
	var named []string
	for {
		items := []string{"NULL AS nothing"}
		for _, name := range named {
			items = append(items, "NULL::"+typ(name)+" AS "+ident(name))
		}
		if err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW upload AS SELECT "+strings.Join(items, ", ")+" WHERE false"); err != nil {
			return err
		}
		err := s.exec(ctx, "CREATE OR REPLACE TEMP VIEW prepared AS "+p.SQL)
		if err == nil {
			return nil
		}
		found := noColumn.FindStringSubmatch(err.Error())
		if found == nil {
			return err
		}
		name := found[1] + found[2] + found[3]
		if len(named) == maxNamed || slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, name) }) {
			return err
		}
		named = append(named, name)
	}
}

// returned reports the columns of the contract that the view prepared lacks.
func (p *PrepareInput) returned(ctx context.Context, s *sandbox, st *statement) error {
	if st.has("STAR") {
		return nil // what the upload has is returned too
	}
	have, err := s.describe(ctx, "SELECT * FROM prepared")
	if err != nil {
		return err
	}
	names := make([]string, len(have))
	for i, d := range have {
		names[i] = d.name
	}
	c := conversion{prep: p}
	name, opts := c.outcome("prepared")
	err = opts.Missing(name, names)
	if u, ok := errors.AsType[*table.Unreadable](err); ok {
		return errors.New("of what prepare returns, " + u.Reason)
	}
	return err
}

var line = regexp.MustCompile(`\nLINE ([0-9]+):`)

// lineOf says on which line of a statement a mistake is, if DuckDB says so.
func lineOf(err error) string {
	var d *duckdb.Error
	if !errors.As(err, &d) {
		return ""
	}
	found := line.FindStringSubmatch(d.Msg)
	if found == nil {
		return ""
	}
	return fmt.Sprintf(" (line %s)", found[1])
}
