// Package humanize writes numbers, sizes and times for people. Every message, table and summary uses it, so that a value
// reads the same wherever it is shown. JSON output and event payloads carry the values themselves.
//
// # The rule for values
//
// A measured value has five significant digits from one on and four below one, and never loses a digit before the point:
//
//	0.8123   0.01234   1.2346   12.346   1,234.6   12,346   1,234,568
//
// So two values that differ by more than one part in ten thousand look different, which is less than an evaluation can
// tell apart. Values below 0.0001 and from 1e15 on are written with an
// exponent. Digits before the point are grouped by three, as in counts.
//
// [Metric] keeps trailing zeros, since they say how precise the value is. [Number] drops them: it is for what a person
// chose, such as bounds, weights and parameters.
package humanize

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Integer is a number of things.
type Integer interface{ ~int | ~int64 | ~uint64 }

// Int returns n with its digits grouped by three: 336,776.
func Int[N Integer](n N) string {
	if n > 0 && uint64(n) > math.MaxInt64 {
		return strconv.FormatUint(uint64(n), 10)
	}
	return humanize.Comma(int64(n))
}

// Some returns [Int], and nothing for 0.
func Some[N Integer](n N) string {
	if n == 0 {
		return ""
	}
	return Int(n)
}

// Count returns n with its noun: 1 row, 12,345 rows.
func Count[N Integer](n N, noun string) string { return Int(n) + " " + Plural(n, noun) }

// Plural returns the noun, in the plural unless n is 1.
func Plural[N Integer](n N, noun string) string {
	q := 2
	if n == 1 {
		q = 1
	}
	return english.PluralWord(q, noun, "")
}

// Metric returns a measured value, trailing zeros included: 0.8000, 12,346.
func Metric(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0:
		return "0.0000"
	case math.IsNaN(v) || math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'g', -1, 64)
	case a < 1e-4 || a >= 1e15:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := 5
	if a < 1 {
		digits = 4
	}
	// The exponent after rounding: 0.99996 is 1.0000, and 9.99996 is 10.000.
	_, exponent, _ := strings.Cut(strconv.FormatFloat(a, 'e', digits-1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	if e >= 0 {
		digits = 5
	}
	return grouped(strconv.FormatFloat(v, 'f', max(0, digits-1-e), 64))
}

// Number returns a value without trailing zeros: 0.8, 90, 12,346.
func Number(v float64) string {
	text := Metric(v)
	number, exponent, scientific := strings.Cut(text, "e")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	if scientific {
		number += "e" + exponent
	}
	return number
}

// Percent returns a fraction of one in per cent, with three significant digits: 0.1234 is 12.3 %.
func Percent(fraction float64) string {
	v := 100 * fraction
	if math.Abs(v) >= 1000 {
		return grouped(strconv.FormatFloat(v, 'f', 0, 64)) + " %"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + " %"
}

// grouped groups the digits before the point by three.
func grouped(text string) string {
	whole, fraction, point := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > -1000 && n < 1000 {
		return text
	}
	text = humanize.Comma(n)
	if point {
		text += "." + fraction
	}
	return text
}

// Bytes returns a size in powers of 1000, as disks and object stores count: 4.2 MB.
func Bytes[N Integer](n N) string { return humanize.Bytes(uint64(max(n, 0))) }

// Memory returns a size in powers of 1024, as memory limits are written: 4.2 GiB.
func Memory[N Integer](n N) string { return humanize.IBytes(uint64(max(n, 0))) }

// Duration returns a time span with about two digits: 0.4 s, 12 s, 3m 20s, 2h 05m, 3 days.
func Duration(d time.Duration) string {
	switch {
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d.Round(time.Second) < time.Minute:
		return strconv.Itoa(int(d.Round(time.Second).Seconds())) + " s"
	case d.Round(time.Second) < time.Hour:
		d = d.Round(time.Second)
		return strconv.Itoa(int(d.Minutes())) + "m " + twoDigits(int(d.Seconds())%60) + "s"
	case d.Round(time.Minute) < 48*time.Hour:
		d = d.Round(time.Minute)
		return strconv.Itoa(int(d.Hours())) + "h " + twoDigits(int(d.Minutes())%60) + "m"
	}
	return Count(int(d.Hours()/24), "day")
}

// Seconds is [Duration] of a number of seconds.
func Seconds(s float64) string { return Duration(time.Duration(s * float64(time.Second))) }

func twoDigits(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// Ago returns how long before now t was: 12s ago, 3d ago. A time in the future, or more than 30 days back, is a date;
// the zero time is empty.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	switch {
	case d < -time.Minute:
		return t.Local().Format("2006-01-02 15:04")
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s ago"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m ago"
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h ago"
	case d < 30*24*time.Hour:
		return strconv.Itoa(int(d.Hours()/24)) + "d ago"
	}
	return t.Local().Format(time.DateOnly)
}

// Clock returns t by the clock when it is of the same day as now, and with its date otherwise.
func Clock(t, now time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}
