package duck

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/apart"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/source"
)

func TestMain(m *testing.M) {
	if code, was := apart.Main(Tasks...); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func write(t testing.TB, name string, data []byte) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "upload"+filepath.Ext(name))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Source{Path: path, Name: name}
}

// TestApartIsTheSame converts the same in this process and in another.
func TestApartIsTheSame(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	none := byte(0)
	src := write(t, "a.csv", []byte("a;b;c;d\n1;2026-07-01 12:00:00;-;x\n2;2026-01-01 12:00:00;7;\"y\n"))
	in := &PrepareInput{
		SQL: "SELECT * FROM upload ORDER BY a DESC",
		Columns: []source.Column{
			{Name: "a", Rule: cell.Rule{Type: table.Int}}, {Name: "b", Rule: cell.Rule{Type: table.Timestamp, Zone: berlin}},
			{Name: "c", Rule: cell.Rule{Type: table.Float, Nulls: []string{"-"}}}, {Name: "e", Optional: true, Default: "no", Rule: cell.Rule{Type: table.Bool}},
		},
		CSV: source.Dialect{Delimiter: ';', Quote: &none}, Nulls: []string{},
	}
	here, err := Convert(t.Context(), src, in, filepath.Join(t.TempDir(), "out"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	there, err := ConvertApart(t.Context(), src, in, filepath.Join(t.TempDir(), "out"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if here.Digest != there.Digest || here.Rows != there.Rows || fmt.Sprint(here.Schema) != fmt.Sprint(there.Schema) {
		t.Errorf("%+v here, %+v there", here, there)
	}
	if in.Columns[1].Rule.Zone != berlin {
		t.Error("the caller's contract was changed")
	}
}

func TestApartRefuses(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("a\n"))
	for range 20 {
		_, _ = z.Write(bytes.Repeat([]byte("1\n"), 1<<19))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	ok := "a\n1\n"
	tests := map[string]struct {
		src  Source
		sql  string
		want string
	}{
		"a value":            {write(t, "a.csv", []byte("a\nx\n")), "", `"x"`},
		"a deep line":        {write(t, "a.jsonl", []byte(`{"a":`+strings.Repeat("[", 32000)+strings.Repeat("]", 32000)+"}\n")), "", "a.jsonl"},
		"a bomb":             {write(t, "a.csv.gz", packed.Bytes()), "", "more than the 4 MiB that are allowed"},
		"memory of prepare":  {write(t, "a.csv", []byte(ok)), "SELECT repeat('x', 4000000000 + a) AS a FROM upload", "memory"},
		"time of prepare":    {write(t, "a.csv", []byte(ok)), "SELECT sum(hash(r.range + a)) AS a FROM upload, range(1000000000000) AS r", "longer than the 3s"},
		"a file of somebody": {write(t, "a.csv", []byte(ok)), "SELECT * FROM read_csv('/etc/passwd')", "prepare"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &PrepareInput{SQL: test.sql, Columns: []source.Column{{Name: "a", Rule: cell.Rule{Type: table.Int}}}}
			lim := Limits{Bytes: 4 << 20, Memory: "256MB", Timeout: time.Minute}
			if name == "time of prepare" {
				lim.Timeout = 3 * time.Second
			}
			_, err := ConvertApart(t.Context(), test.src, in, filepath.Join(t.TempDir(), "out"), lim)
			if us := table.Unreadables(err); us == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want a rejection with %q", err, test.want)
			}
		})
	}
}

// TestCheckApart lets a check take all memory.
func TestCheckApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.parquet")
	if _, err := Convert(t.Context(), write(t, "a.csv", []byte("a\n9007199254740993\n2\n")), nil, path, Limits{}); err != nil {
		t.Fatal(err)
	}
	rules := []table.SQLRule{{Name: "small", Expr: "a < 10"}}
	here, err := CheckSQL(t.Context(), path, "", rules)
	there, err2 := CheckSQLApart(t.Context(), path, "", rules)
	if err := errors.Join(err, err2); err != nil || fmt.Sprint(here) != fmt.Sprint(there) {
		t.Errorf("%v here, %v there, %v", here, there, err)
	}
	rules = append(rules, table.SQLRule{Name: "large", Expr: "length(repeat('x', 4000000000 + a % 2)) > 0"})
	there, err = CheckSQLApart(t.Context(), path, "", rules)
	if err != nil || len(there) != 2 {
		t.Errorf("%v %v", there, err)
	}
}

func BenchmarkConvert(b *testing.B) {
	src := write(b, "a.csv", []byte("a,b\n"+strings.Repeat("1,2\n", 1000)))
	out := filepath.Join(b.TempDir(), "out")
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			if _, err := Convert(b.Context(), src, nil, out, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("apart", func(b *testing.B) {
		for b.Loop() {
			if _, err := ConvertApart(b.Context(), src, nil, out, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
