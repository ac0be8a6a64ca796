package terminal

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
)

// Number groups the digits of n by three: 336,776.
func Number[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Some is Number, and nothing for 0.
func Some[N int | int64 | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return Number(n)
}

// Count is a number with its noun, which gets an s in the plural.
func Count[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Number(n) + " " + noun
}

// Float is a number with four digits that matter.
func Float(f float64) string {
	if a := math.Abs(f); a >= 1e5 && a < 1e15 {
		return Number(int64(math.Round(f)))
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// Bytes is a size in the units of disks: 4.2 MB.
func Bytes[N int64 | uint64](n N) string {
	f, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for len(units) > 1 && f >= 999.5 {
		f /= 1000
		units = units[1:]
	}
	if units[0] == "B" || f >= 99.5 {
		return fmt.Sprintf("%.0f %s", f, units[0])
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}

// Duration is a duration as people say it: 0.4 s, 12 s, 3m 20s, 2h 5m.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Round(time.Second).Seconds())) + " s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// Ago says how long ago a time was, and nothing for the zero time.
func (s *Screen) Ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := s.now().Sub(t)
	switch {
	case d < -time.Minute:
		return t.Local().Format("2006-01-02 15:04")
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	case d < 30*24*time.Hour:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
	return t.Local().Format("2006-01-02")
}

// Clock is a time of today by its clock, another with its date.
func (s *Screen) Clock(t time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == s.now().Local().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// Short is the beginning of a digest, as people need it.
func Short(digest string) string { return events.Short(digest) }

// Version is how people write a version: v2, and nothing for 0.
func Version(v int) string {
	if v == 0 {
		return ""
	}
	return "v" + strconv.Itoa(v)
}

// Metrics are metrics by name, on one line.
func Metrics(m map[string]float64) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+" "+Float(m[name]))
	}
	return strings.Join(parts, ", ")
}

// Weights are the shares of the traffic on one line: v1 90 %, v2 10 %.
func Weights(ws []events.Weight) string {
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = fmt.Sprintf("v%d %s %%", w.Version, Float(w.Percent))
	}
	return strings.Join(parts, ", ")
}
