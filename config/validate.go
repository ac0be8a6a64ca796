package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// checker finds mistakes that involve several fields. It reports them through the
// decoder, which has the positions of fields.
type checker struct {
	*Pipeline
	d *decoder
}

const columns = "spec.data.columns"

func (c *checker) check() {
	c.checkMetadata()
	c.checkUploads("spec.data.uploads", c.Spec.Data.Uploads)
	c.checkColumns()
	c.checkCSV()
	c.checkChecks()
	c.areColumns("spec.data.key", c.Spec.Data.Key)
	c.checkCompare()
	c.checkExpect()
	c.checkSplit()
	c.checkLabels()
	c.checkModel()
	c.checkTrain()
	c.checkEvaluate()
	c.checkPromote()
	c.checkServe()
	c.checkMonitor()
	c.checkSchedules()
	c.checkBounds()
}

// says adds a problem at a path.
func (c *checker) says(path, format string, args ...any) {
	c.d.problem(path, "", nil, format, args...)
}

// written reports whether the file has something at that path.
func (c *checker) written(path string) bool {
	_, ok := c.d.where[path]
	return ok
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// isLabel checks that a name is a DNS label: it becomes part of subjects,
// object keys and Kubernetes names.
func (c *checker) isLabel(path, name string) {
	if name == "" || dnsLabel.MatchString(name) {
		return // the decoder has reported the missing name
	}
	c.says(path, "%q is not a DNS label: lower-case letters, digits and dashes, at most 63, no dash at either end", name)
}

func (c *checker) checkMetadata() {
	c.isLabel("metadata.name", c.Metadata.Name)
}

func (c *checker) checkUploads(path string, globs []string) {
	for i, glob := range globs {
		if err := checkGlob(glob); err != nil {
			c.says(index(path, i), "%s", err)
		}
	}
}

// isColumn checks that the contract has a column of that name.
func (c *checker) isColumn(path, name string) (Column, bool) {
	col, ok := c.Column(name)
	if !ok {
		names := c.columnNames()
		c.d.problem(path, didYouMean(name, names), names, "%q is not a column of data.columns", name)
	}
	return col, ok && col.Type != ""
}

// aType is a column type with its article.
func aType(columnType string) string {
	if columnType == TypeInt {
		return "an int"
	}
	return "a " + columnType
}

func (c *checker) columnNames() []string {
	return slices.Sorted(maps.Keys(c.Spec.Data.Columns))
}

// areColumns checks a list of names of different columns.
func (c *checker) areColumns(path string, names []string) {
	for i, name := range names {
		c.isColumn(index(path, i), name)
	}
	c.areDistinct(path, names)
}

func (c *checker) areDistinct(path string, names []string) {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			c.says(index(path, i), "%q is listed twice", name)
		}
	}
}

func (c *checker) checkColumns() {
	lower := map[string]string{}
	for _, name := range c.columnNames() {
		path := join(columns, name)
		if first, ok := lower[strings.ToLower(name)]; ok {
			c.says(path, "differs from column %q only by capital letters", first)
		}
		lower[strings.ToLower(name)] = name
		if name == "" || len(name) > 128 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
			c.says(path, "is not a column name: 1 to 128 bytes, no control characters, no space at either end")
		}
		c.checkColumn(path, c.Spec.Data.Columns[name])
	}
	if len(c.Spec.Data.Uploads) > 0 && len(c.Spec.Data.Columns) == 0 {
		c.says(columns, "is missing: uploads need a contract")
	}
}

func (c *checker) checkColumn(path string, col Column) {
	if col.Type == "" {
		return
	}
	if !col.Numeric() {
		for bound, set := range map[string]bool{"min": col.Min != nil, "max": col.Max != nil} {
			if set {
				c.says(join(path, bound), "bounds are for int and float columns, but this is %s column", aType(col.Type))
			}
		}
	}
	if col.Min != nil && col.Max != nil && *col.Min > *col.Max {
		c.says(join(path, "max"), "%v is less than min, %v", *col.Max, *col.Min)
	}
	c.checkReading(path, col)
	if len(col.Values) > 0 && (col.Type == TypeTimestamp) {
		c.says(join(path, "values"), "%s column cannot have a list of values", aType(col.Type))
		return
	}
	c.areValues(join(path, "values"), col.Values, col.Type)
}

