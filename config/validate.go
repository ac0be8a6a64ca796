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

	"github.com/robfig/cron/v3"
)

// checker finds the mistakes of a pipeline that no single field shows. It
// reports through the decoder, which knows where each field stands.
type checker struct {
	*Pipeline
	d *decoder
}

const columns = "spec.data.columns"

func (c *checker) check() {
	c.checkMetadata()
	c.checkUploads("spec.data.uploads", c.Spec.Data.Uploads)
	c.checkColumns()
	c.checkChecks()
	c.checkCut()
	c.checkLabels()
	c.checkModel()
	c.checkTrain()
	c.checkEvaluate()
	c.checkPromote()
	c.checkServe()
	c.checkMonitor()
	c.checkSchedules()
}

// says reports a mistake at a path.
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
		return // an empty name is missing, which the decoder has said
	}
	c.says(path, "%q is no DNS label: lower-case letters, digits and dashes, at most 63, no dash at either end", name)
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
			c.says(path, "is no column name: 1 to 128 bytes, no control characters, no space at either end")
		}
		c.checkColumn(path, c.Spec.Data.Columns[name])
	}
	if len(c.Spec.Data.Uploads) > 0 && len(c.Spec.Data.Columns) == 0 {
		c.says(columns, "is missing: data that is uploaded needs its contract")
	}
}

func (c *checker) checkColumn(path string, col Column) {
	if col.Type == "" {
		return
	}
	if !col.Numeric() {
		for bound, set := range map[string]bool{"min": col.Min != nil, "max": col.Max != nil} {
			if set {
				c.says(join(path, bound), "bounds are for int and float columns, and this is %s column", aType(col.Type))
			}
		}
	}
	if col.Min != nil && col.Max != nil && *col.Min > *col.Max {
		c.says(join(path, "max"), "%v is less than min, %v", *col.Max, *col.Min)
	}
	if len(col.Values) > 0 && (col.Type == TypeTimestamp) {
		c.says(join(path, "values"), "%s column takes no list of values", aType(col.Type))
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
			continue // what stands there was refused
		}
		if seen[v] {
			c.says(sub, "%s is listed twice", v)
		}
		seen[v] = true
		var fits bool
		switch v.v.(type) {
		case string:
			fits = columnType == TypeString
		case int64:
			fits = columnType == TypeInt
		case float64:
			fits = columnType == TypeFloat
		case bool:
			fits = columnType == TypeBool
		}
		if !fits && columnType != "" {
			hint := ""
			if columnType == TypeString {
				hint = fmt.Sprintf("write it in quotes: %q", v)
			}
			shown := v.String()
			if text, ok := v.v.(string); ok {
				shown = strconv.Quote(text)
			}
			c.d.problem(sub, hint, nil, "%s is no value of %s column", shown, aType(columnType))
		}
	}
}

func (c *checker) checkChecks() {
	var names []string
	for i, check := range c.Spec.Data.Checks {
		path := index("spec.data.checks", i)
		c.isLabel(join(path, "name"), check.Name)
		if check.Name != "" && slices.Contains(names, check.Name) {
			c.says(join(path, "name"), "%q names another check too", check.Name)
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
		c.areColumns(join(path, "unique"), check.Unique)
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

// checkCut checks time, window and hold-out.
func (c *checker) checkCut() {
	dt := c.Spec.Data
	if dt.Time != "" {
		if col, ok := c.isColumn("spec.data.time", dt.Time); ok && col.Type != TypeTimestamp {
			c.says("spec.data.time", "%q is %s column and must be a timestamp", dt.Time, aType(col.Type))
		}
	}
	if dt.Window.Partitions > 0 && dt.Window.Span > 0 {
		c.says("spec.data.window", "must have one of partitions and span")
	}
	if dt.Window.Span > 0 && dt.Time == "" {
		c.says("spec.data.window.span", "needs data.time, the column that says how old a row is")
	}
	h := dt.Holdout
	if h.By == HoldoutByTime && dt.Time == "" {
		c.says("spec.data.holdout.by", "time needs data.time, the column that orders the rows")
	}
	c.areColumns("spec.data.holdout.group", h.Group)
	if len(h.Group) > 0 && h.By == HoldoutByTime {
		c.says("spec.data.holdout.group", "keeps an entity on one side, which a cut by time cannot; use by: hash")
	}
	if h.Gap > 0 && h.By == HoldoutByHash {
		c.says("spec.data.holdout.gap", "is for a cut by time")
	}
}

func (c *checker) checkLabels() {
	l := c.Spec.Data.Labels
	c.checkUploads("spec.data.labels.uploads", l.Uploads)
	for i, glob := range l.Uploads {
		if slices.Contains(c.Spec.Data.Uploads, glob) {
			c.says(index("spec.data.labels.uploads", i), "%q is in data.uploads too: an object is either data or labels", glob)
		}
	}
	switch {
	case len(l.Uploads) == 0 && len(l.Key) == 0:
		return
	case len(l.Uploads) == 0:
		c.says("spec.data.labels.uploads", "is missing: which objects carry labels")
	case len(l.Key) == 0:
		c.d.problem("spec.data.labels.key", "[request_id, row] for logged predictions, or entity columns", nil, "is missing: what a label belongs to")
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
		c.d.problem("spec.serve.mirror", "runtime: millrace", nil, "is not for runtime %s, which mirrors no requests", s.Runtime)
	}
	if b := s.Batch; b.MaxWait > Duration(time.Second) {
		c.says("spec.serve.batch.max_wait", "%s is longer than a second", time.Duration(b.MaxWait))
	} else if b.MaxWait > 0 && b.MaxRows < 2 {
		c.says("spec.serve.batch.max_wait", "needs max_rows of 2 or more: how many rows go together")
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
			c.d.problem(join(path, "test"), "use psi", nil, "ks compares numbers, and %q is %s column", name, aType(col.Type))
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
			c.says(join(path, "name"), "%q names another schedule too", s.Name)
		}
		names = append(names, s.Name)
		if s.Cron != "" {
			if err := checkCron(s.Cron); err != nil {
				c.d.problem(join(path, "cron"), "minute hour day-of-month month day-of-week, such as \"0 2 * * *\"", nil, "%q is no schedule: %s", s.Cron, err)
			}
		}
		if _, err := time.LoadLocation(s.Zone); s.Zone != "" && (err != nil || s.Zone == "Local") {
			c.d.problem(join(path, "zone"), "such as UTC or Europe/Berlin", nil, "%q is no time zone", s.Zone)
		}
		if s.Do == "retrain" && !c.Trains() {
			c.says(join(path, "do"), "retrain needs a train section")
		}
	}
}

// checkCron reads a schedule as the scheduler will. @every is refused, since
// its due times hang on when it was started, and a zone in front, since the
// zone is a field.
func checkCron(text string) error {
	switch {
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return fmt.Errorf("the time zone goes into the field zone")
	case strings.HasPrefix(text, "@every"):
		return fmt.Errorf("@every has no fixed due times")
	case len(text) > 256:
		return fmt.Errorf("longer than 256 bytes")
	}
	_, err := cron.ParseStandard(text)
	return err
}
