package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// The tasks that run in a process of their own.
const (
	taskConvert  = "convert"
	taskRepeat   = "repeat"
	taskStart    = "start"
	taskProfile  = "profile"
	taskChecks   = "profile+checks"
	taskContract = "profile+checks+sql"
)

// ownTasks are those that are measured.
var ownTasks = []string{taskProfile, taskChecks, taskContract, taskStart}

func runTask(ctx context.Context, task string, args []string) error {
	switch {
	case task == taskStart:
		return nil // measures what starting this program costs
	case (task == taskConvert || task == taskRepeat) && len(args) == 2:
		return convert(ctx, task, args[0], args[1])
	case len(args) != 1:
		return errors.New("a task needs a file")
	}
	p, err := table.ProfileFile(ctx, args[0])
	if err != nil || task == taskProfile {
		return err
	}
	rules := contract(p)
	broken, err := table.Check(ctx, args[0], p, rules)
	if err != nil {
		return err
	}
	if task == taskContract {
		more, err := duck.CheckSQL(ctx, args[0], "", rules.SQL)
		if err != nil {
			return err
		}
		broken = append(broken, more...)
	}
	for _, b := range broken {
		return fmt.Errorf("%s: %s", b.Check, b.Reason)
	}
	return nil
}

func convert(ctx context.Context, task, from, to string) error {
	var prep *duck.PrepareInput
	if task == taskRepeat {
		prep = &duck.PrepareInput{SQL: `
			SELECT f.* EXCLUDE (n), r.i AS copy
			FROM (SELECT *, row_number() OVER () AS n FROM upload) f, range(30) r(i)
			ORDER BY hash(f.n * 31 + r.i)`}
	}
	_, err := duck.Convert(ctx, duck.Source{Path: from, Name: from}, prep, to, duck.Limits{Memory: "4GB", Timeout: time.Hour})
	return err
}

// contract is what a pipeline file would say of all columns of the flights.
func contract(p *table.Profile) table.Rules {
	bound := func(x float64) *float64 { return &x }
	number := func(name string, nulls, least, most float64) table.ColumnRule {
		return table.ColumnRule{Name: name, Type: table.Int, Nulls: nulls, Min: bound(least), Max: bound(most)}
	}
	rules := table.Rules{
		Columns: []table.ColumnRule{
			number("year", 0, 2013, 2013), number("month", 0, 1, 12), number("day", 0, 1, 31),
			number("dep_time", 0.03, 0, 2400), number("sched_dep_time", 0, 0, 2400), number("dep_delay", 0.03, -100, 2000),
			number("arr_time", 0.03, 0, 2400), number("sched_arr_time", 0, 0, 2400), number("arr_delay", 0.03, -100, 2000),
			{Name: "carrier", Type: table.String, Values: []string{"9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"}},
			number("flight", 0, 1, 9999),
			{Name: "tailnum", Type: table.String, Nulls: 0.01},
			{Name: "origin", Type: table.String, Values: []string{"EWR", "JFK", "LGA"}},
			{Name: "dest", Type: table.String},
			number("air_time", 0.03, 0, 1000), number("distance", 0, 0, 6000), number("hour", 0, 0, 23), number("minute", 0, 0, 59),
			{Name: "time_hour", Type: table.Timestamp},
		},
		ExtraReject: true,
		Rows:        []table.RowsRule{{Name: "enough-rows", Min: 1000}},
		Unique:      []table.UniqueRule{{Name: "no-duplicates", Columns: []string{"carrier", "flight", "origin", "time_hour"}}},
		SQL: []table.SQLRule{
			{Name: "arrives-after-it-leaves", Expr: "NOT (air_time < 10)"},
			{Name: "delay-grows-slowly", Expr: "NOT (dep_delay < 0 AND arr_delay > 300)", MaxFraction: 0.001},
		},
	}
	if p.Column("copy") != nil {
		rules.Columns = append(rules.Columns, number("copy", 0, 0, 29))
		rules.Unique[0].Columns = append(rules.Unique[0].Columns, "copy")
	}
	return rules
}
