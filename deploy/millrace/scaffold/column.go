package scaffold

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

const (
	// fewValues is how many texts a column has at most that are listed as the only ones.
	fewValues = 12
	// rowsPerListed is how many rows each of them needs.
	rowsPerListed = 20
	// mostTexts is how many different texts a feature has at most.
	mostTexts = 100
	// rowsPerText is how many rows each text of a feature needs, where there are more than fewValues.
	rowsPerText = 5
	// fewRows is the number of rows below which different values say little.
	fewRows = 20
)

// column decides what the contract says of a column.
func (s *Design) column(c *table.ColumnProfile) Column {
	out := Column{Name: c.Name, Comment: shown(c)}
	typ := string(c.Type)
	label := c.Name == s.Label
	if label && s.Task != config.TaskRegression && c.Type == table.Float {
		typ = config.TypeInt // written as 1.0
	}
	fields := []string{"type: " + typ}
	if f := s.Data.Format[c.Name]; f != "" {
		fields = append(fields, "format: "+quoted(f))
	}
	switch {
	case label && typ != config.TypeBool && s.Task != config.TaskRegression:
		fields = append(fields, "values: ["+strings.Join(s.Classes, ", ")+"]")
	case label:
	case c.Type == table.String && c.Exact && c.Distinct <= fewValues && c.Count >= rowsPerListed*c.Distinct:
		fields = append(fields, "values: ["+strings.Join(listed(c), ", ")+"]")
	default:
		if low, ok := number(c.Min); ok && low >= 0 {
			fields = append(fields, "min: 0")
		}
	}
	if c.Nulls > 0 {
		fields = append(fields, "nulls: "+allowed(c.NullShare()))
		out.Comment += fmt.Sprintf("; missing in %s of %s rows", humanize.Int(c.Nulls), humanize.Int(c.Nulls+c.Count))
	}
	out.Written = "{" + strings.Join(fields, ", ") + "}"
	if !label {
		out.Out = s.useless(c)
	}
	return out
}

// useless says why a column is left out of the contract, "" if it is not.
func (s *Design) useless(c *table.ColumnProfile) string {
	n, rows := c.Distinct, c.Count
	switch {
	case s.Data.Notes[c.Name] != "":
		return s.Data.Notes[c.Name]
	case rows == 0:
		return "it has no value"
	case n == 1:
		return fmt.Sprintf("it is always %s", text(c.Min))
	case c.Type == table.Int && isIndex(c) && !idName.MatchString(c.Name):
		return "it counts the rows"
	case c.Type != table.String || isID(c):
		return ""
	case !c.Exact || n > fewValues && (n > mostTexts || n*rowsPerText > rows):
		return fmt.Sprintf("it has %s different texts in %s rows", humanize.Int(n), humanize.Int(rows))
	}
	return ""
}

// idName matches the names of columns that name a row.
var idName = regexp.MustCompile(`(?i)^(id|uuid|guid|key|rownames?|index|unnamed: 0)$|[_ .-](id|uuid|key|no|number)$|[a-z]I[dD]$`)

// isID reports whether the values name the row: all are different, and the
// column's name or a count of one by one says so.
func isID(c *table.ColumnProfile) bool {
	if c.Nulls > 0 || c.Distinct < c.Count || c.Type != table.Int && c.Type != table.String {
		return false
	}
	return idName.MatchString(c.Name)
}

// isIndex reports whether the values are those of a count of the rows.
func isIndex(c *table.ColumnProfile) bool {
	return c.Count >= fewRows && c.Nulls == 0 && c.Distinct == c.Count && spanOf(c) == float64(c.Count-1)
}

// allowed returns the share of missing values that the contract allows, where a
// file has had share: half as many again.
func allowed(share float64) string {
	return strconv.FormatFloat(min(1, math.Ceil(share*150)/100), 'g', -1, 64)
}

// listed returns the values of a column as the pipeline file has them.
func listed(c *table.ColumnProfile) []string {
	var values []string
	for v := range c.Values() {
		if v != "" {
			values = append(values, scalar(v))
		}
	}
	return values
}

// shown says what values a column has.
func shown(c *table.ColumnProfile) string {
	switch {
	case c.Count == 0:
		return "no value"
	case c.Type == table.Bool:
		return fmt.Sprintf("%.3g %% are true", 100*(*c.Mean))
	case c.Type == table.String:
		if c.Exact && c.Distinct <= fewValues {
			return humanize.Count(c.Distinct, "value")
		}
		return fmt.Sprintf("%s values, such as %s", humanize.Int(c.Distinct), text(c.Min))
	}
	return text(c.Min) + " to " + text(c.Max)
}

// text is a value for people, on one line.
func text(v any) string {
	const most = 30
	switch v := v.(type) {
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.UTC().Format(time.DateOnly)
		}
		return v.UTC().Format("2006-01-02 15:04")
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case string:
		runes := []rune(quoted(v))
		if len(runes) > most {
			return string(runes[:most]) + `..."`
		}
		return string(runes)
	}
	return fmt.Sprint(v)
}

// scalar returns a value as YAML has it.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return name(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// plain matches texts that YAML takes for texts without quotes. Words such as no and on are not.
var (
	plain    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*([-. ][A-Za-z0-9_]+)*$`)
	reserved = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// name returns a text as a key or a value of YAML.
func name(s string) string {
	if plain.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	return quoted(s)
}

// quoted returns a text in double quotes; what JSON writes is YAML too.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text can be encoded
	return strings.TrimSpace(b.String())
}
