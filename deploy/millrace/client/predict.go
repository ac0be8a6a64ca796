package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Model is the metadata of a served model.
type Model struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Inputs   []Tensor `json:"inputs"`
	// Properties has version, task and, for a classification, classes: a JSON
	// list in the order of the probabilities.
	Properties map[string]string `json:"properties"`
}

// Tensor is one input of a model.
type Tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
}

// Classes returns the classes of a classification in the order of the
// probabilities, and nil for a regression.
func (m Model) Classes() []string {
	var classes []string
	_ = json.Unmarshal([]byte(m.Properties["classes"]), &classes) // stays nil without classes
	return classes
}

// Model returns the metadata of a pipeline's champion, or of the version if it
// is not 0.
func (c *Client) Model(ctx context.Context, pipeline string, version int) (m Model, err error) {
	parts := []string{"v2/models", pipeline}
	if version > 0 {
		parts = append(parts, "versions", strconv.Itoa(version))
	}
	return m, c.Get(ctx, &m, nil, parts...)
}

// Pipeline returns the current configuration of a pipeline, nil before the first
// one.
func (c *Client) Pipeline(ctx context.Context, pipeline string) (*config.Pipeline, error) {
	var said struct {
		Config json.RawMessage `json:"config"`
	}
	if err := c.Get(ctx, &said, nil, "api/pipelines", pipeline); err != nil || len(said.Config) == 0 {
		return nil, err
	}
	p, err := config.FromJSON(said.Config)
	if err != nil {
		return nil, notMillrace(c, err)
	}
	return p, nil
}

// Ask has the options of a prediction.
type Ask struct {
	// Version pins the request to a version; 0 leaves it to the route.
	Version int
	// Key sends requests with the same key to the same version.
	Key string
	// ID is the request's id in the prediction log; the server generates one
	// if it is empty.
	ID string
}

// Predicted is the answer for some rows.
type Predicted struct {
	// Version answered, by the route champion, canary or pinned.
	Version int
	Route   string
	// Request is the id under which the rows are logged.
	Request     string
	Predictions []Prediction
}

// Prediction is the answer for one row: the value of a regression, or the label
// and the probabilities of a classification. Where the model gave NaN or an
// infinite number, Value is empty and a probability is nil.
type Prediction struct {
	// Scalar tells that the answer is a value, and not a label.
	Scalar        bool
	Value         json.Number
	Label         any
	Probabilities []*float64
}

// UnmarshalJSON decodes a number, or an object with label and probabilities.
func (p *Prediction) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] != '{' {
		p.Scalar = true
		return json.Unmarshal(b, &p.Value)
	}
	var o struct {
		Label         any        `json:"label"`
		Probabilities []*float64 `json:"probabilities"`
	}
	err := json.Unmarshal(b, &o)
	p.Label, p.Probabilities = o.Label, o.Probabilities
	return err
}

// Predict returns predictions for rows, which are JSON objects by column.
func (c *Client) Predict(ctx context.Context, pipeline string, a Ask, rows []json.RawMessage) (out Predicted, err error) {
	body, header, err := jsonBody(map[string]any{"instances": rows})
	if err != nil {
		return out, err
	}
	for name, v := range map[string]string{"X-Millrace-Key": a.Key, "X-Request-Id": a.ID} {
		if v != "" {
			header.Set(name, v)
		}
	}
	if a.Version > 0 {
		header.Set("X-Millrace-Version", strconv.Itoa(a.Version))
	}
	answer, err := c.send(ctx, http.MethodPost, c.base.JoinPath("v1/models", url.PathEscape(pipeline)+":predict").String(), body, header)
	if err != nil {
		return out, err
	}
	defer answer.Body.Close()
	var said struct {
		Predictions []Prediction `json:"predictions"`
	}
	if err := decode(c, answer.Body, &said); err != nil {
		return out, err
	}
	h := answer.Header
	out = Predicted{Route: h.Get("X-Millrace-Route"), Request: h.Get("X-Request-Id"), Predictions: said.Predictions}
	out.Version, _ = strconv.Atoi(h.Get("X-Millrace-Version")) // 0 if the header is missing
	if len(out.Predictions) != len(rows) {
		return out, notMillrace(c, fmt.Errorf("%d predictions for %d rows", len(out.Predictions), len(rows)))
	}
	return out, nil
}

// Infer sends a request of the Open Inference Protocol and returns the version
// that answered.
func (c *Client) Infer(ctx context.Context, model string, request []byte) (version int, err error) {
	answer, err := c.send(ctx, http.MethodPost, c.url(nil, "v2/models", model, "infer"), bytes.NewReader(request), http.Header{"Content-Type": {"application/json"}})
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var said struct {
		Version string `json:"model_version"`
	}
	if err := decode(c, answer.Body, &said); err != nil {
		return 0, err
	}
	return strconv.Atoi(said.Version)
}

// LastSequence returns the sequence of the newest event in the log.
func (c *Client) LastSequence(ctx context.Context) (uint64, error) {
	var last uint64
	for e, err := range c.Events(ctx, Query{Limit: 1}) {
		if err != nil {
			return 0, err
		}
		last = e.Sequence
	}
	return last, nil
}

// Sequence returns an event's sequence in the log, where a follower can start.
func (c *Client) Sequence(ctx context.Context, pipeline, event string) (uint64, error) {
	e, err := c.Event(ctx, pipeline, event)
	return e.Sequence, err
}

// Types returns the event types of payloads, for a Query.
func Types(data ...events.Data) []string {
	names := make([]string, len(data))
	for i, d := range data {
		names[i] = d.EventType()
	}
	return names
}
