package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// point is a fail point of the program. It is passed often enough that a count
// up to often is reached soon.
type point struct {
	name  string
	often int
	// runner says that it is the runner that ends there, not Millrace.
	runner bool
}

var points = []point{
	{"append.before", 40, false}, {"append.after", 40, false},
	{"batch.before", 4, false}, {"batch.after", 4, false},
	{"artifact.begin", 25, false}, {"artifact.before", 15, false}, {"artifact.after", 15, false},
	{"ack.before", 30, false}, {"ack.after", 30, false},
	{"answer.before", 5, false}, {"answer.after", 5, false},
	{"launch.before", 2, false}, {"launch.after", 2, false},
	{"collect.before", 2, false}, {"collect.after", 2, false},
	{"predictions.before", 3, false}, {"predictions.noted", 3, false}, {"predictions.announced", 3, false}, {"predictions.forgotten", 3, false},
	{"attempt.before", 1, true}, {"attempt.after", 1, true}, {"result.before", 1, true}, {"result.after", 1, true},
}

// random is where a process is killed from outside.
const random = "at random"

// tally counts the kills by where they happened. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	kills map[string]int
	// of counts the kills of each instance.
	of map[*instance]int
	// starts counts the arming of each point, so that one that is hard to
	// reach is not chosen every time.
	starts map[string]int
}

func newTally() *tally {
	return &tally{kills: map[string]int{}, of: map[*instance]int{}, starts: map[string]int{}}
}

func (t *tally) add(in *instance, where string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills[where]++
	t.of[in]++
}

// mine counts the kills of one instance.
func (t *tally) mine(in *instance) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[in]
}

func (t *tally) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kills {
		n += k
	}
	return n
}

// spared are the points that were not hit so often.
func (t *tally) spared(often int) (out []checker.Violation) {
	for _, p := range points {
		if n := t.kills[p.name]; n < often {
			out = append(out, checker.Violation{Rule: "every point is hit", What: fmt.Sprintf("%s was hit %d times, not %d", p.name, n, often)})
		}
	}
	return out
}

// next chooses the point that has been hit least, and a count.
func (t *tally) next(rng *rand.Rand) (point, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := rng.Perm(len(points))
	least := slices.MinFunc(order, func(a, b int) int {
		x, y := points[a].name, points[b].name
		return cmp.Compare(t.kills[x]+t.starts[x]/3, t.kills[y]+t.starts[y]/3)
	})
	p := points[least]
	t.starts[p.name]++
	return p, 1 + rng.IntN(p.often)
}
