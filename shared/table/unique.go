package table

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

const (
	// maxRepeated is how many keys that occur more than once are compared value
	// by value. Past that their number alone says that the check is broken, and
	// counting them by hash is off by less than one row in a billion.
	maxRepeated = 1 << 16
	// inMemory is how many hashes are held in memory at once.
	inMemory = 1 << 19
)

// unique checks that rows differ: by a hash of 64 bits first, and if hashes
// repeat, by the values. So it never reports distinct rows as repeated,
// and misses no repeated row.
func (c *checker) unique(rule UniqueRule) {
	var indices []int
	for _, name := range rule.Columns {
		i := c.t.schema.Index(name)
		if i < 0 {
			c.add(Broken{Check: rule.Name, Column: name, Count: c.p.Rows, Allowed: rule.MaxFraction, Reason: fmt.Sprintf("column %q, which is to be unique, is missing", name)}, nil)
			return
		}
		indices = append(indices, i)
	}
	set := &hashSet{rows: c.p.Rows}
	defer set.close()
	c.eachHash(indices, func(_ int, _ int64, hashes []uint64, skip []bool) error { return set.add(hashes, skip) })
	if c.err != nil {
		return
	}
	count, repeated, err := set.repeated()
	if err != nil {
		c.err = err
		return
	}
	if count == 0 {
		return
	}
	exact, rows, earlier := c.repeats(indices, repeated)
	if len(repeated) < maxRepeated {
		count = exact
	}
	if float64(count) <= rule.MaxFraction*float64(c.p.Rows) {
		return
	}
	share := float64(count) / float64(c.p.Rows)
	c.add(Broken{
		Check: rule.Name, Count: count, Allowed: rule.MaxFraction,
		Reason: fmt.Sprintf("%d of %d rows (%s) repeat an earlier one in %s; allowed: %s", count, c.p.Rows, Percent(share), strings.Join(rule.Columns, ", "), Percent(rule.MaxFraction)),
	}, rows)
	if c.err == nil {
		for i, example := range c.broken[len(c.broken)-1].Examples {
			example[RepeatsKey] = earlier[i] + 1
		}
	}
}

// eachHash calls f for every row group with its number, that of its first row,
// the hash of each row's values in some columns, and which rows have a null
// there.
func (c *checker) eachHash(indices []int, f func(group int, first int64, hashes []uint64, skip []bool) error) {
	var hashes []uint64
	var skip []bool
	first := int64(0)
	for group, g := range c.t.pq.RowGroups() {
		n := int(g.NumRows())
		hashes, skip = grow(hashes[:0], n), grow(skip[:0], n)
		for _, index := range indices {
			h := &runHasher{typ: c.t.schema[index].Type, seed: hashText([]byte(c.t.schema[index].Name))}
			at := 0
			if c.err == nil {
				c.err = c.t.each(c.ctx, group, index, func(r *run) {
					h.add(hashes[at:at+r.rows], skip[at:at+r.rows], r)
					at += r.rows
				})
			}
		}
		if c.err == nil {
			c.err = f(group, first, hashes, skip)
		}
		if c.err != nil {
			return
		}
		first += int64(n)
	}
}

// repeats compares the rows whose hash is among repeated by their values. It
// returns how many of them repeat an earlier one, the numbers of the first of
// these, and of the rows they repeat.
func (c *checker) repeats(indices []int, repeated map[uint64]bool) (count int64, rows, earlier []int64) {
	seen := map[string]int64{}
	c.eachHash(indices, func(group int, first int64, hashes []uint64, skip []bool) error {
		var at []int
		for i, h := range hashes {
			if !skip[i] && repeated[max(h, 1)] {
				at = append(at, i)
			}
		}
		keys := make([][]byte, len(at))
		for _, index := range indices {
			typ := c.t.schema[index].Type
			var v Vector
			var d decoder
			if err := c.t.each(c.ctx, group, index, func(r *run) { d.append(&v, typ, r) }); err != nil {
				return err
			}
			for k, i := range at {
				keys[k] = appendKey(keys[k], typ, &v, i)
			}
		}
		for k, i := range at {
			n := first + int64(i)
			before, ok := seen[string(keys[k])]
			switch {
			case ok:
				count++
				if len(rows) < MaxExamples {
					rows, earlier = append(rows, n), append(earlier, before)
				}
			case len(seen) < 2*maxRepeated:
				seen[string(keys[k])] = n
			}
		}
		return nil
	})
	return count, rows, earlier
}

