package config

// Evaluate is how a new model is evaluated.
type Evaluate struct {
	// The metrics computed on the hold-out. Default: the task's first three metrics, and those of the gates.
	Metrics []string `json:"metrics,omitempty" nonempty:"true" example:"[roc_auc, log_loss]"`
	// Columns whose values divide the hold-out into slices, each evaluated by itself: string, int or bool.
	Slices []string `json:"slices,omitempty" example:"[carrier, origin]"`
	// The conditions for the approval of a new model. Each gate has at least one of min, max and champion.
	Gates []Gate `json:"gates,omitempty"`
}

// Gate is a condition on a metric of a new model. At least one of Min, Max and
// Champion is set.
type Gate struct {
	// The metric to compare: one of evaluate.metrics.
	Metric string `json:"metric" required:"true" example:"roc_auc"`
	// The smallest value that passes.
	Min *float64 `json:"min,omitempty" example:"0.65"`
	// The largest value that passes.
	Max *float64 `json:"max,omitempty" example:"0.4"`
	// The confidence, between 0 and 1, with which min and max must be kept: the one-sided bound of the value counts then, not the value itself. Default: the value itself counts.
	Confidence float64 `json:"confidence,omitempty" above:"0" below:"1" example:"0.95"`
	// The model must not be worse than the champion on the same hold-out.
	Champion *ChampionGate `json:"champion,omitempty"`
	// One of evaluate.slices: the gate holds for each of its values that has enough rows.
	Slice string `json:"slice,omitempty" example:"carrier"`
	// Slices with fewer rows are not evaluated. Needs slice. Default: 100 with slice.
	MinRows int64 `json:"min_rows,omitempty" min:"1" example:"500"`
}

// ChampionGate compares a new model with the champion.
type ChampionGate struct {
	// How much worse than the champion still passes, in the metric's unit. A margin of 0 asks for a better model: an equally good one passes in 5 % of cases. Default: 0.005, or half of the champion's standard error if that is more.
	Margin *float64 `json:"margin,omitempty" min:"0" example:"0.01"`
	// The confidence level of that comparison, between 0 and 1.
	Confidence float64 `json:"confidence" default:"0.95" above:"0" below:"1" example:"0.95"`
}

// DefaultMinRows is the number of rows that a slice needs to be evaluated, unless
// the gate has min_rows.
const DefaultMinRows = 100

// Promote is how an approved model goes live. The first approved version of a
// pipeline goes live at once.
type Promote struct {
	// All traffic at once (direct), or in steps beside the champion (canary). The first approved version is always direct.
	Strategy string `json:"strategy" default:"direct" enum:"canary,direct" example:"canary"`
	// Whether a person must approve before traffic moves.
	Approval string `json:"approval" default:"none" enum:"none,required" example:"required"`
	// Shares of traffic in per cent, ascending to 100. Needs strategy: canary. Default: [10, 50, 100].
	Steps []int `json:"steps,omitempty" nonempty:"true" min:"1" max:"100" example:"[10, 50, 100]"`
	// The evidence that a step needs. Needs strategy: canary.
	Advance Advance `json:"advance,omitzero"`
	// What happens if the evidence is not there in time. Needs strategy: canary. Default: hold.
	OnDeadline string `json:"on_deadline,omitempty" enum:"hold,rollback,promote" example:"rollback"`
	// Limits for the canary under traffic. Each has at least one of min, max and champion. Needs strategy: canary.
	Guardrails []Guardrail `json:"guardrails,omitempty"`
	// The chance that a canary is aborted although it keeps all guardrails, over its whole rollout. Needs strategy: canary. Default: 0.05.
	Alpha float64 `json:"alpha,omitempty" above:"0" below:"1" example:"0.05"`
}

// DefaultAlpha is the chance of aborting a canary wrongly unless Alpha says
// another one.
const DefaultAlpha = 0.05

// The values of Strategy, Approval and OnDeadline.
const (
	StrategyDirect     = "direct"
	StrategyCanary     = "canary"
	ApprovalNone       = "none"
	ApprovalRequired   = "required"
	OnDeadlineHold     = "hold"
	OnDeadlineRollback = "rollback"
	OnDeadlinePromote  = "promote"
)

// The values of Advance.Evidence.
const (
	EvidenceSafe     = "safe"
	EvidenceRequests = "requests"
)

// Advance is the evidence that a step of a rollout needs.
type Advance struct {
	// When the step is taken: once it is shown that the canary keeps every guardrail (safe), or after advance.requests as well if nothing shows that it breaks one (requests). Without guardrails the requests alone count. Default: safe.
	Evidence string `json:"evidence,omitempty" enum:"safe,requests" example:"requests"`
	// How many requests the canary must have answered. Default: 500.
	Requests int64 `json:"requests,omitempty" min:"1" example:"500"`
	// How long the step may wait for them. Default: 1h.
	Within Duration `json:"within,omitzero" above:"0" example:"1h"`
}

// Guardrail is a limit for a canary under traffic. At least one of Min, Max and
// Champion is set.
type Guardrail struct {
	// What is measured under traffic: the share of requests that failed with a server error, or the latency in milliseconds.
	Metric string `json:"metric" required:"true" enum:"error_rate,latency_p50_ms,latency_p95_ms,latency_p99_ms" example:"error_rate"`
	// The smallest value allowed.
	Min *float64 `json:"min,omitempty" example:"0"`
	// The largest value allowed.
	Max *float64 `json:"max,omitempty" example:"0.01"`
	// How much worse than the champion the canary may be in the same time.
	Champion *ChampionGuardrail `json:"champion,omitempty"`
}

// ChampionGuardrail compares a canary with the champion under the same traffic.
type ChampionGuardrail struct {
	// How much higher the share of failed requests may be. For error_rate.
	Margin *float64 `json:"margin,omitempty" min:"0" below:"1" example:"0.01"`
	// How many times as long the percentile of the latency may be; it is known in steps of 1.19. For latencies. Default: 1.
	Ratio *float64 `json:"ratio,omitempty" min:"1" example:"1.2"`
}

// The metrics of guardrails: the share of requests that failed with a server
// error, and the latency in milliseconds.
const (
	GuardrailErrorRate  = "error_rate"
	GuardrailLatencyP50 = "latency_p50_ms"
	GuardrailLatencyP95 = "latency_p95_ms"
	GuardrailLatencyP99 = "latency_p99_ms"
)
