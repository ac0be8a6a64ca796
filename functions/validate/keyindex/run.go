package keyindex

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/table"
)

// Partition is a member of a dataset: the rows of an object.
type Partition struct {
	// Object is the name of the object, Digest that of its partition.
	Object string `json:"object"`
	Digest string `json:"digest"`
}

// Run is the sorted keys of some partitions.
type Run struct {
	Data events.Ref `json:"data"`
	Keys int64      `json:"keys"`
	// Partitions are those that the keys are of. A key refers to one by its place
	// in this list.
	Partitions []Partition `json:"partitions"`
	// Rows are the numbers of rows of the partitions that have a key, which may
	// repeat.
	Rows []int64 `json:"rows"`
}

// entry is a key in a run: 96 bits of the key, then the partition's place.
type entry struct{ hi, lo uint64 }

const entryBytes = 16

func entryOf(k table.Key, partition int) entry {
	return entry{k.Hi, Shorten(k).Lo | uint64(uint32(partition))}
}

func (e entry) partition() int { return int(uint32(e.lo)) }

// at returns the key at another place.
func (e entry) at(partition int) entry { return entryOf(table.Key{Hi: e.hi, Lo: e.lo}, partition) }

// compareKeys orders entries by their keys only.
func compareKeys(a, b entry) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo>>32, b.lo>>32))
}

func (e entry) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, e.hi), e.lo)
}

func decode(b []byte) entry {
	return entry{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// stream reads entries in order. It is before the first until next is called.
type stream struct {
	r   io.Reader
	buf []byte
	at  int // of the next entry in buf
	entry
}

// streamBuffer is a multiple of entryBytes.
const streamBuffer = 64 << 10

func newStream(r io.Reader) *stream { return &stream{r: r} }

// next reads the next entry; it returns false at the end.
func (s *stream) next() (bool, error) {
	if s.at == len(s.buf) {
		if s.buf == nil {
			s.buf = make([]byte, streamBuffer)
		}
		n, err := io.ReadFull(s.r, s.buf[:streamBuffer])
		s.buf, s.at = s.buf[:n], 0
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
			return false, err
		case n%entryBytes != 0:
			return false, io.ErrUnexpectedEOF
		}
	}
	s.entry = decode(s.buf[s.at:])
	s.at += entryBytes
	return true, nil
}

// merge calls f with the entries of all streams in order.
func merge(streams []*stream, f func(from int, e entry) error) error {
	// The head of a stream is its least entry; order has the streams by their
	// heads, as a heap.
	order := make([]int, 0, len(streams))
	less := func(i, j int) bool {
		a, b := streams[order[i]], streams[order[j]]
		return cmp.Or(compareKeys(a.entry, b.entry), cmp.Compare(order[i], order[j])) < 0
	}
	down := func(i int) {
		for {
			least := i
			for _, child := range []int{2*i + 1, 2*i + 2} {
				if child < len(order) && less(child, least) {
					least = child
				}
			}
			if least == i {
				return
			}
			order[i], order[least] = order[least], order[i]
			i = least
		}
	}
	for i, s := range streams {
		more, err := s.next()
		if err != nil {
			return err
		}
		if more {
			order = append(order, i)
		}
	}
	for i := len(order)/2 - 1; i >= 0; i-- {
		down(i)
	}
	for len(order) > 0 {
		s := streams[order[0]]
		if err := f(order[0], s.entry); err != nil {
			return err
		}
		more, err := s.next()
		if err != nil {
			return err
		}
		if !more {
			order[0] = order[len(order)-1]
			order = order[:len(order)-1]
		}
		down(0)
	}
	return nil
}

// sortKeys is how many keys are sorted in memory at once: 16 MiB.
const sortKeys = 1 << 20

// Sorter makes a run of the keys of one partition.
type Sorter struct {
	keys  []entry
	rows  int64
	file  *os.File
	parts []int64 // where in the file each sorted part ends
	out   []byte
}

// NewSorter returns a sorter that puts what does not fit into memory into a file
// in the folder dir. Close it.
func NewSorter(dir string) (*Sorter, error) {
	f, err := os.CreateTemp(dir, "keys-*")
	if err != nil {
		return nil, err
	}
	return &Sorter{file: f}, nil
}

// Close removes the temporary file.
func (s *Sorter) Close() error { return errors.Join(s.file.Close(), os.Remove(s.file.Name())) }

// Add adds a key.
func (s *Sorter) Add(k table.Key) error {
	s.rows++
	s.keys = append(s.keys, entryOf(k, 0))
	if len(s.keys) < sortKeys {
		return nil
	}
	return s.spill()
}

func (s *Sorter) spill() error {
	slices.SortFunc(s.keys, compareKeys)
	s.out = s.out[:0]
	for _, e := range s.keys {
		s.out = e.append(s.out)
	}
	s.keys = s.keys[:0]
	if _, err := s.file.Write(s.out); err != nil {
		return err
	}
	end := int64(len(s.out))
	if n := len(s.parts); n > 0 {
		end += s.parts[n-1]
	}
	s.parts = append(s.parts, end)
	return nil
}

// write writes the keys in order, each once, and returns how many they are.
func (s *Sorter) write(to io.Writer) (keys int64, err error) {
	if err := s.spill(); err != nil {
		return 0, err
	}
	streams := make([]*stream, len(s.parts))
	from := int64(0)
	for i, end := range s.parts {
		streams[i] = newStream(io.NewSectionReader(s.file, from, end-from))
		from = end
	}
	return writeMerged(to, streams, func(_ int, e entry) (entry, bool) { return e, true })
}

// writeMerged writes the entries of streams in order, as change returns them and
// without those that it drops. Of equal keys of one partition it writes one.
func writeMerged(to io.Writer, streams []*stream, change func(from int, e entry) (entry, bool)) (keys int64, err error) {
	w := bufio.NewWriterSize(to, streamBuffer)
	var buf []byte
	var last []entry // those written with the newest key
	err = merge(streams, func(from int, e entry) error {
		e, keep := change(from, e)
		if !keep {
			return nil
		}
		if len(last) > 0 && compareKeys(last[0], e) != 0 {
			last = last[:0]
		}
		if slices.Contains(last, e) {
			return nil
		}
		last = append(last, e)
		keys++
		buf = e.append(buf[:0])
		_, err := w.Write(buf)
		return err
	})
	return keys, errors.Join(err, w.Flush())
}

// putRun stores what write writes. Nothing is stored for a run without keys.
func putRun(ctx context.Context, store *artifact.Store, dir string, write func(io.Writer) (int64, error)) (ref events.Ref, keys int64, err error) {
	f, err := os.CreateTemp(dir, "run-*")
	if err != nil {
		return events.Ref{}, 0, err
	}
	defer os.Remove(f.Name()) // it is gone if the store took it
	keys, err = write(f)
	if err = errors.Join(err, f.Close()); err != nil || keys == 0 {
		return events.Ref{}, 0, err
	}
	ref, err = store.PutFile(ctx, f.Name(), ".keys", true)
	return ref, keys, err
}
