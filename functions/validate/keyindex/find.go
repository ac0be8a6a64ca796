package keyindex

import (
	"context"
	"errors"
	"io"
	"os"
	"sort"

	"millrace.dev/shared/table"
)

// Match is a key that another partition has too.
type Match struct {
	entry
	// Partition has the key.
	Partition Partition
}

// Key returns the key as Shorten does.
func (m Match) Key() table.Key { return table.Key{Hi: m.hi, Lo: m.lo &^ (1<<32 - 1)} }

// Shorten returns the part of a key that an index has.
func Shorten(k table.Key) table.Key {
	k.Lo &^= 1<<32 - 1
	return k
}

// source is an open run.
type source struct {
	run  Run
	file *os.File
	live []bool // which of its partitions count
}

// scanBelow is how many keys of a run there are for each key looked for when
// reading the whole run is faster than searching it.
const scanBelow = 512

// find calls f for each key of want, a run, that the source has in a live
// partition. f is called in the order of the keys.
func (s *source) find(ctx context.Context, want *os.File, wanted int64, f func(Match)) error {
	keys := newStream(io.NewSectionReader(want, 0, wanted*entryBytes))
	if s.run.Keys/max(wanted, 1) < scanBelow {
		return s.scan(ctx, keys, f)
	}
	from := int64(0)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		more, err := keys.next()
		if !more || err != nil {
			return err
		}
		if from, err = s.search(from, keys.entry); err != nil {
			return err
		}
		for at := from; at < s.run.Keys; at++ {
			e, err := s.entry(at)
			if err != nil {
				return err
			}
			if compareKeys(e, keys.entry) != 0 {
				break
			}
			s.matches(e, f)
		}
	}
}

func (s *source) matches(e entry, f func(Match)) {
	if p := e.partition(); p < len(s.live) && s.live[p] {
		f(Match{e, s.run.Partitions[p]})
	}
}

// scan reads the run along with the keys.
func (s *source) scan(ctx context.Context, keys *stream, f func(Match)) error {
	all := newStream(io.NewSectionReader(s.file, 0, s.run.Keys*entryBytes))
	more, err := all.next()
	for n := 0; more && err == nil; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wanted, err := keys.next()
		if !wanted || err != nil {
			return err
		}
		for more && compareKeys(all.entry, keys.entry) <= 0 {
			if compareKeys(all.entry, keys.entry) == 0 {
				s.matches(all.entry, f)
			}
			if more, err = all.next(); err != nil {
				return err
			}
		}
	}
	return err
}

// search returns the place of the first entry from a place on whose key is not
// less than that of e. Steps double until they pass it.
func (s *source) search(from int64, e entry) (int64, error) {
	var failed error
	less := func(at int64) bool {
		x, err := s.entry(at)
		failed = errors.Join(failed, err)
		return failed == nil && compareKeys(x, e) < 0
	}
	step := int64(1)
	low, high := from, from
	for high < s.run.Keys && less(high) {
		low, high, step = high+1, high+step, 2*step
	}
	high = min(high, s.run.Keys)
	n := sort.Search(int(high-low), func(i int) bool { return !less(low + int64(i)) })
	return low + int64(n), failed
}

func (s *source) entry(at int64) (entry, error) {
	var b [entryBytes]byte
	_, err := s.file.ReadAt(b[:], at*entryBytes)
	return decode(b[:]), err
}
