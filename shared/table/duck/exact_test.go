package duck_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

var (
	exactDir    = flag.String("exact", "", "folder that testdata/exact/sets.py wrote: hold real data sets against pandas")
	exactReadme = flag.String("exact-readme", "", "page whose table of the data sets is written")
)

// exactColumn is what pandas says of a column.
type exactColumn struct {
	Name    string
	Type    table.Type
	Figures struct {
		Count, Nulls, Distinct int64
		Mean, Std              *float64
		Quantiles              []float64
	}
}

// TestExact reads real data sets as CSV, JSON lines, Parquet and Arrow, and holds
// every cell and every figure of the profile against pandas. See make exact.
func TestExact(t *testing.T) {
	if *exactDir == "" {
		t.Skip("it runs on demand: make exact")
	}
	files, err := filepath.Glob(filepath.Join(*exactDir, "*.want.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no data sets in %s: %v", *exactDir, err)
	}
	formats := []string{"csv", "jsonl", "parquet", "feather"}
	page := []string{"| data set | rows | columns | missing | cells that differ: CSV | JSON lines | Parquet | Arrow | figures that differ |", "|---|---|---|---|---|---|---|---|---|"}
	var cells int64
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".want.jsonl")
		about := exactColumns(t, filepath.Join(*exactDir, name+".json"))
		want := exactCells(t, file)
		row := fmt.Sprintf("| %s | %d | %d | %d |", name, len(want), len(about), exactNulls(about))
		figures := 0
		for _, format := range formats {
			out := filepath.Join(t.TempDir(), "out.parquet")
			path := filepath.Join(*exactDir, name+"."+format)
			if _, err := duck.Convert(t.Context(), duck.Source{Path: path, Name: filepath.Base(path)}, &duck.PrepareInput{Columns: exactContract(about)}, out, duck.Limits{}); err != nil {
				t.Errorf("%s.%s: %v", name, format, err)
				row += " refused |"
				continue
			}
			differ := exactDiffer(t, name+"."+format, out, want)
			cells += int64(len(want) * len(about))
			row += fmt.Sprintf(" %d |", differ)
			figures += exactFigures(t, name+"."+format, out, about)
		}
		page = append(page, row+fmt.Sprintf(" %d |", figures))
	}
	page = append(page, "", fmt.Sprintf("%d data sets, %d cells.", len(files), cells))
	t.Log("\n" + strings.Join(page, "\n"))
	if *exactReadme != "" && !t.Failed() {
		writeBetween(t, *exactReadme, "<!-- exact -->", strings.Join(page, "\n"))
	}
}

func exactColumns(t *testing.T, path string) (columns []exactColumn) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &columns)
	}
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

func exactContract(about []exactColumn) []source.Column {
	schema := make(table.Schema, len(about))
	for i, c := range about {
		schema[i] = table.Column{Name: c.Name, Type: c.Type}
	}
	return source.Columns(schema)
}

func exactNulls(about []exactColumn) (n int64) {
	for _, c := range about {
		n += c.Figures.Nulls
	}
	return n
}

// exactCells reads the cells as pandas has them, with numbers as written.
func exactCells(t *testing.T, path string) (rows [][]any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(bufio.NewReader(f))
	d.UseNumber()
	for {
		var row []any
		if err := d.Decode(&row); errors.Is(err, io.EOF) {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// exactDiffer returns how many cells of the table at path differ, and tells the
// first of them.
func exactDiffer(t *testing.T, name, path string, want [][]any) (differ int) {
	t.Helper()
	r, err := table.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	row := 0
	for {
		b, err := r.Next(10_000)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			for k := range b.Columns {
				if row < len(want) && sameCell(&b.Columns[k], i, want[row][k]) {
					continue
				}
				if differ++; differ <= 3 {
					t.Errorf("%s: row %d, column %q differs", name, row+1, b.Schema[k].Name)
				}
			}
			row++
		}
	}
	if row != len(want) {
		t.Errorf("%s: %d rows, and pandas has %d", name, row, len(want))
	}
	return differ
}

// sameCell reports whether a cell is the value that pandas has, bit for bit.
func sameCell(v *table.Vector, i int, want any) bool {
	if v.Null(i) || want == nil {
		return v.Null(i) && want == nil
	}
	switch want := want.(type) {
	case string:
		return v.Strings != nil && v.Strings[i] == want
	case bool:
		return v.Bools != nil && v.Bools[i] == want
	case json.Number:
		if v.Floats != nil {
			f, err := strconv.ParseFloat(want.String(), 64)
			return err == nil && math.Float64bits(v.Floats[i]+0) == math.Float64bits(f+0)
		}
		return v.Ints != nil && strconv.FormatInt(v.Ints[i], 10) == want.String()
	}
	return false
}

// exactFigures returns how many figures of the profile differ from those of
// pandas: sums beyond the last digits, the others at all.
func exactFigures(t *testing.T, name, path string, about []exactColumn) (differ int) {
	t.Helper()
	p, err := table.ProfileFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(column, figure string, same bool) {
		if !same {
			differ++
			t.Errorf("%s: %s of column %q differs", name, figure, column)
		}
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }
	for i := range about {
		want, c := about[i].Figures, p.Column(about[i].Name)
		check(c.Name, "the number of values", c.Count == want.Count && c.Nulls == want.Nulls)
		check(c.Name, "the number of distinct values", c.Distinct == want.Distinct || !c.Exact)
		if want.Mean != nil && c.Mean != nil && c.Std != nil {
			check(c.Name, "the mean", near(*c.Mean, *want.Mean))
			check(c.Name, "the deviation", near(*c.Std, *want.Std))
			check(c.Name, "a quantile", !c.Exact || slices.EqualFunc(c.Quantiles, want.Quantiles, near))
		}
	}
	return differ
}

// writeBetween replaces what is between two marks of a page.
func writeBetween(t *testing.T, page, mark, text string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), mark)
	if len(parts) != 3 {
		t.Fatalf("%s has the mark %s %d times, and must have it twice", page, mark, len(parts)-1)
	}
	parts[1] = "\n" + text + "\n"
	if err := os.WriteFile(page, []byte(strings.Join(parts, mark)), 0o600); err != nil {
		t.Fatal(err)
	}
}
