package cell

import (
	"math"
	"strconv"
	"time"

	"millrace.dev/shared/table"
)

// AddInt appends a whole number.
func (c *Column) AddInt(n int64) *Refusal {
	if c.number {
		if text := strconv.AppendInt(c.scratch[:0], n, 10); c.nulls[string(text)] {
			c.AddNull()
			return nil
		}
	}
	switch c.rule.Type {
	case table.Int:
		c.addInt(n)
	case table.Float:
		c.addFloat(float64(n))
	case table.Bool:
		if c.given || n != 0 && n != 1 {
			return c.AddText(strconv.AppendInt(nil, n, 10), true)
		}
		c.addBool(n == 1)
	case table.Timestamp:
		if c.epoch == 0 {
			return c.AddText(strconv.AppendInt(nil, n, 10), true)
		}
		micros, refusal := c.fromEpoch(n)
		if refusal != nil {
			return c.refused(refusal)
		}
		c.addInt(micros)
	default:
		c.addString(strconv.AppendInt(c.scratch[:0], n, 10))
	}
	return nil
}

// AddFloat appends a number. NaN is a missing value.
func (c *Column) AddFloat(f float64) *Refusal {
	switch {
	case math.IsNaN(f):
		c.AddNull()
		return nil
	case c.number && c.nulls[strconv.FormatFloat(f, 'g', -1, 64)]:
		c.AddNull()
		return nil
	case math.IsInf(f, 0) && c.rule.Type != table.String:
		return c.refused(notFinite)
	}
	switch c.rule.Type {
	case table.Float:
		c.addFloat(f)
	case table.Int:
		n, refusal := intOf(f)
		if refusal != nil {
			return c.refused(refusal)
		}
		c.addInt(n)
	case table.Bool:
		if f != 0 && f != 1 {
			return c.refused(notBool)
		}
		c.addBool(f == 1)
	case table.Timestamp:
		if n, refusal := intOf(f); refusal == nil {
			return c.AddInt(n)
		}
		return c.refused(notTime)
	default:
		c.addString([]byte(FloatText(f)))
	}
	return nil
}

// AddBool appends true or false.
func (c *Column) AddBool(b bool) *Refusal {
	switch c.rule.Type {
	case table.Bool:
		c.addBool(b)
	case table.String:
		c.addString(strconv.AppendBool(c.scratch[:0], b))
	case table.Timestamp:
		return c.refused(notTime)
	case table.Float:
		c.addFloat(float64(number(b)))
	default:
		c.addInt(number(b))
	}
	return nil
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// AddTime appends a moment in microseconds since 1970. A wall time, which has
// no zone of its own, is in the zone of the rule. date says that it is a day.
func (c *Column) AddTime(micros int64, isWall, date bool) *Refusal {
	if _, refusal := inRange(micros); refusal != nil {
		return c.refused(refusal)
	}
	if c.rule.Type == table.String {
		c.addString([]byte(TimeText(micros, isWall, date)))
		return nil
	}
	if c.rule.Type != table.Timestamp {
		return c.refused(Refuse(c.rule.Type))
	}
	if isWall && c.rule.Zone != nil {
		t := time.UnixMicro(micros).UTC()
		var refusal *Refusal
		micros, refusal = c.at(wall{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1000, false, 0})
		if refusal != nil {
			return c.refused(refusal)
		}
	}
	c.addInt(micros)
	return nil
}

// FloatText writes a number as text: 1.5, 2.0, 1e+300.
func FloatText(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return s
}

// TimeText writes a moment as text: 2013-01-31, 2013-01-31 06:00:00, and with
// +00 if it is not a wall time.
func TimeText(micros int64, isWall, date bool) string {
	t := time.UnixMicro(micros).UTC()
	switch {
	case date:
		return t.Format(time.DateOnly)
	case isWall:
		return t.Format("2006-01-02 15:04:05.999999")
	}
	return t.Format("2006-01-02 15:04:05.999999") + "+00"
}
