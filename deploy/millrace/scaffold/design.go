package scaffold

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

// Design is what becomes of a file: a contract, and a model.
type Design struct {
	Name     string // of the pipeline
	Trainer  Trainer
	Data     *Data
	Columns  []Column
	Label    string
	Guessed  bool // nobody said what the label is
	Task     string
	Why      string   // the task is that
	Classes  []string // of a classification, as the pipeline file has them
	Majority float64  // the share of the most frequent class
	Features []string
	Time     string
	Split    string // data.holdout
	SplitWhy string
}

// Column is a column of the file.
type Column struct {
	Name    string
	Written string // the value of its key in data.columns
	Comment string
	// Out says why the column is not in the contract, "" for one that is.
	Out string
}

// labelNames are names that labels often have, in the order of preference.
var labelNames = []string{"label", "target", "y", "class", "outcome", "response", "survived", "churn", "churned", "species", "default", "fraud"}

// New decides what becomes of a file. label and task may be empty. Mistakes are sentences about the file.
func New(name string, d *Data, label, task string, t Trainer) (*Design, error) {
	s := &Design{Name: name, Trainer: t, Data: d, Label: label, Task: task, Guessed: label == ""}
	if s.Guessed {
		s.Label = guess(d.Profile.Columns)
	}
	c := d.Profile.Column(s.Label)
	if c == nil {
		names := make([]string, len(d.Profile.Columns))
		for i := range d.Profile.Columns {
			names[i] = d.Profile.Columns[i].Name
		}
		hint := ""
		if near := config.Nearest(s.Label, names); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		return nil, fmt.Errorf("%s has no column %q%s Its columns: %s", d.File, s.Label, cmp.Or(hint, "."), strings.Join(names, ", "))
	}
	if err := s.decideTask(c); err != nil {
		return nil, err
	}
	if err := s.decideColumns(); err != nil {
		return nil, err
	}
	return s, s.decideSplit()
}

// guess returns the column whose name is that of a label, or the last one.
func guess(columns []table.ColumnProfile) string {
	for _, name := range labelNames {
		for i := range columns {
			if strings.EqualFold(columns[i].Name, name) {
				return columns[i].Name
			}
		}
	}
	return columns[len(columns)-1].Name
}

// The most classes that a column of each type has without being asked to be one.
const (
	mostClasses   = 100
	rowsPerClass  = 2
	fewIntClasses = 10
)

// decideTask finds what kind of question the label is the answer of.
func (s *Design) decideTask(c *table.ColumnProfile) error {
	n, whole := c.Distinct, isWhole(c)
	if n < 2 {
		return fmt.Errorf("the label %q has %s in %s: there is nothing to learn", c.Name, humanize.Count(n, "value"), humanize.Count(c.Count+c.Nulls, "row"))
	}
	if s.Task == "" {
		switch {
		case c.Type == table.Timestamp:
			return fmt.Errorf("the label %q is a time: a model predicts numbers or classes", c.Name)
		case n == 2 && whole:
			s.Task, s.Why = config.TaskBinary, "the label has two values"
		case c.Type == table.String && n <= mostClasses && n*rowsPerClass <= c.Count:
			s.Task, s.Why = config.TaskMulticlass, fmt.Sprintf("the label has %d values", n)
		case c.Type == table.String:
			return fmt.Errorf("the label %q has %s different texts in %s: at most %d can be classes, each with %d rows or more", c.Name, humanize.Int(n), humanize.Count(c.Count, "row"), mostClasses, rowsPerClass)
		case whole && n <= fewIntClasses && spanOf(c) < 2*float64(n) && c.Count >= 10*n:
			s.Task, s.Why = config.TaskMulticlass, fmt.Sprintf("the label has %d whole numbers; if they are amounts, write regression and take out values and classes", n)
		default:
			s.Task, s.Why = config.TaskRegression, fmt.Sprintf("the label has %s different numbers", humanize.Int(n))
		}
	}
	if s.Task == config.TaskRegression {
		if c.Type != table.Int && c.Type != table.Float {
			return fmt.Errorf("the label %q has values of type %s, and a regression is about numbers", c.Name, c.Type)
		}
		return nil
	}
	if !whole || n > mostClasses || s.Task == config.TaskBinary && n != 2 {
		return fmt.Errorf("the label %q has %s values of type %s, which do not fit a %s", c.Name, humanize.Int(n), c.Type, s.Task)
	}
	for v, rows := range c.Values() {
		s.Classes = append(s.Classes, scalar(v))
		s.Majority = max(s.Majority, float64(rows)/float64(c.Count))
	}
	return nil
}

