package trainlauncher

import (
	"fmt"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// fits refuses partitions whose columns are not those of the contract: they were
// read under an earlier one, and a model cannot be trained on both.
func fits(c *config.Pipeline, in []source) error {
	var first string
	count := 0
	for _, s := range in {
		schema, _, err := table.ReadSchema(s.path)
		if err != nil {
			return err
		}
		if why := differs(schema, c.Columns()); why != "" {
			if count++; count == 1 {
				first = fmt.Sprintf("the partition of %s was read under an earlier contract: %s", s.Object.Name(), why)
			}
		}
	}
	if count == 0 {
		return nil
	}
	if count > 1 {
		first += fmt.Sprintf(" (%d of %s in the training data)", count, humanize.Count(len(in), "partition"))
	}
	return &table.Unreadable{Reason: first, Try: "read the kept uploads again under this contract: millrace reingest " + c.Name()}
}

// differs says what of the contract's columns a partition lacks, "" if nothing.
func differs(have table.Schema, want []config.Column) string {
	var why []string
	for _, c := range want {
		i := have.Index(c.Name)
		switch {
		case i < 0:
			why = append(why, fmt.Sprintf("it has no column %q", c.Name))
		case have[i].Type != table.Type(c.Type):
			why = append(why, fmt.Sprintf("column %q is %s, and has to be %s", c.Name, have[i].Type, c.Type))
		}
	}
	return strings.Join(why, "; ")
}

// named is how many partitions a warning names.
const named = 5

// outdated warns of partitions that were read under an earlier contract, whose
// values may mean something else or be no longer allowed.
func outdated(p *state.Pipeline, in []source) []events.Problem {
	old := map[string]bool{}
	for _, m := range p.Outdated() {
		old[m.Object.Name()+" "+m.Data.Digest] = true
	}
	var names []string
	var rows int64
	for _, s := range in {
		if old[s.Object.Name()+" "+s.Data.Digest] {
			names = append(names, s.Object.Name())
			rows += s.Rows
		}
	}
	if len(names) == 0 {
		return nil
	}
	list := strings.Join(names[:min(len(names), named)], ", ")
	if more := len(names) - named; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return []events.Problem{{
		Check: "contract", Count: rows,
		Reason: fmt.Sprintf("%d of %s read under an earlier contract: %s; to read again: millrace reingest %s", len(names), humanize.Count(len(in), "partition"), list, p.Name),
	}}
}
