package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// due lists the due times in [from, to), as the clock on the wall and the offset.
func due(t *testing.T, text, zone, from, to string) string {
	t.Helper()
	c, err := ParseCron(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		d, err := time.ParseInLocation("2006-01-02 15:04", s, c.Zone())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var all []string
	for n := c.Next(at(from).Add(-time.Second)); n.Before(at(to)); n = c.Next(n) {
		all = append(all, n.Format("02 15:04-07"))
		if len(all) > 40 {
			t.Fatalf("%s in %s is due too often: %s", text, zone, all)
		}
	}
	return strings.Join(all, ", ")
}

// Where the clock is set forward or back, a time of day comes once each day, and
// every hour goes by elapsed time. The changes are those of the time zone database.
func TestCronWhereTheClockIsSet(t *testing.T) {
	for _, c := range []struct{ text, zone, from, to, want string }{
		// Berlin: 2:00 to 3:00 on 29 March 2026, 3:00 to 2:00 on 25 October.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", "2026-03-31 00:00", "28 02:30+01, 29 03:00+02, 30 02:30+02"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 00:00", "2026-10-27 00:00", "24 02:30+02, 25 02:30+02, 26 02:30+01"},
		{"30 2 * * 0", "Europe/Berlin", "2026-03-22 00:00", "2026-04-06 00:00", "22 02:30+01, 29 03:00+02, 05 02:30+02"},
		{"0,30 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00", "2026-03-30 00:00", "29 03:00+02, 29 03:30+02"},
		{"0 * * * *", "Europe/Berlin", "2026-03-29 01:00", "2026-03-29 05:00", "29 01:00+01, 29 03:00+02, 29 04:00+02"},
		{"0 * * * *", "Europe/Berlin", "2026-10-25 01:00", "2026-10-25 05:00", "25 01:00+02, 25 02:00+02, 25 02:00+01, 25 03:00+01, 25 04:00+01"},
		{"*/30 * * * *", "Europe/Berlin", "2026-10-25 01:45", "2026-10-25 04:00", "25 02:00+02, 25 02:30+02, 25 02:00+01, 25 02:30+01, 25 03:00+01, 25 03:30+01"},
		// New York: 2:00 to 3:00 on 8 March 2026, 2:00 to 1:00 on 1 November.
		{"15 2 * * *", "America/New_York", "2026-03-07 00:00", "2026-03-10 00:00", "07 02:15-05, 08 03:00-04, 09 02:15-04"},
		{"30 1 * * *", "America/New_York", "2026-10-31 00:00", "2026-11-03 00:00", "31 01:30-04, 01 01:30-04, 02 01:30-05"},
		// Midnight is skipped in Santiago on 6 September 2026, and comes twice in
		// the evening of 4 April.
		{"@daily", "America/Santiago", "2026-09-05 00:00", "2026-09-08 00:00", "05 00:00-04, 06 01:00-03, 07 00:00-03"},
		{"30 23 * * *", "America/Santiago", "2026-04-03 12:00", "2026-04-06 00:00", "03 23:30-03, 04 23:30-03, 05 23:30-04"},
		// Lord Howe changes by half an hour: 2:00 to 1:30 on 5 April 2026.
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", "2026-04-07 00:00", "04 01:45+11, 05 01:45+11, 06 01:45+10"},
		{"0 * * * *", "Australia/Lord_Howe", "2026-10-04 00:00", "2026-10-04 05:00", "04 00:00+10, 04 01:00+10, 04 03:00+11, 04 04:00+11"},
		// Samoa had no 30 December 2011.
		{"0 2 * * *", "Pacific/Apia", "2011-12-29 00:00", "2012-01-01 00:00", "29 02:00-10, 31 00:00+14, 31 02:00+14"},
		// Sunday is 0 and 7.
		{"0 6 * * 7", "UTC", "2026-03-01 00:00", "2026-03-16 00:00", "01 06:00+00, 08 06:00+00, 15 06:00+00"},
		{"0 6 * * 6-7", "UTC", "2026-03-01 00:00", "2026-03-09 00:00", "01 06:00+00, 07 06:00+00, 08 06:00+00"},
		{"0 6 * * fri-7/2", "UTC", "2026-03-01 00:00", "2026-03-09 00:00", "01 06:00+00, 06 06:00+00, 08 06:00+00"},
	} {
		if got := due(t, c.text, c.zone, c.from, c.to); got != c.want {
			t.Errorf("%s in %s:\n got %s\nwant %s", c.text, c.zone, got, c.want)
		}
	}
}

// In ten zones over a year a daily schedule is due once on each day, whatever its
// time, an hourly one 8,760 times, and all of them in order.
func TestCronOverAYear(t *testing.T) {
	for _, zone := range []string{
		"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Sao_Paulo", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham",
		"Africa/Casablanca",
	} {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, location), time.Date(2027, 1, 1, 0, 0, 0, 0, location)
		count := func(text string) (days map[string]int, n int) {
			c, err := ParseCron(text, zone)
			if err != nil {
				t.Fatal(err)
			}
			days = map[string]int{}
			for at, last := c.Next(from.Add(-time.Second)), from.Add(-time.Second); at.Before(to); at, last = c.Next(at), at {
				if !at.After(last) {
					t.Fatalf("%s in %s: %s after %s", text, zone, at, last)
				}
				days[at.Format(time.DateOnly)]++
				n++
			}
			return days, n
		}
		for minute := 0; minute < 4*60; minute += 10 {
			text := fmt.Sprintf("%d %d * * *", minute%60, minute/60)
			if days, n := count(text); len(days) != 365 || n != 365 {
				t.Errorf("%s in %s is due %d times on %d days", text, zone, n, len(days))
			}
		}
		if zone != "Australia/Lord_Howe" { // whose half hours leave one out
			if _, n := count("0 * * * *"); n != 8760 {
				t.Errorf("hourly in %s is due %d times", zone, n)
			}
		}
	}
}

func TestCronIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"0 0 30 2 *":           "never due",
		"0 0 31 4,6 *":         "never due",
		"@every 1h":            "no fixed due times",
		"TZ=UTC 0 0 * * *":     "field zone",
		"0 0 * * 8":            "8",
		"0 0 * * 5-8":          "8",
		"0 0 * *":              "fields",
		"61 * * * *":           "61",
		"0 0 * * 1-7/0":        "maximum",
		strings.Repeat("1", 9): "fields",
	} {
		if c, err := ParseCron(text, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; it should say %q", text, c, err, want)
		}
	}
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc/passwd"} {
		if _, err := ParseCron("0 0 * * *", zone); err == nil {
			t.Errorf("the zone %q is taken", zone)
		}
	}
	for _, text := range []string{"0 0 29 2 *", "@hourly", "@midnight", "0 0 * * 0-7", "*/7 1-3,5 1 jan mon"} {
		if _, err := ParseCron(text, "Asia/Tokyo"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
