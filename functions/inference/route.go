package inference

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/config"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/predictionlog"
	"millrace.dev/shared/state"
)

// routing is where requests go. It is immutable: a new one replaces it.
type routing struct {
	models map[string]*served
	names  []string // sorted
}

// served is one pipeline's state, and its route with every version in it
// loaded. It is immutable.
type served struct {
	name  string
	state *state.Pipeline
	// shares are the parts of the traffic, the champion's last.
	shares []share
	// reason is why there are no shares.
	reason string
	// mirror gets a copy of mirrorPercent of the requests; nil without
	// mirroring.
	mirror        *version
	mirrorPercent float64
	mirrorLog     *predictionlog.Log

	log     *predictionlog.Log
	metrics modelMetrics
	sample  float64
	limits  codec.Limits
	limiter *limiter
	// undefinedIsError refuses a request with a row that the model answers NaN.
	undefinedIsError bool
}

// share is a version's part of the traffic.
type share struct {
	version *version
	// upTo is the end of its part, in tenths of a per cent.
	upTo  uint64
	route string
}

// The routes of an answer.
const (
	routeChampion = "champion"
	routeCanary   = "canary"
	routePinned   = "pinned"
	routeMirror   = "mirror"
)

// whole is all traffic in tenths of a per cent.
const whole = 1000

// sharesOf turns the weights of a route into shares of the loaded versions.
// The champion is last and takes what the others leave, so that a key which is
// the canary's at 10 % is still the canary's at 50 %.
func sharesOf(r state.Route, loaded map[int]*version) []share {
	var shares []share
	champion := loaded[r.Champion]
	end := uint64(0)
	for _, w := range r.Weights {
		v := loaded[w.Version]
		part := uint64(math.Round(w.Percent * whole / 100))
		if v == nil || v == champion || part == 0 {
			continue
		}
		end = min(whole, end+part)
		shares = append(shares, share{v, end, routeCanary})
	}
	if champion != nil && (end < whole || len(shares) == 0) {
		return append(shares, share{champion, whole, routeChampion})
	}
	if len(shares) > 0 {
		shares[len(shares)-1].upTo = whole
		if r.Champion == 0 {
			shares[len(shares)-1].route = routeChampion // a first version on its way
		}
	}
	return shares
}

// pick chooses a version for a point of the traffic.
func (s *served) pick(point uint64) share {
	for _, sh := range s.shares {
		if point < sh.upTo {
			return sh
		}
	}
	return s.shares[len(s.shares)-1]
}

// pointOf returns the place of a key in the traffic of a pipeline: the same at
// all times and in all processes, and independent of other pipelines.
func pointOf[K string | []byte](pipeline string, key K) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(pipeline) {
		h = (h ^ uint64(pipeline[i])) * prime
	}
	h *= prime // a 0 between the two
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return pointOfHash(h)
}

// pointOfHash spreads a hash over the traffic.
func pointOfHash(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd // the finalizer of MurmurHash3
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	point, _ := bits.Mul64(h, whole)
	return point
}

// sampled reports whether a request's rows are logged.
func (s *served) sampled() bool { return s.sample >= 1 || rand.Float64() < s.sample }

// share finds the share of a version that is in the route.
func (s *served) share(number int) (share, bool) {
	i := slices.IndexFunc(s.shares, func(sh share) bool { return sh.version.number == number })
	if i < 0 {
		return share{}, false
	}
	return s.shares[i], true
}

// champion returns the version that has the rest of the traffic, nil if no version has traffic.
func (s *served) champion() *version {
	if len(s.shares) == 0 {
		return nil
	}
	return s.shares[len(s.shares)-1].version
}

// ignoresOf returns the names that a request may carry though the model does
// not read them: columns of the pipeline that are not features, or not any
// more.
func ignoresOf(c *config.Pipeline) func(name []byte) bool {
	return func(name []byte) bool {
		_, ok := c.Spec.Data.Columns[string(name)]
		return ok
	}
}

// versions lists the versions that can be requested, oldest first.
func (s *served) versions() []string {
	versions := []string{}
	for _, m := range s.state.Models {
		if loadable(m) {
			versions = append(versions, strconv.Itoa(m.Version))
		}
	}
	return versions
}

// number reads a version as requests write it and makes sure that it can be asked.
func (s *served) number(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
	m := s.state.Model(n)
	if err == nil && loadable(m) {
		return n, nil
	}
	can := "none can yet"
	if all := s.versions(); len(all) > 0 {
		can = "versions that can be asked: " + strings.Join(all, ", ")
	}
	switch {
	case err != nil:
		return 0, codec.Errorf(http.StatusNotFound, "%q is not a version of %s; %s", text, s.name, can)
	case m == nil:
		return 0, codec.Errorf(http.StatusNotFound, "%s has no version %d; %s", s.name, n, can)
	}
	return 0, codec.Errorf(http.StatusNotFound, "version %d of %s cannot be asked: it is %s, and no evaluation has approved it; %s", n, s.name, m.State, can)
}

// model finds a pipeline by name.
func (t *routing) model(name string) (*served, error) {
	if t != nil {
		if s := t.models[name]; s != nil {
			return s, nil
		}
	}
	known := "there are no models yet"
	if t != nil && len(t.names) > 0 {
		known = "the models are " + strings.Join(t.names, ", ")
	}
	return nil, codec.Errorf(http.StatusNotFound, "there is no model %q; %s", name, known)
}

// with is the routing with one pipeline changed.
func (t *routing) with(s *served) *routing {
	next := &routing{models: map[string]*served{s.name: s}}
	if t != nil {
		for name, old := range t.models {
			if name != s.name {
				next.models[name] = old
			}
		}
	}
	for name := range next.models {
		next.names = append(next.names, name)
	}
	slices.Sort(next.names)
	return next
}

// unserved returns why a pipeline has no route.
func unserved(p *state.Pipeline) string {
	switch {
	case len(p.Models) == 0:
		return fmt.Sprintf("%s has no promoted version yet: no model has been trained or registered", p.Name)
	case p.Rollout != nil && p.Rollout.Waiting:
		return fmt.Sprintf("%s has no promoted version yet: version %d waits for a person's approval", p.Name, p.Rollout.Version)
	}
	m := p.Models[len(p.Models)-1]
	return fmt.Sprintf("%s has no promoted version yet: the newest, version %d, is %s", p.Name, m.Version, standing(m))
}

func standing(m *state.Model) string {
	switch {
	case m.State == state.Rejected:
		return "rejected by its evaluation"
	case m.Approved:
		return "approved and waits to be rolled out"
	}
	return "being evaluated"
}
