package config

import (
	"encoding/json"
)

// Train is how a model is trained.
type Train struct {
	// What starts a training by itself. Drift and cron retrain by monitor.on_drift and schedules; a request always can.
	On []string `json:"on" default:"upload" enum:"upload"`
	// How much must have come before a training starts.
	After After `json:"after,omitzero"`
	// The trainer, run in the pipeline's folder or in the image; {{params.x}} stands for a parameter.
	Command []string `json:"command" required:"true" nonempty:"true"`
	// The image the command runs in on a cluster.
	Image string `json:"image,omitempty"`
	// The trainer's parameters.
	Params map[string]any `json:"params,omitempty"`
	// The trainer's environment: texts, or {secret: name/key}.
	Env map[string]EnvValue `json:"env,omitempty"`
	// Kubernetes resources: cpu, memory, nvidia.com/gpu, ephemeral-storage, ...
	Resources map[string]Quantity `json:"resources,omitempty"`
	// A patch of the Job's pod template: nodeSelector, tolerations, volumes, labels.
	Pod map[string]any `json:"pod,omitempty"`
	// What runs the training on a cluster.
	Runtime string `json:"runtime" default:"job" enum:"job,trainjob"`
	// How many pods train one model together, with runtime trainjob.
	Nodes int `json:"nodes,omitempty" min:"1" max:"1000"`
	// How long a training may take.
	Timeout Duration `json:"timeout" default:"1h" above:"0"`
	// How often a training that failed is started again.
	Retries int `json:"retries" default:"2" min:"0" max:"10"`
}

// OnUpload reports whether a new snapshot starts a training by itself.
func (t *Train) OnUpload() bool { return len(t.On) > 0 }

// After is how much must have come since the last training. The zero value
// asks for nothing; with both set, either is enough.
type After struct {
	// Wait for so many new rows.
	Rows int64 `json:"rows,omitempty" min:"1"`
	// Wait until no upload has come for so long.
	Quiet Duration `json:"quiet,omitzero" above:"0"`
}

// EnvValue is the value of an environment variable: a text, or a reference to
// a secret. A secret's value is never part of a pipeline.
type EnvValue struct {
	Value  string
	Secret string // name/key, empty for a plain text
}

// MarshalJSON writes the text, or {"secret": "name/key"}.
func (e EnvValue) MarshalJSON() ([]byte, error) {
	if e.Secret != "" {
		return json.Marshal(map[string]string{"secret": e.Secret})
	}
	return json.Marshal(e.Value)
}
