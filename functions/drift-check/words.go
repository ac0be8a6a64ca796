package driftcheck

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// show writes a value for people.
func show(v float64) string {
	if v != 0 && math.Abs(v) < 1e-4 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func perCent(share float64) string { return strconv.FormatFloat(100*share, 'g', 3, 64) + " %" }

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
	return fmt.Sprintf(" (mean %s, in training %s)", show(*is.Mean), show(*was.Mean))
}

// count writes a number of things: "1 row", "12,345 rows".
func count[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

func grouped[N int | int64](n N) string {
	if n < 1000 {
		return strconv.FormatInt(int64(n), 10)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
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
