package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGlobs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		glob, bucket, key string
		want              bool
	}{
		{"flights/*.parquet", "", "flights/2013-01.parquet", true},
		{"flights/*.parquet", "", "flights/.parquet", true},
		{"flights/*.parquet", "", "flights/2013/01.parquet", false},
		{"flights/*.parquet", "", "xflights/01.parquet", false},
		{"flights/*.parquet", "", "flights/01.parquet.gz", false},
		{"flights/*.parquet", "s3://lake", "flights/01.parquet", false},
		{"flights/**", "", "flights/2013/01.parquet", true},
		{"flights/**/*.csv", "", "flights/a/b/c.csv", true},
		{"flights/**/*.csv", "", "flights/c.csv", true},
		{"flights/**/*.csv", "", "flightsc.csv", false},
		{"**/x", "", "x", true},
		{"**/x", "", "a/b/x", true},
		{"**/x", "", "ax", false},
		{"**.csv", "", "a/b.csv", true},
		{"a?c", "", "abc", true},
		{"a?c", "", "a/c", false},
		{"*", "", "", true},
		{"*", "", "a/b", false},
		{"s3://lake/in/*.csv", "s3://lake", "in/a.csv", true},
		{"s3://lake/in/*.csv", "", "in/a.csv", false},
		{"s3://lake/in/*.csv", "s3://pond", "in/a.csv", false},
		{"gs://lake/**", "gs://lake", "in/a.csv", true},
		{"gs://lake/**", "s3://lake", "in/a.csv", false},
		{"[a].csv", "", "[a].csv", true},
		{strings.Repeat("*a", 200), "", strings.Repeat("a", 1000) + "b", false},
		{strings.Repeat("**/", 200) + "x", "", strings.Repeat("a/", 500), false},
	}
	for _, tt := range tests {
		p := &Pipeline{Spec: Spec{Data: Data{Uploads: []string{tt.glob}, Labels: Labels{Uploads: []string{"never", tt.glob}}}}}
		if got := p.WantsUpload(tt.bucket, tt.key); got != tt.want {
			t.Errorf("%.40s wants %.40s in %q: %v, want %v", tt.glob, tt.key, tt.bucket, got, tt.want)
		}
		if got := p.WantsLabels(tt.bucket, tt.key); got != tt.want {
			t.Errorf("%.40s wants labels %.40s in %q: %v, want %v", tt.glob, tt.key, tt.bucket, got, tt.want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"30d": "30d", "24h": "1d", "36h": "1d12h", "90m": "1h30m", "0s": "0s", "1d2h3m4.5s": "1d2h3m4.5s",
		"250ms": "250ms", "60m": "1h", "0d": "0s", "1m": "1m",
	} {
		d, err := ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("%s is %s (%v), want %s", text, d, err, want)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%s reads back as %s (%v)", d, again, err)
		}
	}
	for _, text := range []string{"", "1", "-1h", "+1h", "d", "1 h", "1w", "d1", "1d-1h", "1.5d", "99999999d", "9999999h", "+1d", "-1d"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %s, want an error", text, d)
		}
	}
	if d, _ := ParseDuration("1d1h"); d.Std() != 25*time.Hour {
		t.Errorf("1d1h is %s", d.Std())
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	p, err := Parse("p", []byte(`
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  data:
    uploads: [p/*]
    columns:
      b: {type: string}
      a: {type: int}
      grade: {type: int, values: [10, 9, 2]}
  model: {task: multiclass_classification, label: grade, features: [b, a]}
  monitor: {drift: {test: ks, threshold: 0.3, columns: {a: {p_value: 0.5}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	names := func(cols []Column) (names []string) {
		for _, c := range cols {
			names = append(names, c.Name)
		}
		return names
	}
	if got := names(p.Columns()); !slices.Equal(got, []string{"a", "b", "grade"}) {
		t.Errorf("columns are %v", got)
	}
	if got := names(p.Features()); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("features are %v", got)
	}
	if got := p.Classes(); !slices.Equal(got, []string{"2", "9", "10"}) {
		t.Errorf("classes are %v", got)
	}
	if label, ok := p.Label(); !ok || label.Name != "grade" || !label.Numeric() {
		t.Errorf("label is %+v", label)
	}
	if _, ok := p.Column("c"); ok || p.Trains() {
		t.Error("there is a column c, or a trainer")
	}
	for column, want := range map[string]DriftTest{
		"a":             {TestKS, 0.3, 0.5},
		"b":             {TestPSI, 0.3, 0.01},
		DriftPrediction: {TestKS, 0.3, 0.01},
	} {
		if got := p.DriftTest(column); got != want {
			t.Errorf("drift test of %s is %+v, want %+v", column, got, want)
		}
	}
}

func TestFromJSONIsTotal(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{}`: true, `{"spec":{"newer":1,"data":{"columns":{"a":{"type":"tensor","x":1}}}}}`: true,
		`{"spec":7}`: true, `{"spec":{"train":{"timeout":"soon","retries":"x","command":null}}}`: true,
		`{"spec":{"model":{"classes":[null,{}]},"promote":{"strategy":"canary"}}}`: true,
		``: false, `[]`: false, `{`: false, `{} {}`: false, `null`: false,
	} {
		p, err := FromJSON([]byte(text))
		if (err == nil) != ok {
			t.Errorf("FromJSON(%s): %v", text, err)
		}
		if err == nil {
			p.JSON()
		}
	}
	p, err := FromJSON([]byte(`{"spec":{"data":{"columns":{"late":{"type":"bool"}}},"model":{"task":"binary_classification","label":"late"}}}`))
	if err != nil || !slices.Equal(p.Classes(), []string{"false", "true"}) || p.Spec.Monitor.Every.Rows != 5000 {
		t.Errorf("read %+v, %v", p, err)
	}
}
