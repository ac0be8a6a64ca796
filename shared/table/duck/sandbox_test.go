package duck_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// escapes are statements that would reach out of the sandbox, and what is said
// about each.
func escapes(secret, target string) map[string]struct{ sql, want string } {
	return map[string]struct{ sql, want string }{
		"a file as a function":   {"SELECT * FROM read_csv('" + secret + "')", "it reads from read_csv()"},
		"a file as a name":       {"SELECT * FROM '" + secret + "'", "it reads "},
		"text of a file":         {"SELECT * FROM read_text('" + secret + "')", "it reads from read_text()"},
		"a list of files":        {"SELECT * FROM glob('/etc/*')", "it reads from glob()"},
		"in a subquery":          {"SELECT (SELECT count(*) FROM read_csv('" + secret + "')) AS n FROM upload", "it reads from read_csv()"},
		"in a common table":      {"WITH x AS (SELECT * FROM read_blob('" + secret + "')) SELECT * FROM x", "it reads from read_blob()"},
		"in a union":             {"SELECT id FROM upload UNION ALL SELECT 1 FROM read_json('" + secret + "')", "it reads from read_json()"},
		"in a lateral join":      {"SELECT * FROM upload, LATERAL (SELECT * FROM parquet_scan('" + secret + "'))", "it reads from parquet_scan()"},
		"as text of a query":     {"SELECT * FROM query('SELECT 1')", "it reads from query()"},
		"as the name of a table": {"SELECT * FROM query_table('upload')", "it reads from query_table()"},
		"settings":               {"SELECT * FROM duckdb_settings()", "it reads from duckdb_settings()"},
		"the catalogue":          {"SELECT * FROM information_schema.tables", `it reads "tables"`},
		"copy":                   {"COPY upload TO '" + target + "'", "one SELECT"},
		"copy after a select":    {"SELECT 1; COPY (SELECT 1) TO '" + target + "'", "one SELECT"},
		"drop after a select":    {"SELECT 1; DROP VIEW upload", "one SELECT"},
		"two selects":            {"SELECT 1; SELECT 2", "one SELECT, not 2"},
		"out of the bracket":     {"SELECT 1) TO '" + target + "'; --", "syntax error"},
		"attach":                 {"ATTACH '" + target + "' AS x", "one SELECT"},
		"install":                {"INSTALL httpfs", "one SELECT"},
		"load":                   {"LOAD '" + secret + "'", "one SELECT"},
		"set":                    {"SET enable_external_access = true", "one SELECT"},
		"pragma":                 {"PRAGMA enable_profiling", "one SELECT"},
		"create":                 {"CREATE TABLE x AS SELECT 1", "one SELECT"},
		"insert":                 {"INSERT INTO upload VALUES (1)", "one SELECT"},
		"export":                 {"EXPORT DATABASE '" + target + "'", "one SELECT"},
		"the environment":        {"SELECT getenv('HOME') AS home FROM upload", "getenv"},
		"a variable":             {"SELECT getvariable('x') AS x FROM upload", "getvariable() has another value each time"},
		"chance":                 {"SELECT random() AS r FROM upload", "random() has another value each time"},
		"chance by order":        {"SELECT id FROM upload ORDER BY random()", "random() has another value each time"},
		"the clock":              {"SELECT now() AS t, current_date AS d FROM upload", "has another value each time"},
		"a sample":               {"SELECT * FROM upload USING SAMPLE 10%", "a sample is another one each time"},
		"a log entry":            {"SELECT write_log('x') AS w FROM upload", "write_log() has another value each time"},
		"no statement":           {"", "one SELECT, not 0"},
		"nonsense":               {"SELEKT 1", "syntax error"},
	}
}

func TestPrepareStaysInside(t *testing.T) {
	secret := file(t, "secret.csv", "password\nhunter2\n")
	target := filepath.Join(t.TempDir(), "target")
	upload := file(t, "a.csv", "id\n1\n")
	for name, test := range escapes(secret, target) {
		t.Run(name, func(t *testing.T) {
			if test.sql != "" { // an empty one means none
				out, _, err := convert(t, upload, &duck.PrepareInput{SQL: test.sql}, duck.Limits{})
				if u := unreadable(t, err); !strings.Contains(u.Error(), test.want) {
					t.Errorf("convert: got %v, want %q", u, test.want)
				}
				if _, err := os.Stat(out); err == nil {
					t.Error("there is a result")
				}
			}
			if name != "the environment" { // DuckDB looks for functions only when it knows the columns
				if err := duck.ValidatePrepare(t.Context(), &duck.PrepareInput{SQL: test.sql}); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("validate: got %v, want %q", err, test.want)
				}
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("the statement wrote a file")
			}
		})
	}
}

