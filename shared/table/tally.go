package table

import "slices"

// tally counts values. Numbers are counted in an open hash table, since a
// general map takes several times as long; strings in a map, since they come
// from dictionaries and are few.
type tally struct {
	keys   []uint64
	counts []int64 // 0: the slot is free
	n      int

	index map[string]int32
	texts []entry
}

// minSlots is the size a table begins with; always a power of two.
const minSlots = 256

// add counts n more of the number with this key; n is above 0.
func (t *tally) add(key uint64, n int64) {
	if t.keys == nil {
		t.keys, t.counts = make([]uint64, minSlots), make([]int64, minSlots)
	}
	mask := uint64(len(t.keys) - 1)
	i := mix(key) & mask
	for t.counts[i] != 0 {
		if t.keys[i] == key {
			t.counts[i] += n
			return
		}
		i = (i + 1) & mask
	}
	t.keys[i], t.counts[i] = key, n
	if t.n++; t.n*2 > len(t.keys) {
		t.grow()
	}
}

func (t *tally) grow() {
	keys, counts := t.keys, t.counts
	t.keys, t.counts, t.n = make([]uint64, 2*len(keys)), make([]int64, 2*len(keys)), 0
	for i, n := range counts {
		if n != 0 {
			t.add(keys[i], n)
		}
	}
}

// addText counts n more of the string b, which it copies when it is new.
func (t *tally) addText(b []byte, n int64) {
	if i, ok := t.index[string(b)]; ok {
		t.texts[i].n += n
		return
	}
	if t.index == nil {
		t.index = make(map[string]int32)
	}
	s := string(b)
	t.index[s] = int32(len(t.texts))
	t.texts = append(t.texts, entry{key: textKey(b), text: s, n: n})
}

// len returns the number of distinct values.
func (t *tally) len() int { return t.n + len(t.texts) }

// take returns the counted values in ascending order and forgets them.
func (t *tally) take() []entry {
	all := t.texts
	if t.n > 0 {
		all = make([]entry, 0, t.n)
		for i, n := range t.counts {
			if n != 0 {
				all = append(all, entry{key: t.keys[i], n: n})
			}
		}
	}
	slices.SortFunc(all, compareEntries)
	clear(t.counts)
	t.n, t.texts = 0, nil
	clear(t.index)
	return all
}

// mergeEntries adds up two ascending lists.
func mergeEntries(a, b []entry) []entry {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	all := make([]entry, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch c := compareEntries(a[0], b[0]); {
		case c < 0:
			all, a = append(all, a[0]), a[1:]
		case c > 0:
			all, b = append(all, b[0]), b[1:]
		default:
			e := a[0]
			e.n += b[0].n
			all, a, b = append(all, e), a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}
