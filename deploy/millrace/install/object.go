package install

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// object has the fields of a Kubernetes object that are read.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Generation  int64             `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int64 `json:"replicas"`
	} `json:"spec"`
	Data   map[string]string `json:"data"`
	Status status            `json:"status"`
}

// status has the status fields of all kinds that are waited for.
type status struct {
	ObservedGeneration int64       `json:"observedGeneration"`
	ReadyReplicas      int64       `json:"readyReplicas"`
	UpdatedReplicas    int64       `json:"updatedReplicas"`
	Conditions         []condition `json:"conditions"`
	URL                string      `json:"url"` // of a Knative Service
	ContainerStatuses  []struct {
		State struct {
			Waiting struct {
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"waiting"`
		} `json:"state"`
	} `json:"containerStatuses"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (o object) String() string { return o.Kind + " " + o.Metadata.Name }

// group returns the API group, "" for the core group.
func (o object) group() string {
	group, _, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// resource returns the resource name, such as services.serving.knative.dev.
func (o object) resource() string {
	name := strings.ToLower(o.Kind)
	switch {
	case strings.HasSuffix(name, "y"):
		name = strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "s"):
		name += "es"
	default:
		name += "s"
	}
	return strings.TrimSuffix(name+"."+o.group(), ".")
}

// ready reports whether the object is ready, and if not, why. A kind without
// conditions is ready once it exists.
func (o object) ready() (ok bool, why string) {
	wanted := int64(1)
	if o.Spec.Replicas != nil {
		wanted = *o.Spec.Replicas
	}
	switch o.Kind {
	case "Deployment", "StatefulSet":
		if o.Status.ObservedGeneration != o.Metadata.Generation || o.Status.UpdatedReplicas < wanted || o.Status.ReadyReplicas < wanted {
			return false, fmt.Sprintf("%d of %d pods are ready", o.Status.ReadyReplicas, wanted)
		}
		return true, ""
	}
	if o.Status.ObservedGeneration != o.Metadata.Generation {
		return false, "Knative has not reconciled it yet"
	}
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" && c.Status != "True" {
			return false, cmp.Or(strings.TrimSpace(c.Reason+" "+c.Message), "no reason is reported")
		}
	}
	return true, ""
}

// isWaitedFor reports whether the kind has conditions to wait for.
func (o object) isWaitedFor() bool {
	switch o.group() {
	case "serving.knative.dev", "eventing.knative.dev", "sources.knative.dev":
		return true
	}
	return o.Kind == "Deployment" || o.Kind == "StatefulSet"
}

// installation is the set of objects to apply.
type installation struct {
	namespace string
	objects   []object
	// text is all objects as YAML.
	text string
}

// document returns the YAML of the first object of the kind, nil if there is no such object.
func (in installation) document(kind string) []byte {
	for doc := range strings.SplitSeq(in.text, "\n---\n") {
		var o object
		if yaml.Unmarshal([]byte(doc), &o) == nil && o.Kind == kind {
			return []byte(doc)
		}
	}
	return nil
}

// read parses the objects in a YAML stream.
func read(stream []byte) installation {
	in := installation{text: string(stream)}
	for doc := range bytes.SplitSeq(stream, []byte("\n---\n")) {
		var o object
		if yaml.Unmarshal(doc, &o) != nil || o.Kind == "" {
			continue // kubectl reports what is wrong with it
		}
		if o.Kind == "Namespace" {
			in.namespace = o.Metadata.Name
		}
		in.objects = append(in.objects, o)
	}
	if in.namespace == "" && len(in.objects) > 0 {
		in.namespace = in.objects[0].Metadata.Namespace
	}
	in.namespace = cmp.Or(in.namespace, "default")
	return in
}