// TestSandboxHoldsByItself runs statements without looking at them first: what
// is left then is DuckDB's own lock.
func TestSandboxHoldsByItself(t *testing.T) {
	secret := file(t, "secret.csv", "password\nhunter2\n")
	target := filepath.Join(t.TempDir(), "target")
	for _, query := range []string{
		"SELECT * FROM read_csv('" + secret + "')",
		"SELECT * FROM '" + secret + "'",
		"SELECT * FROM read_text('" + secret + "')",
		"SELECT * FROM glob('/etc/*')",
		"SELECT * FROM query('FROM read_csv(''" + secret + "'')')",
		"COPY (SELECT 1) TO '" + target + "'",
		"ATTACH '" + target + "' AS x",
		"EXPORT DATABASE '" + target + "'",
		"INSTALL httpfs",
		"LOAD httpfs",
		"SET enable_external_access = true",
		"SET allowed_paths = ['" + secret + "']",
		"SET lock_configuration = false",
		"SET memory_limit = '100GB'",
		"RESET memory_limit",
	} {
		if err := duck.RunInSandbox(t.Context(), query); err == nil {
			t.Errorf("%s is allowed", query)
		}
		if _, err := os.Stat(target); err == nil {
			t.Fatalf("%s wrote a file", query)
		}
	}
}

func TestValidatePrepare(t *testing.T) {
	weather := map[string]string{"weather": file(t, "weather.csv", "seen,temp\n2024-01-01,3.5\n")}
	for _, query := range []string{
		"SELECT * FROM upload",
		"FROM upload SELECT *, hour % 24 AS h -- a remark",
		"WITH w AS (SELECT * FROM weather), x AS (SELECT * FROM w) SELECT u.* FROM Upload u ASOF JOIN x ON u.seen >= x.seen;",
		"SELECT * EXCLUDE (a), row_number() OVER (ORDER BY seen) AS n FROM dataset UNION BY NAME SELECT * FROM upload QUALIFY true",
		"SELECT unnest([1, 2]) AS i, date_trunc('day', seen) AS day FROM upload, range(3)",
		"SELECT CASE WHEN x < 0 THEN error('negative') ELSE x END AS x FROM upload",
	} {
		if err := duck.ValidatePrepare(t.Context(), &duck.PrepareInput{SQL: query, Tables: weather}); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	err := duck.ValidatePrepare(t.Context(), &duck.PrepareInput{SQL: "SELECT random() AS r, now() AS t FROM wether, read_csv('x')", Tables: weather})
	for _, want := range []string{`it reads "wether", which is not one of upload, dataset, weather`, "it reads from read_csv(), and may read only upload, dataset, weather", "random()", "now()"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want all of it, such as %q", err, want)
		}
	}
}

