package duck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// unsteady are the functions whose result differs from one run to the next, or
// that touch more than their arguments. The test compares the list with what
// DuckDB itself says.
var unsteady = []string{
	"current_connection_id", "current_database", "current_date", "current_localtime", "current_localtimestamp", "current_query",
	"current_query_id", "current_role", "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp",
	"current_transaction_id", "current_user", "currval", "gen_random_uuid", "get_current_time", "get_current_timestamp", "getvariable",
	"in_search_path", "localtime", "localtimestamp", "nextval", "now", "parse_duckdb_log_message", "random", "session_user", "setseed",
	"sleep_ms", "stats", "today", "transaction_timestamp", "txid_current", "user", "uuid", "uuidv4", "uuidv7", "version", "write_log",
}

// moments are those of them that SQL lets be called without parentheses, so
// that they look like columns.
var moments = []string{"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_role", "current_user", "session_user", "user"}

// rowSources are the table functions a statement may call: they read nothing.
var rowSources = []string{"range", "generate_series", "unnest"}

// statement is one SELECT, parsed.
type statement struct {
	text string // without comments, as DuckDB writes it
	root map[string]any
}

// parse reads sql, which has to be one SELECT.
func (s *sandbox) parse(ctx context.Context, query string) (*statement, error) {
	var text string
	if err := s.conn.QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", query).Scan(&text); err != nil {
		return nil, err
	}
	var parsed struct {
		Error        bool             `json:"error"`
		ErrorType    string           `json:"error_type"`
		ErrorMessage string           `json:"error_message"`
		Position     string           `json:"position"`
		Statements   []map[string]any `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return nil, fmt.Errorf("read what DuckDB made of a statement: %w", err)
	}
	switch {
	case parsed.Error && parsed.ErrorType == "not implemented":
		return nil, errors.New("it has to be one SELECT and nothing else")
	case parsed.Error:
		return nil, errors.New(parsed.ErrorMessage + at(query, parsed.Position))
	case len(parsed.Statements) != 1:
		return nil, fmt.Errorf("it has to be one SELECT, not %d", len(parsed.Statements))
	}
	st := &statement{root: parsed.Statements[0]}
	if err := s.conn.QueryRowContext(ctx, "SELECT json_deserialize_sql(?::JSON)", text).Scan(&st.text); err != nil {
		return nil, err
	}
	return st, nil
}

// at says on which line of the text a position is.
func at(text, position string) string {
	var pos int
	if _, err := fmt.Sscan(position, &pos); err != nil || pos > len(text) {
		return ""
	}
	return fmt.Sprintf(" (line %d)", 1+strings.Count(text[:pos], "\n"))
}

// check reports everything in the statement that is not allowed when it may
// read the relations called names.
func (st *statement) check(names []string) error {
	known := slices.Clone(names)
	visit(st.root, func(node map[string]any) {
		if with, ok := node["cte_map"].(map[string]any); ok {
			entries, _ := with["map"].([]any)
			for _, e := range entries {
				if e, ok := e.(map[string]any); ok {
					known = append(known, textOf(e, "key"))
				}
			}
		}
	})
	var wrong []error
	refuse := func(format string, args ...any) {
		err := fmt.Errorf(format, args...)
		if !slices.ContainsFunc(wrong, func(w error) bool { return w.Error() == err.Error() }) {
			wrong = append(wrong, err)
		}
	}
	visit(st.root, func(node map[string]any) {
		if node["sample"] != nil {
			refuse("a sample is another one each time: choose rows by a hash, as in hash(id) %% 10 = 0")
		}
		switch {
		case textOf(node, "type") == "BASE_TABLE":
			name := textOf(node, "table_name")
			qualified := textOf(node, "schema_name") != "" || textOf(node, "catalog_name") != ""
			if qualified || !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
				refuse("it reads %q, which is not one of %s", name, strings.Join(names, ", "))
			}
		case textOf(node, "type") == "TABLE_FUNCTION":
			call, _ := node["function"].(map[string]any)
			if name := textOf(call, "function_name"); !slices.Contains(rowSources, name) {
				refuse("it reads from %s(), and may read only %s", name, strings.Join(names, ", "))
			}
		case textOf(node, "type") == "SHOW_REF":
			refuse("it describes tables; it has to select from them")
		case textOf(node, "class") == "FUNCTION" || textOf(node, "class") == "WINDOW":
			if name := textOf(node, "function_name"); slices.Contains(unsteady, name) {
				refuse("%s() has another value each time, and the same data has to give the same result", name)
			}
		case textOf(node, "class") == "COLUMN_REF":
			path, _ := node["column_names"].([]any)
			if name, _ := path[len(path)-1].(string); len(path) == 1 && slices.Contains(moments, strings.ToLower(name)) {
				refuse("%s has another value each time, and the same data has to give the same result", name)
			}
		}
	})
	return errors.Join(wrong...)
}

// has reports whether a node with this class is part of the statement.
func (st *statement) has(class string) bool {
	found := false
	visit(st.root, func(node map[string]any) { found = found || textOf(node, "class") == class })
	return found
}

// visit calls f with every object in a parsed statement.
func visit(node any, f func(map[string]any)) {
	switch n := node.(type) {
	case map[string]any:
		f(n)
		for _, child := range n {
			visit(child, f)
		}
	case []any:
		for _, child := range n {
			visit(child, f)
		}
	}
}

func textOf(node map[string]any, key string) string {
	s, _ := node[key].(string)
	return s
}

// relations are the names a prepare statement may read.
func relations(tables []string) []string {
	return append([]string{"upload", "dataset"}, tables...)
}

// ValidateExpr reports everything that is wrong with the expression of an
// SQLRule over these columns, as far as it can be told without data: that it is
// one boolean expression over the columns of one row. Without columns, their
// names and types are not checked.
func ValidateExpr(ctx context.Context, expr string, columns table.Schema) error {
	return inSandbox(ctx, func(s *sandbox) error {
		if err := s.checkExpr(ctx, expr); err != nil || len(columns) == 0 {
			return err
		}
		if err := s.exec(ctx, "CREATE TEMP VIEW t AS "+emptyRelation(columns)); err != nil {
			return err
		}
		return s.checkBoolean(ctx, expr)
	})
}

// checkExpr reports what is wrong with expr by itself.
func (s *sandbox) checkExpr(ctx context.Context, expr string) error {
	st, err := s.parse(ctx, "SELECT ("+expr+"\n) FROM t")
	if err != nil {
		return err
	}
	node, _ := st.root["node"].(map[string]any)
	items, _ := node["select_list"].([]any)
	from, _ := node["from_table"].(map[string]any)
	modifiers, _ := node["modifiers"].([]any)
	if len(items) != 1 || textOf(from, "type") != "BASE_TABLE" || node["where_clause"] != nil || len(modifiers) != 0 {
		return errors.New("it has to be one expression")
	}
	var wrong []error
	if st.has("SUBQUERY") {
		wrong = append(wrong, errors.New("it has a SELECT inside, and may only use the columns of one row"))
	}
	if st.has("WINDOW") {
		wrong = append(wrong, errors.New("it has a window function, and may only use the columns of one row"))
	}
	return errors.Join(append(wrong, st.check([]string{"t"}))...)
}

// checkBoolean reports whether expr over the view t is boolean.
func (s *sandbox) checkBoolean(ctx context.Context, expr string) error {
	// In a WHERE clause, where aggregates are refused.
	columns, err := s.describe(ctx, "SELECT (\n"+expr+"\n) AS v FROM t WHERE (\n"+expr+"\n) IS NULL")
	if err != nil {
		return errors.New(firstLine(err))
	}
	if columns[0].typ != "BOOLEAN" {
		return fmt.Errorf("it is %s, and has to be true or false", strings.ToLower(columns[0].typ))
	}
	return nil
}

// inSandbox calls f with a sandbox that can reach no file.
func inSandbox(ctx context.Context, f func(*sandbox) error) error {
	temp, err := tempDir("")
	if err != nil {
		return err
	}
	defer removeAll(temp)
	s, err := newSandbox(ctx, "256MB", 1, temp)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

// emptyRelation selects nothing from these columns.
func emptyRelation(columns table.Schema) string {
	items := make([]string, len(columns))
	for i, c := range columns {
		items[i] = "NULL::" + sqlType(c.Type) + " AS " + ident(c.Name)
	}
	if len(items) == 0 {
		items = []string{"NULL AS nothing"}
	}
	return "SELECT " + strings.Join(items, ", ") + " WHERE false"
}
