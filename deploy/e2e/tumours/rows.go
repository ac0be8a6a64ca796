package tumours

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/shared/table"
)

// Rows are some tumours.
type Rows struct{ batch *table.Batch }

// Draw draws n tumours with replacement, with a little noise, so that each
// seed makes different rows, and the same seed the same rows.
func Draw(t testing.TB, n int, seed uint64) Rows { return draw(t, n, seed, 0) }

// Drifted draws as Draw does, with measurements that are larger by a half.
func Drifted(t testing.TB, n int, seed uint64) Rows { return draw(t, n, seed, 0.5) }

func draw(t testing.TB, n int, seed uint64, growth float64) Rows {
	t.Helper()
	r, err := table.Open(filepath.Join(testdata(t), "tumours.parquet"), nil)
	must(t, err)
	defer r.Close()
	all, err := r.Next(int(r.Rows()))
	must(t, err)
	rng := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // the same rows each time are wanted
	out := &table.Batch{Schema: all.Schema, Rows: n, Columns: make([]table.Vector, len(all.Columns))}
	for range n {
		i := rng.IntN(all.Rows)
		for c, v := range all.Columns {
			o := &out.Columns[c]
			switch {
			case v.Floats != nil:
				o.Floats = append(o.Floats, v.Floats[i]*(1+growth+rng.NormFloat64()/1000))
			case v.Strings != nil:
				o.Strings = append(o.Strings, v.Strings[i])
			case v.Bools != nil:
				o.Bools = append(o.Bools, v.Bools[i])
			}
		}
	}
	return Rows{out}
}

// Len is the number of rows.
func (r Rows) Len() int { return r.batch.Rows }

// Parquet is the rows as a Parquet file.
func (r Rows) Parquet(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.parquet")
	w, err := table.Create(path, r.batch.Schema)
	must(t, err)
	must(t, w.Write(r.batch))
	must(t, w.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// CSV is the rows as CSV.
func (r Rows) CSV() []byte {
	var b strings.Builder
	b.WriteString(strings.Join(r.batch.Schema.Names(), ",") + "\n")
	for i := range r.batch.Rows {
		for c := range r.batch.Columns {
			if c > 0 {
				b.WriteByte(',')
			}
			fmt.Fprint(&b, r.value(c, i))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// Features are the rows from one on to another as a request asks for their
// prediction.
func (r Rows) Features(t testing.TB, from, to int) (out []json.RawMessage) {
	t.Helper()
	for i := from; i < to; i++ {
		row := map[string]any{}
		for c, column := range r.batch.Schema {
			if strings.HasPrefix(column.Name, "mean_") {
				row[column.Name] = r.value(c, i)
			}
		}
		b, err := json.Marshal(row)
		must(t, err)
		out = append(out, b)
	}
	return out
}

// Benign is the label of a row.
func (r Rows) Benign(i int) bool { return r.batch.Column("benign").Bools[i] }

// Size is the size class of a row, which is no feature.
func (r Rows) Size(i int) string { return r.batch.Column("size").Strings[i] }

func (r Rows) value(column, row int) any {
	switch v := r.batch.Columns[column]; {
	case v.Floats != nil:
		return v.Floats[row]
	case v.Strings != nil:
		return v.Strings[row]
	default:
		return v.Bools[row]
	}
}

func testdata(t testing.TB) string {
	t.Helper()
	root, err := env.Root()
	must(t, err)
	return filepath.Join(root, "functions", "evaluate", "testdata")
}
