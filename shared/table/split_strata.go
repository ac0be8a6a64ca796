package table

import (
	"fmt"
	"math"
)

const (
	// strataBins is how finely the draws of a label are counted.
	strataBins = 1 << 13
	// maxStrata bounds the labels, and so the memory, of a stratified split.
	maxStrata = 1000
)

// strata are the rows of each label, or all rows if label is empty, by what they
// drew.
type strata struct {
	fraction float64
	label    string
	of       map[uint64]*stratum // by the label's hash
	hashes   []uint64
}

type stratum struct {
	rows            int64
	least, greatest float64
	counts          []uint32 // of the draws, in strataBins bins
	below           int64    // rows that drew less than the fraction
	bound           float64  // NaN until it is known
}

// add counts the rows that are not on the side toNeither.
func (s *strata) add(b *Batch, drawn []float64, side []uint8) error {
	s.labels(b)
	for i, x := range drawn {
		if side[i] == toNeither {
			continue
		}
		one := s.of[s.hashes[i]]
		if one == nil {
			if len(s.of) == maxStrata {
				return &Unreadable{
					Column: s.label, Reason: fmt.Sprintf("column %q has more than %d values, too many for a stratified hold-out", s.label, maxStrata),
					Try: "leave stratify out of holdout",
				}
			}
			one = &stratum{least: x, greatest: x, bound: math.NaN(), counts: make([]uint32, strataBins)}
			if s.of == nil {
				s.of = map[uint64]*stratum{}
			}
			s.of[s.hashes[i]] = one
		}
		one.rows++
		one.least, one.greatest = min(one.least, x), max(one.greatest, x)
		one.counts[int(x*strataBins)]++
		if x < s.fraction {
			one.below++
		}
	}
	return nil
}

// labels sets the hashes to those of the batch's labels.
func (s *strata) labels(b *Batch) {
	s.hashes = grow(s.hashes[:0], b.Rows)
	if s.label != "" {
		hashColumn(s.hashes, s.label, b.Column(s.label))
	}
}

// divide says on which side the rows are that drew so.
func (s *strata) divide(b *Batch, drawn []float64, side []uint8) {
	s.labels(b)
	for i, x := range drawn {
		side[i] = toTrain
		one := s.of[s.hashes[i]]
		if one == nil {
			continue // a row that was not counted: it is in neither part
		}
		if math.IsNaN(one.bound) {
			one.bound = one.boundary(s.fraction, s.label != "")
		}
		if x < one.bound {
			side[i] = toHoldout
		}
	}
}

// boundary returns the draw below which rows are held out: so many as come
// closest to fraction of the rows if exact, else the fraction itself unless that
// is far from it. Neither side is empty unless all rows drew the same.
func (s *stratum) boundary(fraction float64, exact bool) float64 {
	if s.rows == 1 && exact {
		return 0 // a label's only row is trained on
	}
	bound := fraction
	if share := float64(s.below) / float64(s.rows); exact || math.Abs(share-fraction) > far(fraction) {
		bound = s.nearest(fraction)
	}
	if s.least == s.greatest {
		return bound
	}
	return min(max(bound, math.Nextafter(s.least, 1)), s.greatest)
}

// nearest returns the end of the bin up to which the share of the rows comes
// closest to fraction.
func (s *stratum) nearest(fraction float64) float64 {
	want := fraction * float64(s.rows)
	var bound, below float64
	for i, n := range s.counts {
		with := below + float64(n)
		if math.Abs(with-want) > math.Abs(below-want) {
			break
		}
		bound, below = float64(i+1)/strataBins, with
	}
	return bound
}
