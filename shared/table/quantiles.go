package table

import (
	"cmp"
	"math/bits"
	"slices"
)

// quantiles is a KLL sketch of the order of values (Karnin, Lang, Liberty,
// 2016): levels of items, an item on level i standing for 2^i values; a level
// that is full is sorted and every other item of it moves up.
//
// It is written here because the libraries toss a coin for which half moves up,
// and the same input has to give the same bytes. Here the halves alternate,
// which keeps the bound: the error of one compaction is undone by the next as
// well as it would be on average.
type quantiles struct {
	levels []level
}

type level struct {
	keys []uint64
	odd  bool // which half moves up next
}

// sketchSize is the capacity of the highest level; those below are smaller by a
// third each. An error in rank of 0.5 % is never reached with it in practice
// (see the tests: 0.2 % on sorted, reversed, shuffled and zigzag input).
const (
	sketchSize   = 2048
	sketchLowest = 8
)

// add takes in n values with the same key.
func (q *quantiles) add(key uint64, n int64) {
	for n := uint64(n); n != 0; n &= n - 1 {
		i := bits.TrailingZeros64(n)
		q.reach(i)
		q.levels[i].keys = append(q.levels[i].keys, key)
	}
	q.compact()
}

func (q *quantiles) merge(o *quantiles) {
	for i, l := range o.levels {
		q.reach(i)
		q.levels[i].keys = append(q.levels[i].keys, l.keys...)
	}
	q.compact()
}

func (q *quantiles) reach(i int) {
	for len(q.levels) <= i {
		q.levels = append(q.levels, level{})
	}
}

func (q *quantiles) capacity(i int) int {
	c := float64(sketchSize)
	for range len(q.levels) - 1 - i {
		c *= 2. / 3
	}
	return max(int(c), sketchLowest)
}

func (q *quantiles) compact() {
	for i := 0; i < len(q.levels); i++ {
		if len(q.levels[i].keys) <= q.capacity(i) {
			continue
		}
		q.reach(i + 1)
		l, up := &q.levels[i], &q.levels[i+1]
		slices.Sort(l.keys)
		from := 0
		if l.odd {
			from = 1
		}
		l.odd = !l.odd
		even := len(l.keys) &^ 1
		for j := from; j < even; j += 2 {
			up.keys = append(up.keys, l.keys[j])
		}
		l.keys = append(l.keys[:0], l.keys[even:]...)
	}
}

// entries returns the values the sketch stands for, in ascending order.
func (q *quantiles) entries() []entry {
	var all []entry
	for i, l := range q.levels {
		for _, k := range l.keys {
			all = append(all, entry{key: k, n: 1 << i})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return all
}
