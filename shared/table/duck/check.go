package duck

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"millrace.dev/shared/table"
)

// checkMemory is how much memory checks may take; they need little, since they
// look at one row at a time.
const checkMemory = "256MB"

// CheckSQL returns the rules that do not hold for the table at path, in their
// order. As with CHECK in SQL, a row for which an expression is null passes. A
// rule that cannot be evaluated over these rows (a cast that fails, a column
// that is not there) is broken, with the reason. What is needed meanwhile lies
// in the folder scratch, or where the system keeps temporary files if it is
// empty.
func CheckSQL(ctx context.Context, path, scratch string, rules []table.SQLRule) ([]table.Broken, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	dir, err := tempDir(scratch)
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	name := filepath.Join(dir, "table.parquet")
	if err := link(path, name); err != nil {
		return nil, err
	}
	s, err := newSandbox(ctx, checkMemory, runtime.GOMAXPROCS(0), filepath.Join(dir, "spill"), name)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.exec(ctx, fmt.Sprintf("CREATE TEMP VIEW t AS SELECT * FROM read_parquet(%s, hive_partitioning = false)", quote(name))); err != nil {
		return nil, fmt.Errorf("open %s for checks: %w", filepath.Base(path), err)
	}
	return s.checkAll(ctx, name, rules)
}

// checkAll counts the rows that break the rules, all in one pass; only for
// rules that are broken it looks for rows.
func (s *sandbox) checkAll(ctx context.Context, path string, rules []table.SQLRule) ([]table.Broken, error) {
	var broken []table.Broken
	unusable := map[string]error{}
	var counts []string
	for _, r := range rules {
		err := s.checkExpr(ctx, r.Expr)
		if err == nil {
			err = s.checkBoolean(ctx, r.Expr)
		}
		if err != nil {
			unusable[r.Name] = err
			continue
		}
		counts = append(counts, fmt.Sprintf("count(*) FILTER (WHERE NOT (\n%s\n))", r.Expr))
	}
	rows, _, err := s.count(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("count the rows: %w", err)
	}
	_, found, failed := s.count(ctx, counts)
	if failed != nil && !aboutInput(failed) {
		return nil, fmt.Errorf("check the rows: %w", failed)
	}
	for _, r := range rules {
		if unusable[r.Name] != nil {
			broken = append(broken, table.Broken{Check: r.Name, Reason: "the check cannot be evaluated: " + oneLine(unusable[r.Name]), Count: rows, Fraction: 1, Allowed: r.MaxFraction})
			continue
		}
		var n int64
		if failed == nil {
			n, found = found[0], found[1:]
		} else {
			// One of them fails on some row: find out which.
			_, alone, err := s.count(ctx, []string{fmt.Sprintf("count(*) FILTER (WHERE NOT (\n%s\n))", r.Expr)})
			if err != nil && !aboutInput(err) {
				return nil, fmt.Errorf("check %q: %w", r.Name, err)
			}
			if err != nil {
				broken = append(broken, table.Broken{Check: r.Name, Reason: "the check fails on some row: " + oneLine(err), Count: rows, Fraction: 1, Allowed: r.MaxFraction})
				continue
			}
			n = alone[0]
		}
		share := 0.
		if rows > 0 {
			share = float64(n) / float64(rows)
		}
		if n == 0 || share <= r.MaxFraction {
			continue
		}
		b := table.Broken{Check: r.Name, Count: n, Fraction: share, Allowed: r.MaxFraction}
		b.Reason = fmt.Sprintf("%d of %d rows (%s) do not satisfy %s; allowed: %s", n, rows, table.Percent(share), strings.Join(strings.Fields(r.Expr), " "), table.Percent(r.MaxFraction))
		if b.Examples, err = s.examples(ctx, path, r.Expr); err != nil {
			return nil, fmt.Errorf("find rows that break %q: %w", r.Name, err)
		}
		broken = append(broken, b)
	}
	return broken, nil
}

// count returns the number of rows and what the aggregates yield.
func (s *sandbox) count(ctx context.Context, aggregates []string) (int64, []int64, error) {
	var rows int64
	found := make([]int64, len(aggregates))
	into := []any{&rows}
	for i := range found {
		into = append(into, &found[i])
	}
	query := "SELECT " + strings.Join(append([]string{"count(*)"}, aggregates...), ", ") + " FROM t"
	err := s.conn.QueryRowContext(ctx, query).Scan(into...)
	return rows, found, err
}

// examples returns the first rows for which expr is false.
func (s *sandbox) examples(ctx context.Context, path, expr string) ([]map[string]any, error) {
	query := fmt.Sprintf("SELECT * FROM read_parquet(%s, hive_partitioning = false, file_row_number = true) WHERE NOT (\n%s\n) LIMIT %d", quote(path), expr, table.MaxExamples)
	rows, err := s.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var examples []map[string]any
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		example := map[string]any{}
		for i, name := range columns {
			if f, ok := values[i].(float64); ok && f-f != 0 {
				values[i] = fmt.Sprint(f) // JSON has neither NaN nor infinity
			}
			example[name] = values[i]
		}
		if n, ok := example["file_row_number"].(int64); ok {
			example[table.RowKey] = n + 1
		}
		delete(example, "file_row_number")
		examples = append(examples, example)
	}
	return examples, rows.Err()
}