// Beside its form, a statement is held against the tables and the contract. What
// depends on the columns of an upload, or on their types in it, is no mistake.
func TestValidatePrepareBinds(t *testing.T) {
	in := duck.PrepareInput{
		Tables: map[string]string{"weather": file(t, "weather.csv", "seen,temp\n2024-01-01,3.5\n")},
		Columns: []source.Column{
			{Name: "late", Rule: cell.Rule{Type: table.Bool}}, {Name: "temp", Rule: cell.Rule{Type: table.Float}},
			{Name: "note", Rule: cell.Rule{Type: table.String}, Optional: true},
		},
	}
	for query, want := range map[string]string{
		"SELECT delay::INT > 15 AS late, w.temp FROM upload u ASOF JOIN weather w ON u.at::TIMESTAMP >= w.seen": "",
		"SELECT late, temp FROM upload JOIN weather USING (seen)":                                               "",
		"SELECT delay + extra > 15 AS late, temp FROM upload":                                                   "", // of Parquet
		"SELECT * EXCLUDE (delay), delay > 15 AS late FROM upload":                                              "",
		"SELECT COLUMNS('sensor_.*'), late, temp FROM upload":                                                   "",
		"SELECT late, dep_delay, upper(name) LIKE 'A%' AS n, hour + 1.5 AS temp FROM upload":                    "",
		"SELECT late,\n  w.temperature AS temp\nFROM upload JOIN weather w USING (seen)":                        `"temperature" (line 2)`,
		"SELECT late, tmperature(x) AS temp FROM upload":                                                        "tmperature does not exist",
		"SELECT delay > 15 AS late FROM upload":                                                                 "column is missing: temp",
		"SELECT count(*) > 3 AS late, hour AS temp FROM upload":                                                 "GROUP BY",
	} {
		in.SQL = query
		err := duck.ValidatePrepare(t.Context(), &in)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

func TestValidateExpr(t *testing.T) {
	columns := table.Schema{{Name: "late", Type: table.Bool}, {Name: "hour", Type: table.Int}, {Name: "carrier", Type: table.String}, {Name: "seen", Type: table.Timestamp}}
	for _, expr := range []string{"NOT (late AND hour < 0)", "hour BETWEEN 0 AND 23 -- of a day", "carrier ~ '^[A-Z0-9]{2}$'", "seen < TIMESTAMPTZ '2030-01-01'", "late"} {
		if err := duck.ValidateExpr(t.Context(), expr, columns); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for expr, want := range map[string]string{
		"hour + 1":                             "it is bigint, and has to be true or false",
		"nope > 1":                             `Referenced column "nope" not found`,
		"count(*) > 1":                         "aggregates",
		"sum(hour) OVER () > 1":                "window function",
		"(SELECT true)":                        "SELECT inside",
		"hour IN (SELECT 1 FROM '/etc/hosts')": "SELECT inside",
		"true) FROM t WHERE (false":            "",
		"true), (false":                        "one expression",
		"true) FROM t; DROP VIEW t; SELECT (1": "one SELECT",
		"random() > 0.5":                       "random() has another value each time",
		"seen < now()":                         "now() has another value each time",
		"hour >":                               "syntax error",
		"":                                     "syntax error",
	} {
		if err := duck.ValidateExpr(t.Context(), expr, columns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", expr, err, want)
		}
	}
	if err := duck.ValidateExpr(t.Context(), "anything > 1", nil); err != nil {
		t.Errorf("without columns: %v", err)
	}
}

func TestCheckSQL(t *testing.T) {
	leaves(t)
	path, _, err := convert(t, file(t, "a.csv", "carrier,delay,late,at\nAA,20,true,2013-01-01\nUA,-5,true,2013-01-02\nZZ,,,\nUA,-1,true,2013-01-03\n"), nil, duck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := duck.CheckSQL(t.Context(), path, t.TempDir(), []table.SQLRule{
		{Name: "holds", Expr: "delay > -100"},
		{Name: "on-time-is-not-late", Expr: "NOT (late\n AND delay < 0) -- as it says"},
		{Name: "mostly", Expr: "NOT (late AND delay < 0)", MaxFraction: 0.5},
		{Name: "no-column", Expr: "nope > 1"},
		{Name: "fails", Expr: "carrier::INT > 1"},
		{Name: "sees-little", Expr: "(SELECT count(*) FROM t) > 1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range broken {
		got = append(got, b.Check+": "+b.Reason)
	}
	want := lines(
		"on-time-is-not-late: 2 of 4 rows (50 %) do not satisfy NOT (late AND delay < 0) -- as it says; allowed: 0 %",
		`no-column: the check cannot be evaluated: Referenced column "nope" not found in FROM clause!`,
		"fails: the check fails on some row: Could not convert string 'AA' to INT32 when casting from source column carrier",
		"sees-little: the check cannot be evaluated: it has a SELECT inside, and may only use the columns of one row",
	)
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if b := broken[0]; b.Count != 2 || b.Fraction != 0.5 || len(b.Examples) != 2 || b.Examples[1][table.RowKey] != int64(4) || b.Examples[1]["carrier"] != "UA" || b.Examples[1]["delay"] != int64(-1) || !b.Examples[1]["at"].(time.Time).Equal(time.Date(2013, 1, 3, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", b)
	}
	if _, err := duck.CheckSQL(t.Context(), filepath.Join(t.TempDir(), "none"), "", []table.SQLRule{{Expr: "true"}}); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

// TestUnsteadyFunctions compares the list of functions that are refused with
// those of DuckDB that say they are unsteady.
func TestUnsteadyFunctions(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY') AND function_type = 'scalar' AND function_name <> 'error'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if err := duck.ValidatePrepare(t.Context(), &duck.PrepareInput{SQL: "SELECT " + name + "() AS x FROM upload"}); err == nil {
			t.Errorf("%s() is allowed, and DuckDB calls it unsteady", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
