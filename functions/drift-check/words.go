package driftcheck

import (
	"fmt"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/table"
)

// limit says on which side of a bound a value is.
func limit(beyond bool, yes, no string, bound float64) string {
	if beyond {
		no = yes
	}
	return fmt.Sprintf("%s %v", no, bound)
}

// means sets the means of numbers beside each other.
func means(was, is *table.ColumnProfile) string {
	if was.Mean == nil || is.Mean == nil || was.Type == table.Bool {
		return ""
	}
	return fmt.Sprintf(" (mean %s, in training %s)", humanize.Metric(*is.Mean), humanize.Metric(*was.Mean))
}

// names lists columns: "temp", "temp and hour", "temp, hour and 3 more".
func names(ds []events.ColumnDrift) string {
	var all []string
	for _, d := range ds {
		all = append(all, d.Column)
	}
	switch n := len(all); {
	case n > 3:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:2], ", "), n-2)
	case n > 1:
		return strings.Join(all[:n-1], ", ") + " and " + all[n-1]
	}
	return all[0]
}
