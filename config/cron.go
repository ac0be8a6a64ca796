package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Cron is when something is due: five cron fields in a time zone. It does not
// change.
//
// A schedule for fixed hours is due once for each time of the clock on the wall:
// a time that the clock skips in spring is due when the clock has skipped it, and
// a time that comes twice in autumn is due the first time. A schedule for every
// hour, whose hour field begins with *, goes by elapsed time: it is due in both
// hours that have the same name, and at no time in the one that is left out.
// Vixie's cron draws the same line.
type Cron struct {
	fields cron.Schedule // in UTC, for the clock on the wall
	zone   *time.Location
	hourly bool
}

// maxCron bounds the text of a schedule.
const maxCron = 256

// ParseCron parses five cron fields, or @hourly, @daily, @weekly, @monthly or
// @yearly. The zone is a name of the time zone database, UTC if it is empty. It
// refuses @every, whose due times depend on the start of a process, and what is
// never due, such as the 30th of February.
func ParseCron(text, zone string) (*Cron, error) {
	switch {
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return nil, errors.New("set the time zone in the field zone")
	case strings.HasPrefix(text, "@every"):
		return nil, errors.New("@every has no fixed due times; write */15 in the minutes for every quarter of an hour")
	case len(text) > maxCron:
		return nil, fmt.Errorf("longer than %d bytes", maxCron)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("%q is not a time zone, such as UTC or Europe/Berlin", zone)
	}
	fields, err := cron.ParseStandard("CRON_TZ=UTC " + sundays(text))
	if err != nil {
		return nil, err
	}
	c := &Cron{fields: fields, zone: location, hourly: text == "@hourly"}
	if f := strings.Fields(text); len(f) == 5 {
		c.hourly = strings.HasPrefix(f[1], "*")
	}
	if leapYear := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); fields.Next(leapYear).IsZero() {
		return nil, errors.New("it is never due: no such month has such a day")
	}
	return c, nil
}

// sundays writes the day of the week 7 as 0: both are Sunday.
func sundays(text string) string {
	f := strings.Fields(text)
	if len(f) != 5 || !strings.Contains(f[4], "7") {
		return text
	}
	days := strings.Split(f[4], ",")
	for i, d := range days {
		span, step, stepped := strings.Cut(d, "/")
		from, to, isRange := strings.Cut(span, "-")
		switch {
		case span == "7" && !stepped:
			days[i] = "0"
		case isRange && to == "7":
			days[i] = sundayRange(from, step)
		}
	}
	f[4] = strings.Join(days, ",")
	return strings.Join(f, " ")
}

// sundayRange lists the days of a range that ends with 7. It returns the range as
// it is if it cannot be read.
func sundayRange(from, step string) string {
	names := map[string]int{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
	first, ok := names[strings.ToLower(from)]
	if n, err := strconv.Atoi(from); err == nil {
		first, ok = n, n >= 0 && n <= 7
	}
	by := 1
	if n, err := strconv.Atoi(step); step != "" {
		by, ok = n, ok && err == nil && n > 0
	}
	if !ok {
		return from + "-7" // the parser says what is wrong
	}
	var days []string
	for d := first; d <= 7; d += by {
		days = append(days, strconv.Itoa(d%7))
	}
	return strings.Join(days, ",")
}

// Zone returns the time zone of the schedule.
func (c *Cron) Zone() *time.Location { return c.zone }

// Next returns the first due time after a time, in the schedule's zone, and the
// zero time if nothing is due in the next five years.
func (c *Cron) Next(after time.Time) time.Time {
	if c.hourly {
		return c.nextElapsed(after.In(c.zone))
	}
	wall := wallOf(after.In(c.zone))
	// A clock that was set back has shown later times than now: what it has shown
	// between was due then.
	for {
		wall = c.fields.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if due := c.instant(wall); due.After(after) {
			return due
		}
	}
}

// nextElapsed is Next by elapsed time: by the clock of each period between two
// changes of the zone's offset.
func (c *Cron) nextElapsed(after time.Time) time.Time {
	for range 1000 {
		_, end := after.ZoneBounds()
		_, offset := after.Zone()
		wall := c.fields.Next(wallOf(after))
		if wall.IsZero() {
			return time.Time{}
		}
		due := wall.Add(-time.Duration(offset) * time.Second).In(c.zone)
		if end.IsZero() || due.Before(end) {
			return due
		}
		// In the next period; its first minute can be due as well.
		_, offset = end.Zone()
		first := wallOf(end).Add(-time.Second)
		if wall := c.fields.Next(first); !wall.IsZero() {
			due := wall.Add(-time.Duration(offset) * time.Second).In(c.zone)
			if _, next := end.ZoneBounds(); next.IsZero() || due.Before(next) {
				return due
			}
		}
		after = end
	}
	return time.Time{}
}

// wallOf returns what the clock on the wall shows, as a time in UTC.
func wallOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// instant returns when the clock on the wall first shows a time, or, if it skips
// it, when it does so.
func (c *Cron) instant(wall time.Time) time.Time {
	// The offsets on the days before and after are all that can be in force.
	_, before := wall.Add(-26 * time.Hour).In(c.zone).Zone()
	_, after := wall.Add(26 * time.Hour).In(c.zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(c.zone)
	if wallOf(first).Equal(wall) {
		return first
	}
	if second := wall.Add(-time.Duration(after) * time.Second).In(c.zone); wallOf(second).Equal(wall) {
		return second
	}
	// It was skipped. By the old offset the time lies after the change.
	change, _ := first.ZoneBounds()
	return change
}
