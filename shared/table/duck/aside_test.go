package duck_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// hours is a contract of two columns: hour is there and from 0 to 23, city is
// one of two if it is there.
func hours() []source.Column {
	least, most := 0., 23.
	c := columns("hour int", "city string")
	c[0].Bounds = cell.Bounds{Required: true, Min: &least, Max: &most}
	c[1].Bounds = cell.Bounds{Values: []string{"Rome", "Oslo"}}
	return c
}

// aside converts a file and sets rows aside up to a share. It returns the table
// and the lines of the file with what was set aside.
func aside(t *testing.T, path string, in duck.PrepareInput, share float64) (got, left string, found *source.Aside, err error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "aside.jsonl")
	in.SetAside = &source.SetAside{Path: to, MaxFraction: share, Bounds: true}
	out, done, err := convert(t, path, &in, duck.Limits{})
	if err != nil {
		return "", "", nil, err
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, out), strings.TrimSpace(string(b)), done.Aside, nil
}

// TestSetAside leaves out rows that do not fit, of every format, and says which
// they are and why.
func TestSetAside(t *testing.T) {
	leaves(t)
	tests := map[string]struct {
		name, content string
		sql           string
		want, left    string
	}{
		"CSV": {
			name:    "a.csv",
			content: "hour,city\n1,Rome\n\"x\",\"a\n\"\"b\"\"\"\n2\n24,Rome\n,Oslo\n3,Paris\n4,\n5,Oslo\n",
			want:    lines("hour int, city string", "1 Rome", "4 -", "5 Oslo"),
			left: lines(
				`{"record":2,"line":3,"text":"\"x\",\"a\n\"\"b\"\"\"","faults":[{"column":"hour","value":"x","reason":"is not a whole number"},{"column":"city","value":"a\n\"b\"","reason":"is not one of the values that are allowed"}]}`,
				`{"record":3,"line":5,"text":"2","faults":[{"reason":"has 1 values, and the header has 2 columns"}]}`,
				`{"record":4,"line":6,"text":"24,Rome","faults":[{"column":"hour","value":"24","reason":"is more than 23, the most that is allowed"}]}`,
				`{"record":5,"line":7,"text":",Oslo","faults":[{"column":"hour","reason":"is missing, and the column allows no missing value"}]}`,
				`{"record":6,"line":8,"text":"3,Paris","faults":[{"column":"city","value":"Paris","reason":"is not one of the values that are allowed"}]}`,
			),
		},
		"JSON lines": {
			name:    "a.jsonl",
			content: "{\"hour\": 1, \"city\": \"Rome\"}\n{\"hour\": -1}\n{\"hour\": 2, \"new\": }\n{\"city\": \"Oslo\"}\n{\"hour\": [2]}\n\n{\"hour\": 3}\n",
			want:    lines("hour int, city string", "1 Rome", "3 -"),
			left: lines(
				`{"record":2,"line":2,"text":"{\"hour\": -1}","faults":[{"column":"hour","value":"-1","reason":"is less than 0, the least that is allowed"}]}`,
				`{"record":3,"line":3,"text":"{\"hour\": 2, \"new\": }","faults":[{"reason":"is not a JSON object: invalid character '}' at start of value"}]}`,
				`{"record":4,"line":4,"text":"{\"city\": \"Oslo\"}","faults":[{"column":"hour","reason":"is missing, and the column allows no missing value"}]}`,
				`{"record":5,"line":5,"text":"{\"hour\": [2]}","faults":[{"column":"hour","value":"[2]","reason":"is an array, which only a string column takes, as its JSON text"}]}`,
			),
		},
		"a JSON array": {
			name:    "a.json",
			content: `[{"hour": 1, "city": "Oslo"}, {"hour": "x", "city": "Rome"}]`,
			want:    lines("hour int, city string", "1 Oslo"),
			left:    `{"record":2,"text":"{\"hour\": \"x\", \"city\": \"Rome\"}","faults":[{"column":"hour","value":"x","reason":"is not a whole number"}]}`,
		},
		"Parquet": {
			name: "SELECT * FROM (VALUES (1.0, 'Rome'), (2.5, 'Oslo'), (99, NULL), (NULL, 'Rome'), (23, 'Oslo')) AS v(hour, city)",
			want: lines("hour int, city string", "1 Rome", "23 Oslo"),
			left: lines(
				`{"record":2,"text":"{\"hour\": \"2.5\", \"city\": \"Oslo\"}","faults":[{"column":"hour","value":"2.5","reason":"is not a whole number"}]}`,
				`{"record":3,"text":"{\"hour\": \"99.0\", \"city\": null}","faults":[{"column":"hour","value":"99","reason":"is more than 23, the most that is allowed"}]}`,
				`{"record":4,"text":"{\"hour\": null, \"city\": \"Rome\"}","faults":[{"column":"hour","reason":"is missing, and the column allows no missing value"}]}`,
			),
		},
		"before and after prepare": {
			name:    "a.csv",
			content: "hour,place\n1,Rome\nx,Rome\n23,Oslo\n",
			sql:     "SELECT hour + 1 AS hour, place AS city FROM upload",
			want:    lines("hour int, city string", "2 Rome"),
			left: lines(
				`{"record":2,"line":3,"text":"x,Rome","faults":[{"column":"hour","value":"x","reason":"is not a whole number"}]}`,
				`{"record":2,"text":"{\"hour\": 24, \"city\": \"Oslo\"}","of":"prepare","faults":[{"column":"hour","value":"24","reason":"is more than 23, the most that is allowed"}]}`,
			),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var path string
			if test.content == "" {
				path = parquet(t, test.name)
			} else {
				path = file(t, test.name, test.content)
			}
			got, left, found, err := aside(t, path, duck.PrepareInput{Columns: hours(), SQL: test.sql}, 0.9)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			if left != test.left {
				t.Errorf("set aside:\n%s\nwant:\n%s", left, test.left)
			}
			if n := int64(strings.Count(test.left, "\n") + 1); found.Rows != n || len(found.Reasons) == 0 {
				t.Errorf("found %d rows, want %d: %v", found.Rows, n, found.Reasons)
			}
		})
	}
}