// isWhole reports whether the values can be classes: they are no fractions.
func isWhole(c *table.ColumnProfile) bool {
	if c.Type != table.Float {
		return c.Exact
	}
	for v := range c.Values() {
		if f, _ := v.(float64); f != float64(int64(f)) {
			return false
		}
	}
	return c.Exact
}

// spanOf is the distance between the least and the greatest number.
func spanOf(c *table.ColumnProfile) float64 {
	low, _ := number(c.Min)
	high, _ := number(c.Max)
	return high - low
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// fewDates is how many moments a time column has at least that orders rows.
const fewDates = 50

// decideColumns decides what each column is for.
func (s *Design) decideColumns() error {
	for i := range s.Data.Profile.Columns {
		c := &s.Data.Profile.Columns[i]
		column := s.column(c)
		switch {
		case c.Name == s.Label:
			column.Comment = "the label: " + column.Comment
		case column.Out != "":
		case c.Type == table.Timestamp:
			if s.Time == "" && c.Nulls == 0 && c.Distinct >= fewDates {
				s.Time = c.Name
			}
			column.Comment += "; no feature: derive hour or month from it in a prepare.sql"
		case isID(c):
			column.Comment += "; no feature: a number that names the row"
		default:
			said, err := s.saysLabel(c)
			if err != nil {
				return err
			}
			if said {
				column.Out = fmt.Sprintf("each of its values has one %s only: it says the label in other words", s.Label)
				break
			}
			s.Features = append(s.Features, c.Name)
		}
		s.Columns = append(s.Columns, column)
	}
	if len(s.Features) == 0 {
		return errors.New("no column is left that a model could learn from: they are times, names of rows, constants, or texts that differ in nearly every row")
	}
	return nil
}

// saysLabel reports whether a column of few values gives the label away. It
// looks at classifications only.
func (s *Design) saysLabel(c *table.ColumnProfile) (bool, error) {
	const rowsPerValue = 10
	if s.Task == config.TaskRegression || !c.Exact || c.Distinct < int64(len(s.Classes)) || c.Count < rowsPerValue*c.Distinct {
		return false, nil
	}
	label, says := map[any]any{}, true
	err := s.Data.each(c.Name, s.Label, func(v, y any) {
		if v == nil || y == nil {
			return
		}
		if was, seen := label[v]; seen && was != y {
			says = false
		}
		label[v] = y
	})
	return says, err
}

// decideSplit decides which rows are held out.
func (s *Design) decideSplit() error {
	if s.Time != "" {
		whole, err := s.classesOnBothSides()
		if err != nil {
			return err
		}
		if whole {
			s.Split, s.SplitWhy = "{fraction: 0.2, by: time}", "the newest fifth of the rows is never shown to the trainer: the model is judged on it"
			return nil
		}
		s.Time = ""
	}
	const why = "a fifth of the rows is never shown to the trainer: the model is judged on it"
	different := int64(1)
	for _, name := range s.Features {
		different = min(different*max(s.Data.Profile.Column(name).Distinct, 1), s.Data.Profile.Rows)
	}
	switch {
	case s.Task != config.TaskRegression:
		s.Split, s.SplitWhy = "{fraction: 0.2, by: random, seed: 1, stratify: true}", why+", with the same share of each class"
	case different < 100:
		s.Split, s.SplitWhy = "{fraction: 0.2, by: random, seed: 1}", why
	default:
		s.Split, s.SplitWhy = "{fraction: 0.2, by: hash}", why+"; equal rows are on one side"
	}
	return nil
}

// classesOnBothSides reports whether the newest fifth and the rest have all
// classes.
func (s *Design) classesOnBothSides() (bool, error) {
	if s.Task == config.TaskRegression {
		return true, nil
	}
	var times []int64
	first, last := map[any]int64{}, map[any]int64{}
	err := s.Data.each(s.Time, s.Label, func(t, y any) {
		at, ok := t.(int64)
		if !ok || y == nil {
			return
		}
		times = append(times, at)
		if was, seen := first[y]; !seen || at < was {
			first[y] = at
		}
		last[y] = max(at, last[y])
	})
	if err != nil || len(times) == 0 {
		return false, err
	}
	slices.Sort(times)
	cut := times[len(times)*4/5]
	for y := range first {
		if first[y] >= cut || last[y] < cut {
			return false, nil
		}
	}
	return true, nil
}
