package humanize_test

import (
	"math"
	"testing"
	"time"

	"millrace.dev/shared/humanize"
)

func TestValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v              float64
		metric, number string
	}{
		{0, "0.0000", "0"},
		{0.8, "0.8000", "0.8"},
		{0.81234567, "0.8123", "0.8123"},
		{0.0123456, "0.01235", "0.01235"},
		{0.000123456, "0.0001235", "0.0001235"},
		{0.0000123456, "1.235e-05", "1.235e-05"},
		{0.00001, "1e-05", "1e-05"},
		{0.99996, "1.0000", "1"},
		{0.09999999, "0.1000", "0.1"},
		{1, "1.0000", "1"},
		{1.23456, "1.2346", "1.2346"},
		{9.99999, "10.000", "10"},
		{10, "10.000", "10"},
		{90, "90.000", "90"},
		{123.456, "123.46", "123.46"},
		{999.999, "1,000.0", "1,000"},
		{1234.56, "1,234.6", "1,234.6"},
		{12345.6, "12,346", "12,346"},
		{1234567.8, "1,234,568", "1,234,568"},
		{100000, "100,000", "100,000"},
		{1e15, "1e+15", "1e+15"},
		{-0.5, "-0.5000", "-0.5"},
		{-12345.6, "-12,346", "-12,346"},
		{math.NaN(), "NaN", "NaN"},
		{math.Inf(-1), "-Inf", "-Inf"},
	} {
		if got := humanize.Metric(tt.v); got != tt.metric {
			t.Errorf("Metric(%v) is %q, not %q", tt.v, got, tt.metric)
		}
		if got := humanize.Number(tt.v); got != tt.number {
			t.Errorf("Number(%v) is %q, not %q", tt.v, got, tt.number)
		}
	}
}

// Candidates that an evaluation can tell apart look different at every magnitude.
func TestMetricTellsCandidatesApart(t *testing.T) {
	t.Parallel()
	for e := -4; e < 14; e++ {
		for _, m := range []float64{1.1, 2.345, 5, 9.9985} {
			v := m * math.Pow10(e)
			// At most half a unit of the fourth digit below one, of the fifth above.
			other := v * (1 + 1.01e-3)
			if v >= 1 {
				other = v * (1 + 1.01e-4)
			}
			if x, y := humanize.Metric(v), humanize.Metric(other); x == y {
				t.Errorf("%v and %v are both %s", v, other, x)
			}
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"336,776":                    humanize.Int(336_776),
		"-1,000":                     humanize.Int(-1000),
		"-9,223,372,036,854,775,808": humanize.Int(int64(math.MinInt64)),
		"18446744073709551615":       humanize.Int(uint64(math.MaxUint64)),
		"1 row":                      humanize.Count(1, "row"),
		"0 rows":                     humanize.Count(0, "row"),
		"12,345 rows":                humanize.Count(int64(12_345), "row"),
		"2 entries":                  humanize.Count(2, "entry"),
		"2 matches":                  humanize.Count(2, "match"),
		"3 dead letters":             humanize.Count(3, "dead letter"),
		"7":                          humanize.Some(7),
		"":                           humanize.Some(0),
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0 %", 1: "100 %", 0.5: "50 %", 0.1234: "12.3 %", 0.0005: "0.05 %", 0.00001234: "0.00123 %", 1e-9: "1e-07 %", 0.99999: "100 %", 123.4: "12,340 %",
	} {
		if got := humanize.Percent(v); got != want {
			t.Errorf("Percent(%v) is %q, not %q", v, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 B":     humanize.Bytes(0),
		"512 B":   humanize.Bytes(512),
		"1.2 MB":  humanize.Bytes(1_234_567),
		"83 MB":   humanize.Bytes(uint64(82_854_982)),
		"4.2 GiB": humanize.Memory(int64(4_509_715_661)),
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                          "0.0 s",
		420 * time.Millisecond:     "0.4 s",
		9960 * time.Millisecond:    "10 s",
		59600 * time.Millisecond:   "1m 00s",
		200 * time.Second:          "3m 20s",
		3599600 * time.Millisecond: "1h 00m",
		125 * time.Minute:          "2h 05m",
		49 * time.Hour:             "2 days",
	} {
		if got := humanize.Duration(d); got != want {
			t.Errorf("Duration(%s) is %q, not %q", d, got, want)
		}
	}
	if got := humanize.Seconds(72.4); got != "1m 12s" {
		t.Error(got)
	}
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)
	for d, want := range map[time.Duration]string{
		-time.Hour: "2026-03-04 13:00", time.Second: "just now", 12 * time.Second: "12s ago", 3 * time.Minute: "3m ago", 5 * time.Hour: "5h ago",
		72 * time.Hour: "3d ago", 60 * 24 * time.Hour: "2026-01-03",
	} {
		if got := humanize.Ago(now.Add(-d), now); got != want {
			t.Errorf("%s ago is %q, not %q", d, got, want)
		}
	}
	if got := humanize.Ago(time.Time{}, now); got != "" {
		t.Error(got)
	}
	if got := humanize.Clock(now.Add(-time.Hour), now); got != "11:00:00" {
		t.Error(got)
	}
	if got := humanize.Clock(now.Add(-24*time.Hour), now); got != "2026-03-03 12:00:00" {
		t.Error(got)
	}
}