// areValues checks a list of different values of a column type.
func (c *checker) areValues(path string, values []Value, columnType string) {
	seen := map[Value]bool{}
	for i, v := range values {
		sub := index(path, i)
		if v == (Value{}) {
			continue // a refused value
		}
		if seen[v] {
			c.says(sub, "%s is listed twice", v)
		}
		seen[v] = true
		if !v.is(columnType) && columnType != "" {
			hint := ""
			if columnType == TypeString {
				hint = fmt.Sprintf("write it in quotes: %q", v)
			}
			shown := v.String()
			if text, ok := v.v.(string); ok {
				shown = strconv.Quote(text)
			}
			c.d.problem(sub, hint, nil, "%s is not a value of %s column", shown, aType(columnType))
		}
	}
}

// is reports whether the value is one of a column type.
func (v Value) is(columnType string) bool {
	switch v.v.(type) {
	case string:
		return columnType == TypeString
	case int64:
		return columnType == TypeInt
	case float64:
		return columnType == TypeFloat
	case bool:
		return columnType == TypeBool
	}
	return false
}

func (c *checker) checkChecks() {
	var names []string
	for i, check := range c.Spec.Data.Checks {
		path := index("spec.data.checks", i)
		c.isLabel(join(path, "name"), check.Name)
		if check.Name != "" && slices.Contains(names, check.Name) {
			c.says(join(path, "name"), "%q is the name of another check too", check.Name)
		}
		names = append(names, check.Name)
		kinds := 0
		for _, kind := range []string{"rows", "unique", "sql"} {
			if c.written(join(path, kind)) {
				kinds++
			}
		}
		if kinds != 1 {
			c.says(path, "must have one of rows, unique and sql")
			continue
		}
		c.areColumns(c.uniqueColumns(join(path, "unique")), check.Unique.Columns)
		if key := check.Unique; key.Across == UniqueAcrossDataset && sameNames(key.Columns, c.Spec.Data.Key) {
			c.says(join(path, "unique"), "refuses what data.key allows: a newer row with the same key; remove one of them")
		}
		if rows := check.Rows; rows != nil {
			switch {
			case rows.Min == nil && rows.Max == nil:
				c.says(join(path, "rows"), "needs min or max")
			case rows.Min != nil && rows.Max != nil && *rows.Min > *rows.Max:
				c.says(join(join(path, "rows"), "max"), "%d is less than min, %d", *rows.Max, *rows.Min)
			}
			if c.written(join(path, "max_fraction")) && check.MaxFraction != 0 {
				c.says(join(path, "max_fraction"), "is for unique and sql; rows counts the whole partition")
			}
		}
	}
}

// sameNames reports whether two lists have the same names in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// uniqueColumns returns the path of the columns of a unique check.
func (c *checker) uniqueColumns(path string) string {
	if long := join(path, "columns"); c.written(long) {
		return long
	}
	return path
}

func (c *checker) checkCompare() {
	const path = "spec.data.compare"
	x := c.Spec.Data.Compare
	c.areColumns(path+".columns", x.Columns)
	if rows := x.Rows; rows != nil {
		switch {
		case rows.Min == nil && rows.Max == nil:
			c.says(path+".rows", "needs min or max")
		case rows.Min != nil && rows.Max != nil && *rows.Min > *rows.Max:
			c.says(path+".rows.max", "%v is less than min, %v", *rows.Max, *rows.Min)
		}
	}
	switch {
	case x.Rows == nil && x.PSI == nil && x.Nulls == nil && c.written(path):
		c.says(path, "needs one of rows, psi and nulls: without a bound nothing is compared")
	case len(x.Columns) > 0 && x.PSI == nil && x.Nulls == nil:
		c.says(path+".columns", "needs psi or nulls, the bounds of a column")
	}
}

func (c *checker) checkExpect() {
	const path = "spec.data.expect"
	x := c.Spec.Data.Expect
	switch {
	case x.Every == 0 && c.written(path):
		c.says(path+".every", "is missing: how often data is expected")
	case x.Late < x.Every:
		c.says(path+".late", "%s is less than every, %s", x.Late, x.Every)
	}
	if x.Every > 0 && len(c.Spec.Data.Uploads) == 0 {
		c.says(path, "needs data.uploads: no data can arrive")
	}
}

