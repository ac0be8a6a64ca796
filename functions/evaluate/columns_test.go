package evaluate

import (
	"testing"

	"millrace.dev/config"
)

func TestChangedColumns(t *testing.T) {
	t.Parallel()
	pipeline := func(columns map[string]string, features ...string) *config.Pipeline {
		p := &config.Pipeline{}
		p.Spec.Data.Columns = map[string]config.Column{}
		for name, typ := range columns {
			p.Spec.Data.Columns[name] = config.Column{Type: typ}
		}
		p.Spec.Model.Features = features
		return p
	}
	champion := pipeline(map[string]string{"hour": "int", "wind": "float", "late": "bool"}, "hour", "wind")
	tests := map[string]struct {
		now  *config.Pipeline
		want string
	}{
		"the same":          {champion, ""},
		"in another order":  {pipeline(map[string]string{"hour": "int", "wind": "float"}, "wind", "hour"), ""},
		"a column more":     {pipeline(map[string]string{"hour": "int", "wind": "float", "temp": "float"}, "hour", "temp", "wind"), "it reads other columns than champion v3: also temp"},
		"another for one":   {pipeline(map[string]string{"hour": "int", "temp": "float"}, "hour", "temp"), "it reads other columns than champion v3: also temp; no longer wind"},
		"another type":      {pipeline(map[string]string{"hour": "string", "wind": "float"}, "hour", "wind"), "it reads other columns than champion v3: with another type hour"},
		"a column not read": {pipeline(map[string]string{"hour": "int", "wind": "float", "late": "string"}, "hour", "wind"), ""},
	}
	for name, test := range tests {
		got := ""
		if change := changedColumns(test.now, champion); change != nil {
			change.Champion = 3
			got = change.String()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
