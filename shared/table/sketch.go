package table

import (
	"math"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
)

// sketch stands for a column of too many distinct values. Values reach it in
// portions that were counted before, so that its cost is small even where a
// value is frequent.
type sketch struct {
	count     int64
	least     entry
	greatest  entry
	mean, m2  float64 // of the numbers; m2 is the sum of squared differences from mean
	distinct  *hyperloglog.Sketch
	quantiles *quantiles // nil for strings

	// The most frequent values (Misra and Gries, 1982). A count is too low by
	// at most count/maxTop.
	top []entry
}

// maxTop is how many frequent values a sketch keeps.
const maxTop = 1000

func newSketch(typ Type) *sketch {
	s := &sketch{distinct: hyperloglog.NewNoSparse()}
	if typ != String {
		s.quantiles = &quantiles{}
	}
	return s
}

// add takes in values in ascending order.
func (s *sketch) add(typ Type, portion []entry) {
	if len(portion) == 0 {
		return
	}
	var part sketch
	part.least, part.greatest = portion[0], portion[len(portion)-1]
	part.count, part.mean, part.m2 = moments(typ, portion)
	s.combine(&part)
	for _, e := range portion {
		if typ == String {
			s.distinct.InsertHash(xxhash.Sum64([]byte(e.text)))
			continue
		}
		s.distinct.InsertHash(mix(e.key))
		s.quantiles.add(e.key, e.n)
	}
	s.top = frequent(mergeEntries(s.top, portion))
}

// merge takes in what o stands for, and leaves o as it is.
func (s *sketch) merge(o *sketch) error {
	s.combine(o)
	if s.quantiles != nil {
		s.quantiles.merge(o.quantiles)
	}
	s.top = frequent(mergeEntries(s.top, o.top))
	return s.distinct.Merge(o.distinct)
}

// combine adds up count, bounds and moments (Chan, Golub, LeVeque).
func (s *sketch) combine(o *sketch) {
	if s.count == 0 {
		s.count, s.least, s.greatest, s.mean, s.m2 = o.count, o.least, o.greatest, o.mean, o.m2
		return
	}
	if compareEntries(o.least, s.least) < 0 {
		s.least = o.least
	}
	if compareEntries(o.greatest, s.greatest) > 0 {
		s.greatest = o.greatest
	}
	n, d := float64(s.count+o.count), o.mean-s.mean
	if share := float64(o.count) / n; finite(d) {
		s.mean += d * share
	} else {
		s.mean = s.mean*(1-share) + o.mean*share
	}
	s.m2 = min(s.m2+o.m2+d*d*float64(s.count)*float64(o.count)/n, math.MaxFloat64)
	s.count += o.count
}

// frequent reduces values to the maxTop most frequent by taking from every
// count what the first one left out has.
func frequent(all []entry) []entry {
	if len(all) <= maxTop {
		return all
	}
	counts := make([]int64, len(all))
	for i, e := range all {
		counts[i] = e.n
	}
	slices.Sort(counts)
	least := counts[len(counts)-1-maxTop]
	kept := make([]entry, 0, maxTop)
	for _, e := range all {
		if e.n -= least; e.n > 0 {
			kept = append(kept, e)
		}
	}
	return kept
}

// moments returns the number of values, their mean and the sum of the squared
// differences from it. Strings have a number only.
func moments(typ Type, values []entry) (count int64, mean, m2 float64) {
	for _, e := range values {
		count += e.n
	}
	if typ == String || count == 0 {
		return count, 0, 0
	}
	for _, e := range values {
		mean += e.number(typ) * float64(e.n)
	}
	if mean /= float64(count); !finite(mean) { // the sum overflowed, the mean need not
		mean = 0
		for _, e := range values {
			mean += e.number(typ) * (float64(e.n) / float64(count))
		}
	}
	for _, e := range values {
		d := e.number(typ) - mean
		m2 += d * d * float64(e.n)
	}
	return count, mean, min(m2, math.MaxFloat64)
}
