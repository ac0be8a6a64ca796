package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a length of time, written as text: 30d, 1h, 10m, 1h30m, 250ms.
// A day is 24 hours.
type Duration time.Duration

// ParseDuration parses a duration in the format of time.ParseDuration, optionally
// preceded by days.
func ParseDuration(text string) (Duration, error) {
	rest, days := text, time.Duration(0)
	if n, after, ok := strings.Cut(text, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count > uint64(maxDuration/day) {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		days, rest = time.Duration(count)*day, after
		if rest == "" {
			return Duration(days), nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.HasPrefix(rest, "+") || d > maxDuration-days {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return Duration(days + d), nil
}

// maxDuration is a century, so that no sum of a few durations overflows.
const maxDuration = 36525 * day

// Std returns the duration as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String formats the duration as in a pipeline file: whole days, then the rest
// without zero parts.
func (d Duration) String() string {
	rest := time.Duration(d)
	var b strings.Builder
	if n := rest / day; n > 0 {
		fmt.Fprintf(&b, "%dd", n)
		rest -= n * day
	}
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}} {
		if n := rest / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			rest -= n * unit.size
		}
	}
	if rest > 0 || b.Len() == 0 {
		b.WriteString(rest.String())
	}
	return b.String()
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the format of ParseDuration.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
