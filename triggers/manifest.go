package triggers

import (
	"bytes"
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"
)

// header is what every Kubernetes object begins with.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

func (h header) check() error {
	if h.Metadata.Name == "" {
		return errors.New("metadata.name is missing")
	}
	return nil
}

// destination is where events go.
type destination struct {
	Ref struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		Namespace  string `json:"namespace"`
	} `json:"ref"`
	URI string `json:"uri"`
}

// documents splits a YAML stream at its document marks. Documents of comments
// alone are left out.
func documents(text []byte) [][]byte {
	var docs [][]byte
	begin := true
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("---")) {
			begin = true
			continue
		}
		if begin {
			docs, begin = append(docs, nil), false
		}
		docs[len(docs)-1] = append(docs[len(docs)-1], line...)
	}
	kept := docs[:0]
	for _, d := range docs {
		var v any
		if yaml.Unmarshal(d, &v) == nil && v == nil {
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

// parse reads one object. A field it does not know is an error: a filter that
// is misspelt would let everything pass.
func parse(doc []byte) (*Trigger, *Schedule, error) {
	var h header
	if err := yaml.Unmarshal(doc, &h); err != nil {
		return nil, nil, err
	}
	switch kind := h.Kind + "." + h.APIVersion; kind {
	case "Trigger.eventing.knative.dev/v1":
		var m triggerManifest
		if err := yaml.UnmarshalStrict(doc, &m); err != nil {
			return nil, nil, named(h, err)
		}
		t, err := m.trigger()
		return t, nil, named(h, err)
	case "PingSource.sources.knative.dev/v1":
		var m pingManifest
		if err := yaml.UnmarshalStrict(doc, &m); err != nil {
			return nil, nil, named(h, err)
		}
		s, err := m.schedule()
		return nil, s, named(h, err)
	case "Kustomization.kustomize.config.k8s.io/v1beta1":
		return nil, nil, nil
	default:
		return nil, nil, fmt.Errorf("kind %q of %q is not taken: it must be Trigger of eventing.knative.dev/v1 or PingSource of sources.knative.dev/v1", h.Kind, h.APIVersion)
	}
}

func named(h header, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", h.Kind, h.Metadata.Name, err)
}