// checkSplit checks time, window and hold-out.
func (c *checker) checkSplit() {
	dt := c.Spec.Data
	if dt.Time != "" {
		if col, ok := c.isColumn("spec.data.time", dt.Time); ok && col.Type != TypeTimestamp {
			c.says("spec.data.time", "%q is %s column and must be a timestamp", dt.Time, aType(col.Type))
		} else if col.Nulls > 0 {
			c.d.problem(join(join(columns, dt.Time), "nulls"), "leave nulls out, or data.time", nil, "%q is data.time: a row without a time is neither old nor new, so no value may be missing", dt.Time)
		}
	}
	if dt.Window.Partitions > 0 && dt.Window.Span > 0 {
		c.says("spec.data.window", "must have one of partitions and span")
	}
	if dt.Window.Span > 0 && dt.Time == "" {
		c.says("spec.data.window.span", "needs data.time, the column with the time of a row")
	}
	c.checkHoldout()
}

// defaultFraction is the default of holdout.fraction, as in its tag.
const defaultFraction = 0.2

func (c *checker) checkHoldout() {
	const path = "spec.data.holdout"
	h := c.Spec.Data.Holdout
	if h.By == HoldoutByTime && c.Spec.Data.Time == "" {
		c.says(path+".by", "time needs data.time, the column that orders the rows")
	}
	c.checkUploads(path+".uploads", h.Uploads)
	switch {
	case len(h.Uploads) > 0 && h.By != HoldoutByUploads && h.By != "":
		c.says(path+".uploads", "holds out whole uploads, which a split by %s does not; use by: uploads", h.By)
	case len(h.Uploads) == 0 && h.By == HoldoutByUploads:
		c.says(path+".by", "uploads needs holdout.uploads, the keys of the objects that are held out")
	case len(h.Uploads) > 0 && h.Fraction != defaultFraction: // canonical JSON has the default
		c.says(path+".fraction", "is not for a split by uploads: their rows are all held out, and no others")
	}
	c.areColumns(path+".group", h.Group)
	if len(h.Group) > 0 && h.By != HoldoutByHash && h.By != "" {
		c.says(path+".group", "keeps an entity on one side, which a split by %s cannot; use by: hash", h.By)
	}
	if i := slices.Index(h.Group, c.Spec.Model.Label); i >= 0 {
		c.says(index(path+".group", i), "%q is the label: all rows of a class would be on one side", h.Group[i])
	}
	if h.Gap > 0 && h.By != HoldoutByTime && h.By != "" {
		c.says(path+".gap", "is for a split by time")
	}
	if c.written(path+".seed") && h.By != HoldoutByRandom && h.By != "" {
		c.says(path+".seed", "is for rows that are drawn, and a split by %s draws none; use by: random", h.By)
	}
	if !h.Stratify {
		return
	}
	if h.By != HoldoutByRandom && h.By != "" {
		c.says(path+".stratify", "keeps the shares of the classes by drawing rows, which a split by %s does not; use by: random", h.By)
	}
	if c.Spec.Model.Task == TaskRegression {
		c.says(path+".stratify", "keeps the shares of classes, and a regression has no classes")
	}
}

func (c *checker) checkLabels() {
	l := c.Spec.Data.Labels
	c.checkUploads("spec.data.labels.uploads", l.Uploads)
	for i, glob := range l.Uploads {
		if slices.Contains(c.Spec.Data.Uploads, glob) {
			c.says(index("spec.data.labels.uploads", i), "%q is in data.uploads too: an object is either data or labels", glob)
		}
		if slices.Contains(c.Spec.Data.Holdout.Uploads, glob) {
			c.says(index("spec.data.labels.uploads", i), "%q is in data.holdout.uploads too: an object is either data or labels", glob)
		}
	}
	switch {
	case len(l.Uploads) == 0 && len(l.Key) == 0:
		return
	case len(l.Uploads) == 0:
		c.says("spec.data.labels.uploads", "is missing: the keys of objects that have labels")
	case len(l.Key) == 0:
		c.d.problem("spec.data.labels.key", "[request_id, row] for logged predictions, or entity columns", nil, "is missing: the columns that say what a label belongs to")
	}
	if l.ByPrediction() {
		return
	}
	if slices.ContainsFunc(l.Key, func(k string) bool { return slices.Contains(labelKeyPrediction, k) && !c.hasColumn(k) }) {
		c.says("spec.data.labels.key", "a label of a logged prediction has the key [request_id, row], in this order")
		return
	}
	c.areColumns("spec.data.labels.key", l.Key)
}

