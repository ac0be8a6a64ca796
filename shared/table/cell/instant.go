package cell

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"
)

// The times that RFC 3339 can write, in microseconds since 1970.
const (
	firstMicro = -62_135_596_800_000_000
	lastMicro  = 253_402_300_799_999_999
)

// wall is a time as a clock on the wall shows it, and its distance from UTC if
// the text says so.
type wall struct {
	year, month, day, hour, minute, second, micro int
	zoned                                         bool
	offset                                        int // seconds east of UTC
}

// micros returns microseconds since 1970, UTC.
func (c *Column) micros(text []byte) (int64, *Refusal) {
	if c.epoch != 0 {
		n, refusal := parseInt(text)
		if refusal != nil {
			return 0, &Refusal{Reason: "is not a whole number of " + c.rule.Format + " time", Try: correct}
		}
		return c.fromEpoch(n)
	}
	if c.rule.Format != "" {
		return c.formatted(string(text))
	}
	w, ok := parseISO(text)
	if !ok {
		return 0, explainTime(string(text))
	}
	return c.at(w)
}

func (c *Column) fromEpoch(n int64) (int64, *Refusal) {
	micros := n
	switch {
	case c.epoch < time.Microsecond:
		micros = floorDiv(n, int64(time.Microsecond/c.epoch))
	case c.epoch > time.Microsecond:
		f := int64(c.epoch / time.Microsecond)
		if n > lastMicro/f || n < firstMicro/f {
			return 0, notTime
		}
		micros = n * f
	}
	return inRange(micros)
}

func floorDiv(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

func inRange(micros int64) (int64, *Refusal) {
	if micros < firstMicro || micros > lastMicro {
		return 0, notTime
	}
	return micros, nil
}

// formatted reads a time in the format of the rule.
func (c *Column) formatted(text string) (int64, *Refusal) {
	t, err := timefmt.ParseInLocation(text, c.rule.Format, time.UTC)
	if err != nil {
		return 0, &Refusal{Reason: fmt.Sprintf("is not a time of the format %q", c.rule.Format), Try: correct}
	}
	w := wall{
		t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1000,
		strings.Contains(c.rule.Format, "%z") || strings.Contains(c.rule.Format, "%Z") || strings.Contains(c.rule.Format, "%s"), 0,
	}
	if w.zoned {
		return inRange(t.UnixMicro())
	}
	return c.at(w)
}

// at returns the moment of a wall time, in the zone of the rule if it names no
// offset. A time that the zone skips or has twice is refused.
func (c *Column) at(w wall) (int64, *Refusal) {
	t := time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, w.micro*1000, time.UTC)
	if w.zoned {
		return inRange(t.UnixMicro() - int64(w.offset)*1e6)
	}
	if c.rule.Zone == nil || c.rule.Zone == time.UTC {
		return inRange(t.UnixMicro())
	}
	// The offsets that hold around it; a reading is right if its offset holds at it.
	var readings []time.Time
	for _, shift := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := t.Add(shift).In(c.rule.Zone).Zone()
		reading := t.Add(-time.Duration(offset) * time.Second)
		if _, holds := reading.In(c.rule.Zone).Zone(); holds == offset && (len(readings) == 0 || !readings[0].Equal(reading)) {
			readings = append(readings, reading)
		}
	}
	switch len(readings) {
	case 0:
		return 0, &Refusal{Reason: fmt.Sprintf("does not exist in %s: clocks were set forward", c.rule.Zone), Try: "write times with their offset"}
	case 1:
		return inRange(readings[0].UnixMicro())
	}
	return 0, &Refusal{
		Reason:    fmt.Sprintf("is ambiguous in %s: it is %s or %s", c.rule.Zone, readings[0].UTC().Format(time.RFC3339), readings[1].UTC().Format(time.RFC3339)),
		Try:       "write times with their offset",
		Ambiguous: true,
	}
}

