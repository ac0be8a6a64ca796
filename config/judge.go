package config

// Evaluate is how a new model is judged.
type Evaluate struct {
	// What is measured on the hold-out. Default: the task's usual metrics.
	Metrics []string `json:"metrics,omitempty" nonempty:"true"`
	// Columns by whose values the hold-out is measured again, slice by slice.
	Slices []string `json:"slices,omitempty"`
	// What a new model must reach to be approved.
	Gates []Gate `json:"gates,omitempty"`
}

// Gate is a bound that a new model must keep. At least one of Min, Max and
// Champion is set.
type Gate struct {
	// The metric the gate looks at.
	Metric string `json:"metric" required:"true"`
	// The least value.
	Min *float64 `json:"min,omitempty"`
	// The largest value.
	Max *float64 `json:"max,omitempty"`
	// Not worse than the champion on the same hold-out.
	Champion *ChampionGate `json:"champion,omitempty"`
	// A column of slices: the gate holds for every slice that is large enough.
	Slice string `json:"slice,omitempty"`
	// Slices with fewer rows than this are not judged. Default 100 with slice.
	MinRows int64 `json:"min_rows,omitempty" min:"1"`
}

// ChampionGate compares a new model with the champion.
type ChampionGate struct {
	// How much worse than the champion is still good enough.
	Margin float64 `json:"margin" default:"0" min:"0"`
	// How sure the comparison must be.
	Confidence float64 `json:"confidence" default:"0.95" above:"0" below:"1"`
}

// DefaultMinRows is how many rows a slice needs to be judged when the gate
// does not say.
const DefaultMinRows = 100

// Promote is how an approved model goes live. The first approved version of a
// pipeline goes live at once.
type Promote struct {
	// All traffic at once, or in steps beside the champion.
	Strategy string `json:"strategy" default:"direct" enum:"canary,direct"`
	// Whether a person says yes before traffic moves.
	Approval string `json:"approval" default:"none" enum:"none,required"`
	// Per cents of traffic, ascending to 100 (canary). Default [10, 50, 100].
	Steps []int `json:"steps,omitempty" nonempty:"true" min:"1" max:"100"`
	// The evidence a step needs (canary). Default 500 requests within 1h.
	Advance Advance `json:"advance,omitzero"`
	// What happens when the evidence does not come in time (canary). Default hold.
	OnDeadline string `json:"on_deadline,omitempty" enum:"hold,rollback,promote"`
	// Bounds that the canary must keep in traffic.
	Guardrails []Guardrail `json:"guardrails,omitempty"`
}

// How a model goes live, whether a person is asked, and what happens when a
// step's evidence does not come.
const (
	StrategyDirect     = "direct"
	StrategyCanary     = "canary"
	ApprovalNone       = "none"
	ApprovalRequired   = "required"
	OnDeadlineHold     = "hold"
	OnDeadlineRollback = "rollback"
	OnDeadlinePromote  = "promote"
)

// Advance is the evidence a step of a rollout needs.
type Advance struct {
	// So many requests answered by the canary.
	Requests int64 `json:"requests,omitempty" min:"1"`
	// How long the step may wait for them.
	Within Duration `json:"within,omitzero" above:"0"`
}

// Guardrail is a bound that a canary must keep in traffic. At least one of
// Min and Max is set.
type Guardrail struct {
	// What is measured in traffic.
	Metric string `json:"metric" required:"true" enum:"error_rate,latency_p50_ms,latency_p95_ms,latency_p99_ms"`
	// The least value.
	Min *float64 `json:"min,omitempty"`
	// The largest value.
	Max *float64 `json:"max,omitempty"`
}

// What guardrails measure in traffic: the share of requests answered with an
// error of ours, and the latency in milliseconds.
const (
	GuardrailErrorRate  = "error_rate"
	GuardrailLatencyP50 = "latency_p50_ms"
	GuardrailLatencyP95 = "latency_p95_ms"
	GuardrailLatencyP99 = "latency_p99_ms"
)