// appendKey appends value i in a form that is the same for equal values only.
func appendKey(key []byte, typ Type, v *Vector, i int) []byte {
	switch typ {
	case String:
		key = binary.AppendUvarint(key, uint64(len(v.Strings[i])))
		return append(key, v.Strings[i]...)
	case Float:
		return binary.BigEndian.AppendUint64(key, hashFloat(v.Floats[i])) // mix is one to one
	case Bool:
		return binary.BigEndian.AppendUint64(key, boolKey(v.Bools[i]))
	}
	return binary.BigEndian.AppendUint64(key, intKey(v.Ints[i]))
}

// hashSet finds out which of many hashes occur more than once. Up to inMemory
// rows it does so in memory, beyond that it divides them into parts in a
// temporary file and looks at one part after the other.
type hashSet struct {
	rows  int64
	parts []hashPart
	shift int
	file  *os.File
	size  int64
	buf   []byte
}

type hashPart struct {
	hashes []uint64
	blocks []int64 // where in the file there are partBlock of them each
}

// partBlock is how many hashes of a part are written at once.
const partBlock = 1 << 13

func (s *hashSet) add(hashes []uint64, skip []bool) error {
	if s.parts == nil {
		s.shift = 64
		n := 1
		for ; int64(n)*inMemory < s.rows; n *= 2 {
			s.shift--
		}
		s.parts = make([]hashPart, n)
		if n == 1 {
			s.parts[0].hashes = make([]uint64, 0, s.rows)
		}
	}
	for i, h := range hashes {
		if skip[i] {
			continue
		}
		p := &s.parts[h>>s.shift]
		p.hashes = append(p.hashes, h)
		if len(p.hashes) == partBlock && len(s.parts) > 1 {
			if err := s.spill(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *hashSet) spill(p *hashPart) error {
	if s.file == nil {
		f, err := os.CreateTemp("", "millrace-unique-*")
		if err != nil {
			return err
		}
		s.file = f
		// Its name is not needed: what a killed process leaves is freed.
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	s.buf = s.buf[:0]
	for _, h := range p.hashes {
		s.buf = binary.LittleEndian.AppendUint64(s.buf, h)
	}
	if _, err := s.file.WriteAt(s.buf, s.size); err != nil {
		return fmt.Errorf("keep hashes of rows: %w", err)
	}
	p.blocks = append(p.blocks, s.size)
	p.hashes = p.hashes[:0]
	s.size += int64(len(s.buf))
	return nil
}

// repeated returns how many hashes repeat an earlier one, and which, up to
// maxRepeated of them.
func (s *hashSet) repeated() (count int64, which map[uint64]bool, err error) {
	which = map[uint64]bool{}
	var table []uint64
	for i := range s.parts {
		p := &s.parts[i]
		n := len(p.hashes) + len(p.blocks)*partBlock
		size := 16
		for size < 2*n {
			size *= 2
		}
		if len(table) != size {
			table = make([]uint64, size)
		} else {
			clear(table)
		}
		insert := func(h uint64) {
			h = max(h, 1) // 0 is a free slot
			at := h & uint64(size-1)
			for table[at] != 0 {
				if table[at] == h {
					count++
					if len(which) < maxRepeated {
						which[h] = true
					}
					return
				}
				at = (at + 1) & uint64(size-1)
			}
			table[at] = h
		}
		for _, offset := range p.blocks {
			s.buf = grow(s.buf[:0], 8*partBlock)
			if _, err := s.file.ReadAt(s.buf, offset); err != nil {
				return 0, nil, fmt.Errorf("read the hashes of rows: %w", err)
			}
			for b := s.buf; len(b) > 0; b = b[8:] {
				insert(binary.LittleEndian.Uint64(b))
			}
		}
		for _, h := range p.hashes {
			insert(h)
		}
	}
	return count, which, nil
}

func (s *hashSet) close() {
	if s.file != nil {
		s.file.Close()
	}
}
