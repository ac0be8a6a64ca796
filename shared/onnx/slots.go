package onnx

import (
	"slices"
	"sync"
)

// slots keeps slots between runs, the last used last. What it keeps is bounded in number and in rows, whatever batch
// sizes come along. (A sync.Pool would drop slots without freeing what the runtime holds for them.)
type slots struct {
	mu   sync.Mutex
	kept []*slot
	rows int // of all kept
	watch
}

const (
	maxIdleSlots = 32
	maxIdleRows  = 8 * maxRows
)

// take returns a kept slot for exactly so many rows, or nil.
func (p *slots) take(rows int) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range slices.Backward(p.kept) {
		if s.rows == rows {
			p.remove(i)
			return s
		}
	}
	return nil
}

// put keeps s for later and frees those longest unused when it gets too many. It reports whether the watch has ended
// the run of s.
func (p *slots) put(s *slot) (ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(s)
	if !s.ended.IsZero() {
		s.destroy() // its options end every run from now on
		return true
	}
	p.kept, p.rows = append(p.kept, s), p.rows+s.rows
	for len(p.kept) > maxIdleSlots || p.rows > maxIdleRows {
		oldest := p.kept[0]
		p.remove(0)
		oldest.destroy()
	}
	return false
}

// drain frees all that is kept.
func (p *slots) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.kept {
		s.destroy()
	}
	p.kept, p.rows = nil, 0
}

func (p *slots) remove(i int) {
	p.rows -= p.kept[i].rows
	copy(p.kept[i:], p.kept[i+1:])
	p.kept[len(p.kept)-1] = nil
	p.kept = p.kept[:len(p.kept)-1]
}
