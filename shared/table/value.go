package table

import (
	"cmp"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// entry is a value and how often it occurs. Values of all types sort by key and
// then text: key is the value itself in a form that keeps its order, or the
// first eight bytes of a string, so that comparing strings is mostly comparing
// integers.
type entry struct {
	key  uint64
	text string // of strings
	n    int64
}

func compareEntries(a, b entry) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	return cmp.Compare(a.text, b.text)
}

func (e entry) same(o entry) bool { return e.key == o.key && e.text == o.text }

func intKey(v int64) uint64   { return uint64(v) ^ 1<<63 }
func keyInt(key uint64) int64 { return int64(key ^ 1<<63) }

// floatKey maps -0 to 0. It must not be asked for NaN.
func floatKey(v float64) uint64 {
	b := math.Float64bits(v + 0)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func keyFloat(key uint64) float64 {
	if key>>63 == 0 {
		return math.Float64frombits(^key)
	}
	return math.Float64frombits(key &^ (1 << 63))
}

func textKey[T string | []byte](s T) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

func boolKey(v bool) uint64 {
	if v {
		return intKey(1)
	}
	return intKey(0)
}

// finite reports whether v is a number that can be measured.
func finite(v float64) bool { return v-v == 0 }

// value returns e's value as a profile shows it.
func (e entry) value(typ Type) any {
	switch typ {
	case String:
		return e.text
	case Float:
		return keyFloat(e.key)
	case Bool:
		return keyInt(e.key) == 1
	case Timestamp:
		return moment(keyInt(e.key))
	default:
		return keyInt(e.key)
	}
}

// The times that RFC 3339 can write, in microseconds since 1970: the years 1 to
// 9999. Convert lets no others in; a logged request may have them.
const (
	firstMoment = -62_135_596_800_000_000
	lastMoment  = 253_402_300_799_999_999
)

// moment returns the time of a timestamp, or the nearest that can be written.
func moment(micros int64) time.Time {
	return time.UnixMicro(min(max(micros, firstMoment), lastMoment)).UTC()
}

// number returns e's value on the real line: microseconds for a timestamp. A
// string has none.
func (e entry) number(typ Type) float64 {
	if typ == Float {
		return keyFloat(e.key)
	}
	return float64(keyInt(e.key))
}

// written returns e's value as a pipeline file would write it.
func (e entry) written(typ Type) string {
	switch v := e.value(typ).(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return ""
}

// entryOf returns the entry of a value as a profile shows it.
func entryOf(value any) entry {
	switch v := value.(type) {
	case string:
		return entry{key: textKey(v), text: v}
	case float64:
		return entry{key: floatKey(v)}
	case bool:
		return entry{key: boolKey(v)}
	case time.Time:
		return entry{key: intKey(v.UnixMicro())}
	case int64:
		return entry{key: intKey(v)}
	}
	return entry{}
}

// parseEntry returns the entry of a value as a pipeline file writes it; false if
// it is no value of the type.
func parseEntry(typ Type, s string) (entry, bool) {
	var value any = s
	var err error
	switch typ {
	case Int:
		value, err = strconv.ParseInt(s, 10, 64)
	case Float:
		value, err = strconv.ParseFloat(s, 64)
	case Bool:
		value, err = strconv.ParseBool(s)
	case Timestamp:
		value, err = time.Parse(time.RFC3339Nano, s)
	}
	if f, ok := value.(float64); err != nil || ok && !finite(f) {
		return entry{}, false
	}
	return entryOf(value), true
}

// mix spreads the bits of x over all of 64 (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
