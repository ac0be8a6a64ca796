package duck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// sandbox is a database in memory that can touch nothing but some files.
type sandbox struct {
	db   *sql.DB
	conn *sql.Conn
}

// maxSpill is what a statement may put on disk of what does not fit into memory.
const maxSpill = "16GB"

// newSandbox returns a sandbox that can reach the files called paths. What does
// not fit into memory is put into temp, a folder.
func newSandbox(ctx context.Context, memory string, threads int, temp string, paths ...string) (*sandbox, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	s := &sandbox{db: sql.OpenDB(connector)} // closing it closes the connector
	if s.conn, err = s.db.Conn(ctx); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	settings := []string{
		fmt.Sprintf("SET threads = %d", threads),
		"SET memory_limit = " + quote(memory),
		"SET temp_directory = " + quote(temp),
		"SET max_temp_directory_size = " + quote(maxSpill),
		"SET TimeZone = 'UTC'",
		"SET preserve_insertion_order = true",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allowed_paths = [" + quoteAll(paths) + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}
	for _, set := range settings {
		if err := s.exec(ctx, set); err != nil {
			return nil, errors.Join(fmt.Errorf("set up DuckDB: %w", err), s.Close())
		}
	}
	return s, nil
}

func (s *sandbox) exec(ctx context.Context, query string) error {
	_, err := s.conn.ExecContext(ctx, query)
	return err
}

// Close ends the database and gives its memory back.
func (s *sandbox) Close() error {
	defer giveBack()
	s.conn.Close()
	return s.db.Close()
}

// described is a column as DuckDB names it and its type.
type described struct{ name, typ string }

// describe returns the columns of a query.
func (s *sandbox) describe(ctx context.Context, query string) ([]described, error) {
	rows, err := s.conn.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+query+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []described
	for rows.Next() {
		var c described
		if err := rows.Scan(&c.name, &c.typ); err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// tempDir makes a folder for what a sandbox needs while it runs, in scratch.
func tempDir(scratch string) (string, error) { return os.MkdirTemp(scratch, "millrace-table-*") }

// quote writes s as a string in SQL.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// ident writes s as a name in SQL.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteAll(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ", ")
}
