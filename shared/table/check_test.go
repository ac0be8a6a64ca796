package table_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/shared/table"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	r := rows{
		schema: table.Schema{{Name: "carrier", Type: table.String}, {Name: "flight", Type: table.Int}, {Name: "temp", Type: table.Float}, {Name: "late", Type: table.Bool}},
		columns: [][]any{
			{"AA", "XX", "UA", "AA", "YY", "XX"},
			{1, 2, 3, 1, nil, 2},
			{10.5, nil, -300.0, 20.0, 30.0, nil},
			{true, false, nil, true, true, false},
		},
	}
	path := write(t, "a.parquet", r)
	p := profile(t, path)
	all := func(rules ...table.ColumnRule) table.Rules { return table.Rules{Columns: rules} }

	tests := map[string]struct {
		rules table.Rules
		want  []string // check column count allowed rows: reason
	}{
		"all is well": {
			rules: table.Rules{
				Columns: []table.ColumnRule{
					{Name: "carrier", Type: table.String, Values: []string{"AA", "UA", "XX", "YY"}},
					{Name: "flight", Type: table.Int, Nulls: 0.17, Min: new(float64(1)), Max: new(float64(3)), Values: []string{"1", "2", "3"}},
					{Name: "temp", Type: table.Float, Nulls: 0.4, Min: new(float64(-300))},
					{Name: "late", Type: table.Bool, Nulls: 1, Values: []string{"true", "false"}},
				},
				ExtraReject: true,
				Rows:        []table.RowsRule{{Name: "enough", Min: 6, Max: 6}},
				Unique:      []table.UniqueRule{{Name: "mostly", Columns: []string{"carrier", "flight"}, MaxFraction: 0.4}},
			},
		},
		"values": {
			rules: all(table.ColumnRule{Name: "carrier", Type: table.String, Values: []string{"AA", "UA"}}),
			want:  []string{`values carrier 3 0 [2 5 6]: 3 of 6 values of "carrier" are not allowed: "XX" (2), "YY" (1); allowed: AA, UA`},
		},
		"values of numbers": {
			rules: all(table.ColumnRule{Name: "temp", Type: table.Float, Nulls: 1, Values: []string{"10.50", "2e1", "30", "x"}}),
			want:  []string{`values temp 1 0 [3]: 1 of 6 values of "temp" are not allowed: "-300" (1); allowed: 10.50, 2e1, 30, x`},
		},
		"nulls": {
			rules: all(table.ColumnRule{Name: "temp", Type: table.Float, Nulls: 0.1}),
			want:  []string{`nulls temp 2 0.1 [2 6]: 2 of 6 values of "temp" (33.33 %) are missing; allowed: 10 %`},
		},
		"range": {
			rules: all(table.ColumnRule{Name: "temp", Type: table.Float, Nulls: 1, Min: new(float64(-100)), Max: new(float64(29.5))}),
			want:  []string{`range temp 2 0 [3 5]: 2 of 6 values of "temp" are out of range (from -300 to 30); allowed: at least -100, at most 29.5`},
		},
		"type": {
			rules: all(table.ColumnRule{Name: "flight", Type: table.String}),
			want:  []string{`type flight 6 0 []: column "flight" is int, and has to be string`},
		},
		"missing and extra": {
			rules: table.Rules{Columns: []table.ColumnRule{{Name: "dest", Type: table.String}, {Name: "carrier", Type: table.String}, {Name: "flight", Type: table.Int, Nulls: 1}, {Name: "temp", Type: table.Float, Nulls: 1}}, ExtraReject: true},
			want: []string{
				`missing dest 6 0 []: column "dest" is missing; the columns that are there: carrier, flight, temp, late`,
				`extra late 6 0 []: column "late" is not in the contract; list it, or ignore extra columns`,
			},
		},
		"rows": {
			rules: table.Rules{Rows: []table.RowsRule{{Name: "enough", Min: 1000}, {Name: "few", Max: 5}}},
			want: []string{
				`enough  0 0 []: there are 6 rows; required: at least 1000`,
				`few  0 0 []: there are 6 rows; allowed: at most 5`,
			},
		},
		"unique": {
			rules: table.Rules{Unique: []table.UniqueRule{{Name: "no-duplicates", Columns: []string{"carrier", "flight"}}, {Name: "by-carrier", Columns: []string{"carrier"}, MaxFraction: 0.1}, {Name: "by-nothing", Columns: []string{"nothing"}}}},
			want: []string{
				`no-duplicates  2 0 [4 6]: 2 of 6 rows (33.33 %) repeat an earlier one in carrier, flight; allowed: 0 %`,
				`by-carrier  2 0.1 [4 6]: 2 of 6 rows (33.33 %) repeat an earlier one in carrier; allowed: 10 %`,
				`by-nothing nothing 6 0 []: column "nothing", which is to be unique, is missing`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			broken, err := table.Check(t.Context(), path, p, test.rules)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range broken {
				at := []int64{}
				for _, e := range b.Examples {
					at = append(at, e[table.RowKey].(int64))
				}
				got = append(got, fmt.Sprintf("%s %s %d %v %v: %s", b.Check, b.Column, b.Count, b.Allowed, at, b.Reason))
				if want := float64(b.Count) / 6; b.Fraction != want {
					t.Errorf("fraction %v, want %v", b.Fraction, want)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
	t.Run("an example is a row", func(t *testing.T) {
		broken, err := table.Check(t.Context(), path, p, table.Rules{Unique: []table.UniqueRule{{Columns: []string{"carrier", "flight"}}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(broken[0].Examples[1])
		if want := `{"_repeats":2,"_row":6,"carrier":"XX","flight":2,"late":false,"temp":null}`; err != nil || string(got) != want {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

// TestCheckOfManyValues is about columns whose values the profile does not
// know.
func TestCheckOfManyValues(t *testing.T) {
	t.Parallel()
	const n = 150_000
	r := rows{schema: table.Schema{{Name: "id", Type: table.Int}, {Name: "name", Type: table.String}}, columns: make([][]any, 2)}
	for i := range n {
		r.columns[0] = append(r.columns[0], i)
		r.columns[1] = append(r.columns[1], fmt.Sprint("n", i))
	}
	r.columns[0][140_000] = 7 // again
	path := write(t, "a.parquet", r)
	broken, err := table.Check(t.Context(), path, profile(t, path), table.Rules{
		Columns: []table.ColumnRule{
			{Name: "id", Type: table.Int, Min: new(float64(10)), Max: new(float64(n - 3))},
			{Name: "name", Type: table.String, Values: []string{"n0", "n1"}},
		},
		Unique: []table.UniqueRule{{Name: "id", Columns: []string{"id"}}, {Name: "name", Columns: []string{"name"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(broken) != 3 {
		t.Fatalf("%d checks are broken, want 3: %v", len(broken), broken)
	}
	for i, want := range []struct {
		check string
		count int64
		rows  []int64
	}{
		{"range", 10 + 1 + 2, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 140_001, n - 1, n}},
		{"values", n - 2, nil},
		{"id", 1, []int64{140_001}},
	} {
		b := broken[i]
		if b.Check != want.check || b.Count != want.count {
			t.Errorf("got %s %d, want %s %d", b.Check, b.Count, want.check, want.count)
		}
		for k, row := range want.rows {
			if b.Examples[k][table.RowKey] != row {
				t.Errorf("example %d of %s is row %v, want %d", k, b.Check, b.Examples[k][table.RowKey], row)
			}
		}
	}
	if len(broken[1].Examples) != table.MaxExamples {
		t.Errorf("%d examples", len(broken[1].Examples))
	}
}

func TestCheckWithAnotherProfile(t *testing.T) {
	t.Parallel()
	path := write(t, "a.parquet", mixed(1, 100))
	other := profile(t, write(t, "b.parquet", mixed(1, 101)))
	if _, err := table.Check(t.Context(), path, other, table.Rules{}); err == nil {
		t.Error("a profile of another table is taken")
	}
}
