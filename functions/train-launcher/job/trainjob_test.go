package job_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"millrace.dev/functions/train-launcher/job"
)

// TestTrainJobs: what is made of a run is what Kubeflow Trainer's own
// definitions take, without a field that they do not know.
func TestTrainJobs(t *testing.T) {
	t.Parallel()
	runtimes, trainJobs := definition(t, "trainingruntimes"), definition(t, "trainjobs")
	for name, r := range runs() {
		t.Run(name, func(t *testing.T) {
			s := settingsOf(name)
			like, err := job.RuntimeForRun(s, r)
			if err != nil {
				t.Fatal(err)
			}
			trainJob := job.TrainJobForRun(s, r)
			for kind, c := range map[string]struct {
				schema *spec.Schema
				object map[string]any
			}{"runtime": {runtimes, like.Object}, "TrainJob": {trainJobs, trainJob.Object}} {
				for _, err := range mistakes(t, c.schema, c.object) {
					t.Errorf("the %s: %v", kind, err)
				}
			}
			golden(t, filepath.Join("trainjob", name), like, trainJob)
		})
	}
}

// TestSchemaIsStrict: the check above finds what it is there to find.
func TestSchemaIsStrict(t *testing.T) {
	t.Parallel()
	trainJobs := definition(t, "trainjobs")
	for name, spoil := range map[string]func(spec map[string]any){
		"unknown field": func(spec map[string]any) { spec["nodes"] = int64(2) },
		"wrong type":    func(spec map[string]any) { spec["suspend"] = "yes" },
		"missing field": func(spec map[string]any) { delete(spec, "runtimeRef") },
	} {
		object := job.TrainJobForRun(settings, runs()["plain"]).Object
		spoil(object["spec"].(map[string]any))
		if len(mistakes(t, trainJobs, object)) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

// definition reads the schema of the newest version of a definition, and closes it:
// the API server drops unknown fields, which would hide a mistake.
func definition(t *testing.T, name string) *spec.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "crds", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema spec.Schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil || len(crd.Spec.Versions) != 1 {
		t.Fatalf("%s: %d versions, %v", name, len(crd.Spec.Versions), err)
	}
	s := &crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	closed(s)
	return s
}

func closed(s *spec.Schema) {
	for name, p := range s.Properties {
		closed(&p)
		s.Properties[name] = p
	}
	if s.Items != nil && s.Items.Schema != nil {
		closed(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		closed(s.AdditionalProperties.Schema)
	}
	_, open := s.Extensions["x-kubernetes-preserve-unknown-fields"]
	if len(s.Properties) > 0 && s.AdditionalProperties == nil && !open {
		s.AdditionalProperties = &spec.SchemaOrBool{}
	}
}

func mistakes(t *testing.T, s *spec.Schema, object map[string]any) []error {
	t.Helper()
	text, err := json.Marshal(object) // numbers as the API server reads them
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return validate.NewSchemaValidator(s, nil, "", strfmt.Default).Validate(v).Errors
}