// TestSetAsideTooMany refuses a file with more rows that do not fit than is
// allowed, with all that is wrong.
func TestSetAsideTooMany(t *testing.T) {
	leaves(t)
	var b strings.Builder
	b.WriteString("hour,city\n")
	for i := range 100 {
		fmt.Fprintf(&b, "%d,Rome\n", i*24/71) // 29 of them are above 23
	}
	path := file(t, "a.csv", b.String())
	if _, _, found, err := aside(t, path, duck.PrepareInput{Columns: hours()}, 0.29); err != nil || found.Rows != 29 {
		t.Errorf("exactly what is allowed: %+v, %v", found, err)
	}
	_, _, _, err := aside(t, path, duck.PrepareInput{Columns: hours()}, 0.28)
	const want = `a.csv: line 73, column "hour": "24" is more than 23, the most that is allowed (29 of 100 values are wrong; others: 74, 75, 76, 77, 78, ...); correct the value, or what data.columns allows
a.csv: 29 of 100 rows (29 %) would have to be set aside, and data.quarantine allows 28 %; correct the rows, or raise max_fraction`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if all := table.Unreadables(err); len(all) != 2 || all[0].Count != 29 || len(all[0].Examples) != table.MaxExamples {
		t.Errorf("got %+v", all)
	}
	_, _, _, err = aside(t, file(t, "b.csv", "hour,city\n99,Rome\n"), duck.PrepareInput{Columns: hours()}, 1)
	if err == nil || !strings.Contains(err.Error(), "no rows are left") {
		t.Errorf("all rows: %v", err)
	}
}

// TestSetAsideAddsUp holds the rows kept and the rows set aside against those
// that were written, over several batches and whatever is wrong where.
func TestSetAsideAddsUp(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	var csv, lined strings.Builder
	csv.WriteString("hour,city\n")
	bad := int64(0)
	for range 30_000 {
		switch r.IntN(12) {
		case 0:
			csv.WriteString("late,Rome\n")
			lined.WriteString(`{"hour": "late", "city": "Rome"}` + "\n")
		case 1:
			csv.WriteString("1,\"Rome\nor \"\"Oslo\"\"\"\n")
			lined.WriteString(`{"hour": 1, "city": "Rome\nor \"Oslo\""}` + "\n")
		case 2:
			csv.WriteString("1,Rome,3\n")
			lined.WriteString(`{"hour": 1` + "\n")
		default:
			bad--
			csv.WriteString("2,Oslo\n")
			lined.WriteString(`{"hour": 2, "city": "Oslo"}` + "\n")
		}
		bad++
	}
	for _, path := range []string{file(t, "a.csv", csv.String()), file(t, "a.jsonl", lined.String())} {
		got, left, found, err := aside(t, path, duck.PrepareInput{Columns: hours()}, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		kept := int64(strings.Count(got, "\n"))
		if found.Rows != bad || found.Of != 30_000 || kept+found.Rows != 30_000 || int64(strings.Count(left, "\n"))+1 != bad {
			t.Errorf("%s: %d kept, %d of %d set aside, want %d", path, kept, found.Rows, found.Of, bad)
		}
		if strings.Count(got, "2 Oslo") != int(kept) {
			t.Errorf("%s: another row than 2 Oslo was kept", path)
		}
	}
}
