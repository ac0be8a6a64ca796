package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"slices"

	"millrace.dev/shared/table"
)

// keySet is the keys of labels that have not been found in the prediction log.
// It holds 64 bits of hash a key: ten million labels take some 200 MB, and
// that two of them collide has a chance of one in 400,000.
type keySet struct {
	seed maphash.Seed
	left map[uint64]struct{}
}

func (s *keySet) len() int { return len(s.left) }

// readBatch is how many rows are read at once.
const readBatch = 8192

// readKeys reads the keys of the file of labels at path. Rows with a null key
// column or label are counted in without.
func readKeys(ctx context.Context, path string, key []string, label string) (_ *keySet, without int64, err error) {
	s := &keySet{seed: maphash.MakeSeed(), left: map[uint64]struct{}{}}
	err = s.each(ctx, path, append(slices.Clip(key), label), len(key), func(hash uint64, ok bool) {
		if ok {
			s.left[hash] = struct{}{}
		} else {
			without++
		}
	})
	return s, without, err
}

// find takes the keys out that the batch of predictions at path has, and
// returns how many these are.
func (s *keySet) find(ctx context.Context, path string, key []string) (found int, err error) {
	before := len(s.left)
	err = s.each(ctx, path, key, len(key), func(hash uint64, ok bool) {
		if ok {
			delete(s.left, hash)
		}
	})
	return before - len(s.left), err
}

// each calls f for every row of a file with the hash of its first so many
// columns, and whether none of the columns is null.
func (s *keySet) each(ctx context.Context, path string, columns []string, hashed int, f func(hash uint64, ok bool)) (err error) {
	r, err := table.Open(path, columns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var h maphash.Hash
	h.SetSeed(s.seed)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := r.Next(readBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range b.Rows {
			h.Reset()
			ok := true
			for c := range b.Columns {
				v := &b.Columns[c]
				if v.Null(i) {
					ok = false
					break
				}
				if c < hashed {
					hashValue(&h, v, i)
				}
			}
			f(h.Sum64(), ok)
		}
	}
}

func hashValue(h *maphash.Hash, v *table.Vector, i int) {
	var b [8]byte
	switch {
	case v.Strings != nil:
		binary.LittleEndian.PutUint64(b[:], uint64(len(v.Strings[i])))
		h.WriteString(v.Strings[i])
	case v.Ints != nil:
		binary.LittleEndian.PutUint64(b[:], uint64(v.Ints[i]))
	case v.Floats != nil:
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v.Floats[i]+0)) // -0 is 0
	case v.Bools != nil && v.Bools[i]:
		b[0] = 1
	}
	h.Write(b[:])
}
