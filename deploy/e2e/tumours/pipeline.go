// Package tumours has pipelines, data and models for whole-chain tests: 342
// tumours of the breast cancer study that scikit-learn ships, with models of
// different worth that were trained on others of them. The trainer copies one
// of the models, so that a chain takes a moment and all else in it is real.
package tumours

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Models that the trainer knows, by its parameter model.
const (
	Good     = "good"
	Similar  = "similar"  // to good, and as good
	Weak     = "weak"     // knows one feature only
	Shuffled = "shuffled" // trained on shuffled labels
	Narrow   = "narrow"   // has one of the features as its input
)

// Pipeline is a pipeline over the study. Uploads go to <name>/data/*, labels to
// <name>/labels/*.
type Pipeline struct {
	Name string
	// Bucket, if there is one, holds further uploads, under the same keys.
	Bucket string
	// Spec replaces fields of the pipeline's spec, each as YAML: "promote":
	// "{strategy: direct}".
	Spec map[string]string
}

// spec are the fields of a pipeline that does not say them itself.
func spec(name, bucket string) map[string]string {
	uploads := fmt.Sprintf("%q", name+"/data/*")
	if bucket != "" {
		uploads += fmt.Sprintf(", %q", "s3://"+bucket+"/"+name+"/data/*")
	}
	return map[string]string{
		"data": fmt.Sprintf(`
    uploads: [%s]
    columns:
      mean_texture: {type: float}
      mean_smoothness: {type: float}
      mean_symmetry: {type: float}
      mean_concavity: {type: float}
      size: {type: string, values: [small, medium, large]}
      benign: {type: bool}
    extra: ignore
    checks: [{name: enough-rows, rows: {min: 100}}]
    labels: {uploads: ["%s/labels/*"], key: [request_id, row]}`, uploads, name),
		"model":    "{task: binary_classification, label: benign, features: [mean_texture, mean_smoothness, mean_symmetry, mean_concavity]}",
		"train":    Train(`cp "$0.onnx" "$MILLRACE_OUTPUT/model.onnx"`, "timeout: 2m"),
		"evaluate": "{metrics: [roc_auc, log_loss, accuracy], slices: [size], gates: [{metric: roc_auc, min: 0.8}, {metric: roc_auc, champion: {margin: 0.1}}]}",
	}
}

// Train is a spec.train whose trainer is a script of the shell: $0 is the
// parameter model. More are further fields.
func Train(script string, more ...string) string {
	fields := slices.Concat([]string{fmt.Sprintf("command: [sh, -c, %q, \"{{params.model}}\"]", script), "params: {model: good}"}, more)
	return "{" + strings.Join(fields, ", ") + "}"
}

// Write writes the pipeline's folder, with the models, and returns its path.
func (p Pipeline) Write(t testing.TB) string {
	t.Helper()
	all := spec(p.Name, p.Bucket)
	maps.Copy(all, p.Spec)
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: %s}\nspec:\n", p.Name)
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if all[field] != "" {
			fmt.Fprintf(&b, "  %s: %s\n", field, all[field])
		}
	}
	dir := filepath.Join(t.TempDir(), p.Name)
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(b.String()), 0o600))
	for _, model := range []string{Good, Similar, Weak, Shuffled, Narrow} {
		content, err := os.ReadFile(Model(t, model))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, model+".onnx"), content, 0o600))
	}
	return dir
}

// Model is the path of a model's file.
func Model(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(testdata(t), "tumours-"+name+".onnx")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
