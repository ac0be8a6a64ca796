package validate

import (
	"millrace.dev/config"
	"millrace.dev/shared/table"
)

// rulesOf returns a pipeline's contract as rules for a table. Without columns
// there is no contract, so no column is extra.
func rulesOf(p *config.Pipeline) table.Rules {
	columns := p.Columns()
	r := table.Rules{ExtraReject: len(columns) > 0 && p.Spec.Data.Extra == config.ExtraReject}
	for _, c := range columns {
		rule := table.ColumnRule{Name: c.Name, Type: table.Type(c.Type), Nulls: c.Nulls, Min: c.Min, Max: c.Max}
		if c.Name == p.Spec.Data.Time {
			// Files that allow more are refused today and were not always: a row
			// without a time could be neither trained on nor held out.
			rule.Nulls = 0
		}
		for _, v := range c.Values {
			rule.Values = append(rule.Values, v.String())
		}
		r.Columns = append(r.Columns, rule)
	}
	for _, c := range p.Spec.Data.Checks {
		switch {
		case c.Rows != nil:
			r.Rows = append(r.Rows, table.RowsRule{Name: c.Name, Min: valueOr0(c.Rows.Min), Max: valueOr0(c.Rows.Max)})
		case !c.Unique.IsZero():
			r.Unique = append(r.Unique, table.UniqueRule{Name: c.Name, Columns: c.Unique.Columns, MaxFraction: c.MaxFraction})
		case c.SQL != "":
			r.SQL = append(r.SQL, table.SQLRule{Name: c.Name, Expr: c.SQL, MaxFraction: c.MaxFraction})
		}
	}
	return r
}

func valueOr0(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
