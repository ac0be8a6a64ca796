package table

import (
	"fmt"
	"math"
)

// What a split warns of.
const (
	SplitFraction = "fraction" // the hold-out is far from its fraction
	SplitGroups   = "groups"   // so few different rows that whole kinds of them are on one side
	SplitClasses  = "classes"  // a side has only one value of the label
	SplitTwins    = "twins"    // most held-out rows have a twin among the rows to train on
	SplitUndated  = "undated"  // rows have no time, and are in neither part
)

const (
	// fewGroups is the number of different rows below which a split by hash
	// leaves much to chance.
	fewGroups = 30
	// manyTwins is the share of held-out rows with a twin that is warned of.
	manyTwins = 0.5
	// maxTwins bounds the different rows that are looked at for twins. Of more,
	// it is those whose hash ends in enough zeros: an even sample.
	maxTwins = 1 << 16
)

// far is how much the hold-out's share may differ from the fraction.
func far(fraction float64) float64 { return min(0.1, fraction/2, (1-fraction)/2) }

// census counts what a split's sides consist of, in bounded memory.
type census struct {
	split    Split
	features []string
	hashes   []uint64
	labels   [2]labelCount
	undated  int64
	seen     map[uint64]*[2]int64 // rows of each side by the hash of their features
	zeros    uint                 // how many zero bits the hashes in seen end in
}

// labelCount is whether a side has several values of the label.
type labelCount struct {
	first         uint64
	some, several bool
}

func newCensus(s Split, schema Schema) *census {
	named := s
	named.Group, named.Key = nil, nil
	return &census{split: s, features: named.hashed(schema), seen: map[uint64]*[2]int64{}}
}

// add takes in the rows of a batch, which are on these sides.
func (c *census) add(b *placed, side []uint8) {
	if times := b.Column(c.split.Time); times != nil && (c.split.By == ByTime || c.split.Span > 0) && !c.split.held(b.file) {
		for i := range b.Rows {
			if times.Null(i) {
				c.undated++
			}
		}
	}
	if label := b.Column(c.split.Label); label != nil {
		c.hashes = rowHashes(c.hashes, b.Batch, []string{c.split.Label})
		for i, h := range c.hashes {
			if side[i] != toNeither && !label.Null(i) {
				c.labels[side[i]].add(h)
			}
		}
	}
	c.hashes = rowHashes(c.hashes, b.Batch, c.features)
	for i, h := range c.hashes {
		if h = mix(h); side[i] != toNeither && h&(1<<c.zeros-1) == 0 {
			c.count(h, side[i])
		}
	}
}

func (l *labelCount) add(h uint64) {
	l.several = l.several || l.some && h != l.first
	l.first, l.some = h, true
}

func (c *census) count(h uint64, side uint8) {
	n := c.seen[h]
	if n == nil {
		n = new([2]int64)
		c.seen[h] = n
	}
	n[side]++
	for len(c.seen) > maxTwins {
		c.zeros++
		for h := range c.seen {
			if h&(1<<c.zeros-1) != 0 {
				delete(c.seen, h)
			}
		}
	}
}

// warnings returns what makes a judgement on these parts doubtful.
func (c *census) warnings(made Parts) (out []Broken) {
	rows, s := made.Train+made.Holdout, c.split
	if share := float64(made.Holdout) / float64(rows); s.By != ByFile && math.Abs(share-s.Fraction) > far(s.Fraction) {
		out = append(out, Broken{
			Check: SplitFraction, Count: made.Holdout, Fraction: share, Allowed: s.Fraction,
			Reason: fmt.Sprintf("%s of the rows are held out instead of %s", Percent(share), Percent(s.Fraction)),
		})
	}
	if n := len(c.seen); s.By == ByHash && len(s.Group)+len(s.Key) == 0 && c.zeros == 0 && n < fewGroups {
		out = append(out, Broken{
			Check: SplitGroups, Count: int64(n),
			Reason: fmt.Sprintf("the rows have only %d different combinations of features, and all rows of one are on one side: what is held out was never trained on; holdout.by: random divides them", n),
		})
	}
	for side, n := range []int64{toTrain: made.Train, toHoldout: made.Holdout} {
		if l := c.labels[side]; l.some && !l.several {
			name := []string{toTrain: "to train on", toHoldout: "held out"}[side]
			out = append(out, Broken{
				Check: SplitClasses, Column: s.Label, Count: n, Fraction: float64(n) / float64(rows),
				Reason: fmt.Sprintf("all rows %s have the same %s", name, s.Label),
			})
		}
	}
	if share := c.twins(); share > manyTwins {
		out = append(out, Broken{
			Check: SplitTwins, Count: int64(math.Round(share * float64(made.Holdout))), Fraction: share, Allowed: manyTwins,
			Reason: fmt.Sprintf("%s of the held-out rows have the same features as a row to train on: the hold-out says little about new rows", Percent(share)),
		})
	}
	if c.undated > 0 {
		all := float64(c.undated) / float64(rows+c.undated)
		out = append(out, Broken{
			Check: SplitUndated, Column: s.Time, Count: c.undated, Fraction: all,
			Reason: fmt.Sprintf("%d rows have no %s and are in neither part", c.undated, s.Time),
		})
	}
	return out
}

// twins returns the share of held-out rows whose features a row to train on has.
func (c *census) twins() float64 {
	var held, twins int64
	for _, n := range c.seen {
		held += n[toHoldout]
		if n[toTrain] > 0 {
			twins += n[toHoldout]
		}
	}
	if held == 0 {
		return 0
	}
	return float64(twins) / float64(held)
}
