package terminal

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/humanize"
)

// Ago returns how long ago a time was, "" for the zero time.
func (s *Screen) Ago(t time.Time) string { return humanize.Ago(t, s.now()) }

// Clock returns the time of day for a time of today, and adds the date for any
// other.
func (s *Screen) Clock(t time.Time) string { return humanize.Clock(t, s.now()) }

// Short returns the prefix of a digest that is shown to people.
func Short(digest string) string { return events.Short(digest) }

// Version formats a version as v2, and 0 as "".
func Version(v int) string {
	if v == 0 {
		return ""
	}
	return "v" + strconv.Itoa(v)
}

// Metrics formats metrics by name on one line.
func Metrics(m map[string]float64) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+" "+humanize.Metric(m[name]))
	}
	return strings.Join(parts, ", ")
}

// Weights formats the shares of the traffic on one line: v1 90 %, v2 10 %.
func Weights(ws []events.Weight) string {
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = fmt.Sprintf("v%d %s %%", w.Version, humanize.Number(w.Percent))
	}
	return strings.Join(parts, ", ")
}