// parseISO reads an ISO 8601 date or time in its extended form, as RFC 3339
// has it; T may be a space, and seconds and the zone may be left out. Digits
// beyond microseconds are dropped.
func parseISO(text []byte) (wall, bool) {
	s := scan{text: text}
	w := wall{year: s.number(4)}
	s.one("-")
	w.month = s.number(2)
	s.one("-")
	w.day = s.number(2)
	if s.failed || w.year == 0 || w.month < 1 || w.month > 12 || w.day < 1 || w.day > days(w.year, w.month) {
		return w, false
	}
	if len(s.text) == 0 {
		return w, true
	}
	s.one("Tt ")
	w.hour = s.number(2)
	s.one(":")
	w.minute = s.number(2)
	if s.is(":") {
		w.second = s.number(2)
		if s.is(".,") {
			w.micro = s.fraction()
		}
	}
	if s.failed || w.hour > 23 || w.minute > 59 || w.second > 59 {
		return w, false
	}
	return s.zone(w)
}

func days(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// scan reads a text from its beginning.
type scan struct {
	text   []byte
	failed bool
}

func (s *scan) number(digits int) int {
	if len(s.text) < digits {
		s.failed = true
		return 0
	}
	n := 0
	for _, c := range s.text[:digits] {
		if c < '0' || c > '9' {
			s.failed = true
			return 0
		}
		n = n*10 + int(c-'0')
	}
	s.text = s.text[digits:]
	return n
}

// is takes one of some characters if it comes next.
func (s *scan) is(any string) bool {
	if len(s.text) == 0 || strings.IndexByte(any, s.text[0]) < 0 {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *scan) one(any string) {
	if !s.is(any) {
		s.failed = true
	}
}

// fraction reads the digits of a fraction of a second as microseconds.
func (s *scan) fraction() int {
	micro, n := 0, 0
	for len(s.text) > 0 && s.text[0] >= '0' && s.text[0] <= '9' {
		if n < 6 {
			micro = micro*10 + int(s.text[0]-'0')
		}
		s.text, n = s.text[1:], n+1
	}
	s.failed = s.failed || n == 0
	for ; n < 6; n++ {
		micro *= 10
	}
	return micro
}

// zone reads Z, +01, +0100 or +01:00 at the end of a time.
func (s *scan) zone(w wall) (wall, bool) {
	if s.is(" ") && len(s.text) == 0 {
		return w, false
	}
	switch {
	case s.failed:
		return w, false
	case len(s.text) == 0:
		return w, true
	case s.is("Zz"):
		w.zoned = true
		return w, len(s.text) == 0
	}
	east := s.text[0] == '+'
	s.one("+-")
	hours, minutes := s.number(2), 0
	if len(s.text) > 0 {
		s.is(":")
		minutes = s.number(2)
	}
	if s.failed || len(s.text) > 0 || hours > 18 || minutes > 59 {
		return w, false
	}
	w.zoned, w.offset = true, hours*3600+minutes*60
	if !east {
		w.offset = -w.offset
	}
	return w, true
}

// readings are the formats that people write dates in, for the sentence that
// asks which one was meant.
var readings = []string{"%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%b %d, %Y"}

// explainTime says what a text that is not ISO 8601 may mean.
func explainTime(text string) *Refusal {
	date, _, _ := strings.Cut(text, " ")
	if strings.Contains(text, " ") && strings.ContainsAny(text, "abcdefghijklmnopqrstuvwxyz") {
		date = text
	}
	var means, formats []string
	for _, format := range readings {
		t, err := timefmt.ParseInLocation(date, format, time.UTC)
		if err != nil || t.Year() < 1900 {
			continue
		}
		formats = append(formats, format)
		if meaning := t.Format("2 January 2006"); !slices.Contains(means, meaning) {
			means = append(means, meaning)
		}
	}
	state := "state the column's format, as " + strings.Join(quoted(formats), " or ")
	switch len(means) {
	case 0:
		return notTime
	case 1:
		return &Refusal{Reason: "is not an ISO 8601 time (as 2013-01-31T06:00:00Z)", Try: state + ", or write " + isoOf(date, formats[0])}
	}
	return &Refusal{Reason: "is ambiguous: it is " + strings.Join(means, " or "), Try: state, Ambiguous: true}
}

func isoOf(date, format string) string {
	t, _ := timefmt.ParseInLocation(date, format, time.UTC)
	return t.Format(time.DateOnly)
}

func quoted(all []string) []string {
	q := make([]string, len(all))
	for i, s := range all {
		q[i] = fmt.Sprintf("%q", s)
	}
	return q
}
