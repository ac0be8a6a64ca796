package events

import (
	"math"
	"strconv"
)

// Weight is a version's share of the traffic in per cent, grain 0.1.
type Weight struct {
	Version int     `json:"version"`
	Percent float64 `json:"percent"`
}

func weightsMistakes(m *mistakes, ws []Weight) {
	m.add(len(ws) > 0, "weights are missing: a rollout event says the whole route")
	sum, seen := 0.0, map[int]bool{}
	for _, w := range ws {
		m.add(w.Version > 0, "weight of version %d", w.Version)
		m.add(w.Percent >= 0 && w.Percent <= 100, "weight %g of version %d is not 0 to 100", w.Percent, w.Version)
		m.add(!seen[w.Version], "version %d has two weights", w.Version)
		seen[w.Version] = true
		sum += w.Percent
	}
	m.add(math.Abs(sum-100) < 1e-6, "weights sum to %g, not 100", sum)
}

// PromotionApproved is a person's yes: to an approved version that waits, to
// the next step of a rollout, or to a version that had been archived. The
// command sends it through the gateway (`millrace promote`).
type PromotionApproved struct {
	Version int    `json:"version"`
	By      string `json:"by,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (PromotionApproved) EventType() string      { return "dev.millrace.promotion.approved.v1" }
func (d PromotionApproved) EventSubject() string { return modelSubject(d.Version) }
func (d PromotionApproved) Attributes() map[string]string {
	return map[string]string{"version": strconv.Itoa(d.Version)}
}
func (d PromotionApproved) Validate() error { return versionMistake(d.Version) }

// RollbackRequested asks to abort the rollout, or, when none is under way, to
// go back from the champion to the one before (or to To).
type RollbackRequested struct {
	To     int    `json:"to,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (RollbackRequested) EventType() string    { return "dev.millrace.rollback.requested.v1" }
func (RollbackRequested) EventSubject() string { return "rollout" }
func (d RollbackRequested) Validate() error {
	var m mistakes
	m.add(d.To >= 0, "to %d is negative", d.To)
	return m.err()
}

// Evidence is what a step of a rollout was judged by.
type Evidence struct {
	// Requests the canary answered since the step began, and how many failed.
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	ErrRate  float64 `json:"errorRate"`
	// P50Ms and P95Ms are latencies in milliseconds.
	P50Ms float64 `json:"latencyP50Ms,omitempty"`
	P95Ms float64 `json:"latencyP95Ms,omitempty"`
	// Guardrails are the tests of the canary since its rollout had its first
	// traffic.
	Guardrails []GuardrailEvidence `json:"guardrails,omitempty"`
}

// GuardrailEvidence is what the requests say about one limit of a canary.
type GuardrailEvidence struct {
	Rule string `json:"rule"`
	// Broken of Requests of the canary broke the limit, and ChampionBroken of
	// ChampionRequests of the champion in the same batches.
	Broken           int64 `json:"broken"`
	Requests         int64 `json:"requests"`
	ChampionBroken   int64 `json:"championBroken,omitempty"`
	ChampionRequests int64 `json:"championRequests,omitempty"`
	// Worse is the evidence that the canary breaks the limit, Safe that it keeps
	// it: e-values, which reach 1/alpha with a chance of at most alpha if the
	// opposite is true. They are at most 1e12 here.
	Worse float64 `json:"worse"`
	Safe  float64 `json:"safe"`
	// Missing is about how many more requests would show that it keeps the limit.
	Missing int64 `json:"missing,omitempty"`
}

// RolloutStarted says that a version is on its way to be the champion.
// promote sends it. Weights is the route from now on; while Waits is set, no
// traffic moves until a person says yes.
type RolloutStarted struct {
	Version  int       `json:"version"`
	Previous int       `json:"previous,omitempty"`
	Strategy string    `json:"strategy"`
	Steps    []float64 `json:"steps,omitempty"`
	Weights  []Weight  `json:"weights,omitempty"`
	Waits    bool      `json:"waits,omitempty"`
	Reason   string    `json:"reason"`
}

func (RolloutStarted) EventType() string               { return "dev.millrace.rollout.started.v1" }
func (d RolloutStarted) EventSubject() string          { return modelSubject(d.Version) }
func (d RolloutStarted) Attributes() map[string]string { return versionAttribute(d.Version) }
func (d RolloutStarted) Validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	m.add(d.Strategy == "direct" || d.Strategy == "canary", "strategy %q is not direct or canary", d.Strategy)
	if d.Previous != 0 || !d.Waits {
		weightsMistakes(&m, d.Weights)
	}
	return m.err()
}

// RolloutAdvanced says that a rollout went on to its next step, or that the
// step's evidence is in and a person is waited for (Waits).
type RolloutAdvanced struct {
	Version int `json:"version"`
	// Step counts from 0, into the rollout's steps.
	Step     int      `json:"step"`
	Weights  []Weight `json:"weights"`
	Evidence Evidence `json:"evidence"`
	Waits    bool     `json:"waits,omitempty"`
	Reason   string   `json:"reason"`
}

func (RolloutAdvanced) EventType() string               { return "dev.millrace.rollout.advanced.v1" }
func (d RolloutAdvanced) EventSubject() string          { return modelSubject(d.Version) }
func (d RolloutAdvanced) Attributes() map[string]string { return versionAttribute(d.Version) }
func (d RolloutAdvanced) Validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	weightsMistakes(&m, d.Weights)
	return m.err()
}

// RolloutAborted says that traffic went back: by a guardrail, by request, or
// because a newer version came. It also changes the route when a champion is
// rolled back after its rollout had completed.
type RolloutAborted struct {
	Version  int      `json:"version"`
	Weights  []Weight `json:"weights,omitempty"`
	Evidence Evidence `json:"evidence,omitzero"`
	// Guardrail is the rule that was broken, if one was.
	Guardrail string `json:"guardrail,omitempty"`
	Reason    string `json:"reason"`
	By        string `json:"by,omitempty"`
}

func (RolloutAborted) EventType() string               { return "dev.millrace.rollout.aborted.v1" }
func (d RolloutAborted) EventSubject() string          { return modelSubject(d.Version) }
func (d RolloutAborted) Attributes() map[string]string { return versionAttribute(d.Version) }
func (d RolloutAborted) Validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	m.required("reason", d.Reason)
	if len(d.Weights) > 0 {
		weightsMistakes(&m, d.Weights)
	}
	return m.err()
}

// RolloutCompleted says that a version has all traffic.
type RolloutCompleted struct {
	Version  int      `json:"version"`
	Weights  []Weight `json:"weights"`
	Evidence Evidence `json:"evidence,omitzero"`
	Reason   string   `json:"reason"`
}

func (RolloutCompleted) EventType() string               { return "dev.millrace.rollout.completed.v1" }
func (d RolloutCompleted) EventSubject() string          { return modelSubject(d.Version) }
func (d RolloutCompleted) Attributes() map[string]string { return versionAttribute(d.Version) }
func (d RolloutCompleted) Validate() error {
	var m mistakes
	m.add(d.Version > 0, "version %d is not positive", d.Version)
	weightsMistakes(&m, d.Weights)
	return m.err()
}

func versionAttribute(version int) map[string]string {
	return map[string]string{"version": strconv.Itoa(version)}
}
