package config

import (
	"encoding/json"
)

// Train is how a model is trained.
type Train struct {
	// What starts a training automatically; [] for nothing. monitor.on_drift and schedules start trainings as well, and requests always can.
	On []string `json:"on" default:"upload" enum:"upload" example:"[upload]"`
	// How much new data a training waits for.
	After After `json:"after,omitzero"`
	// The trainer and its arguments, run in the pipeline's folder or in the image. {{params.x}} stands for a parameter.
	Command []string `json:"command" required:"true" nonempty:"true" example:"[python, train.py, '--rate={{params.learning_rate}}']"`
	// The image in which the command runs on a cluster. Its tag is resolved to a digest. Required on a cluster.
	Image string `json:"image,omitempty" example:"registry.example.com/flights-trainer:1.4"`
	// The trainer's parameters, by name: letters, digits and _.
	Params map[string]any `json:"params,omitempty" example:"{learning_rate: 0.1, max_iter: 200}"`
	// The trainer's environment variables: strings, or {secret: name/key}. No name may begin with MILLRACE_.
	Env map[string]EnvValue `json:"env,omitempty" example:"{OMP_NUM_THREADS: '2', TOKEN: {secret: registry/token}}"`
	// Kubernetes resources: cpu, memory, nvidia.com/gpu, ephemeral-storage, ...
	Resources map[string]Quantity `json:"resources,omitempty" example:"{cpu: '2', memory: 4Gi}"`
	// A patch of the pod's specification, with labels and annotations: nodeSelector, tolerations, volumes and others.
	Pod map[string]any `json:"pod,omitempty" example:"{nodeSelector: {disk: ssd}}"`
	// What runs the training on a cluster: a Kubernetes Job, or a TrainJob of Kubeflow.
	Runtime string `json:"runtime" default:"job" enum:"job,trainjob" example:"trainjob"`
	// How many pods train a model together. Needs runtime: trainjob.
	Nodes int `json:"nodes,omitempty" min:"1" max:"1000" example:"4"`
	// How long a training may take, all attempts together.
	Timeout Duration `json:"timeout" default:"1h" above:"0" example:"30m"`
	// How often a training that failed is started again.
	Retries int `json:"retries" default:"2" min:"0" max:"10" example:"0"`
}

// OnUpload reports whether a new snapshot starts a training automatically.
func (t *Train) OnUpload() bool { return len(t.On) > 0 }

// After is the amount of new data since the last training that starts another.
// The zero value requires nothing; if both fields are set, either is enough.
type After struct {
	// Wait for this many new rows.
	Rows int64 `json:"rows,omitempty" min:"1" example:"10000"`
	// Wait until there has been no upload for this long.
	Quiet Duration `json:"quiet,omitzero" above:"0" example:"10m"`
}

// EnvValue is the value of an environment variable: a string, or a reference to a
// secret. A secret's value is never part of a pipeline.
type EnvValue struct {
	Value  string
	Secret string // name/key, "" for a plain value
}

// MarshalJSON returns the string, or {"secret": "name/key"}.
func (e EnvValue) MarshalJSON() ([]byte, error) {
	if e.Secret != "" {
		return json.Marshal(map[string]string{"secret": e.Secret})
	}
	return json.Marshal(e.Value)
}

// UnmarshalJSON reads both forms.
func (e *EnvValue) UnmarshalJSON(raw []byte) error {
	*e = EnvValue{}
	if len(raw) == 0 || raw[0] != '{' {
		return json.Unmarshal(raw, &e.Value)
	}
	var form struct{ Secret string }
	err := json.Unmarshal(raw, &form)
	e.Secret = form.Secret
	return err
}