func (c *checker) hasColumn(name string) bool {
	_, ok := c.Column(name)
	return ok
}

func (c *checker) checkServe() {
	s := c.Spec.Serve
	if s.MinScale > s.MaxScale {
		c.says("spec.serve.max_scale", "%d is less than min_scale, %d", s.MaxScale, s.MinScale)
	}
	c.checkResources("spec.serve.resources", s.Resources)
	if s.Runtime != "millrace" && s.Mirror.Percent > 0 {
		c.d.problem("spec.serve.mirror", "runtime: millrace", nil, "is not for runtime %s, which does not mirror requests", s.Runtime)
	}
	if b := s.Batch; b.MaxWait > Duration(time.Second) {
		c.says("spec.serve.batch.max_wait", "%s is longer than a second", time.Duration(b.MaxWait))
	} else if b.MaxWait > 0 && b.MaxRows < 2 {
		c.says("spec.serve.batch.max_wait", "needs max_rows of 2 or more, the size of a batch")
	}
	if s.Runtime != "millrace" && s.OnNaN != "" {
		c.d.problem("spec.serve.on_nan", "runtime: millrace", nil, "is not for runtime %s", s.Runtime)
	}
	for field, set := range map[string]bool{"concurrency": s.Concurrency > 0, "queue": s.Queue != nil, "timeout": s.Timeout > 0} {
		if s.Runtime != "millrace" && set {
			c.d.problem("spec.serve."+field, "runtime: millrace", nil, "is not for runtime %s", s.Runtime)
		}
	}
	if s.Runtime != "millrace" && s.Batch != (Batch{}) {
		c.d.problem("spec.serve.batch", "runtime: millrace", nil, "is not for runtime %s", s.Runtime)
	}
}

func (c *checker) checkMonitor() {
	m := c.Spec.Monitor
	for name, t := range m.Drift.Columns {
		path := join("spec.monitor.drift.columns", name)
		if name == DriftPrediction && !c.hasColumn(name) {
			continue
		}
		if !slices.Contains(c.Spec.Model.Features, name) {
			names := append(slices.Clone(c.Spec.Model.Features), DriftPrediction)
			c.d.problem(path, didYouMean(name, names), names, "%q is not a feature of the model", name)
			continue
		}
		if col, ok := c.Column(name); ok && t.Test == TestKS && col.Type != "" && !col.Numeric() {
			c.d.problem(join(path, "test"), "use psi", nil, "ks compares numbers, but %q is %s column", name, aType(col.Type))
		}
	}
	if m.OnDrift == OnDriftRetrain && !c.Trains() {
		c.says("spec.monitor.on_drift", "retrain needs a train section")
	}
}

func (c *checker) checkSchedules() {
	var names []string
	for i, s := range c.Spec.Schedules {
		path := index("spec.schedules", i)
		c.isLabel(join(path, "name"), s.Name)
		if s.Name != "" && slices.Contains(names, s.Name) {
			c.says(join(path, "name"), "%q is the name of another schedule too", s.Name)
		}
		names = append(names, s.Name)
		if slices.Contains(systemSchedules, s.Name) {
			c.d.problem(join(path, "name"), "another name, such as my-"+s.Name, nil, "%q is the name of a schedule of the system", s.Name)
		}
		_, err := time.LoadLocation(s.Zone)
		if s.Zone != "" && (err != nil || s.Zone == "Local") {
			c.d.problem(join(path, "zone"), "such as UTC or Europe/Berlin", nil, "%q is not a time zone", s.Zone)
		}
		if s.Cron != "" {
			if _, err := ParseCron(s.Cron, ""); err != nil {
				c.d.problem(join(path, "cron"), "minute hour day-of-month month day-of-week, such as \"0 2 * * *\"", nil, "%q is not a schedule: %s", s.Cron, err)
			}
		}
		if s.Do == "retrain" && !c.Trains() {
			c.says(join(path, "do"), "retrain needs a train section")
		}
	}
}
