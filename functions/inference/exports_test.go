package inference

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/config"
)

// TestExportsAsTheyAre serves models as exporters write them by default. Their
// pipelines name no classes, so the labels are the model's.
func TestExportsAsTheyAre(t *testing.T) {
	w := newWorld(t)
	const rows = `{"inputs":[{"name":"a","datatype":"FP32","shape":[3],"data":[-2,0,2]},{"name":"b","datatype":"FP32","shape":[3],"data":[0,0,0]}]}`
	spec := func(name, model string) {
		w.ConfigureYAML(t, fmt.Sprintf(`apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: %s}
spec:
  data:
    columns: {a: {type: float}, b: {type: float}, y: {type: int}}
  model: {%s, label: y, features: [a, b]}
`, name, model))
	}
	for name, model := range map[string]string{"catboost-357": "multiclass", "tree-357": "multiclass", "tree-357-tensor": "multiclass", "catboost-binary": "binary"} {
		spec(name, "task: "+model+"_classification")
		w.promote(name, w.register(name, "exports/"+name))
	}
	spec("catboost-regressor", "task: regression")
	w.promote("catboost-regressor", w.register("catboost-regressor", "exports/catboost-regressor"))
	w.start()
	for name, labels := range map[string][]any{
		"catboost-357": {"3", "5", "7"}, "tree-357": {"3", "5", "7"}, "tree-357-tensor": {"3", "5", "7"},
		"catboost-binary": {"0", "0", "1"},
	} {
		a := w.ask("POST", "/v2/models/"+name+"/infer", []byte(rows))
		if a.Code != 200 || a.Outputs[0].Data[0] != labels[0] || !reflect.DeepEqual(a.Outputs[0].Data[2], labels[2]) {
			t.Errorf("%s: %d %s", name, a.Code, a.Raw)
		}
	}
	if a := w.ask("POST", "/v2/models/catboost-regressor/infer", []byte(rows)); a.Code != 200 || len(a.Outputs[0].Data) != 3 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}

// TestRenamedInputs serves a model whose inputs skl2onnx has renamed: clients
// send the features by their own names.
func TestRenamedInputs(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: incomes}
spec:
  data:
    columns: {city: {type: string}, mean income: {type: float}, y: {type: string}}
  model: {task: binary_classification, label: y, features: [city, mean income]}
`)
	w.promote("incomes", w.register("incomes", "exports/one-hot"))
	w.start()
	a := w.ask("POST", "/v2/models/incomes/infer", []byte(`{"inputs":[{"name":"city","datatype":"BYTES","shape":[2],"data":["LA","SF"]},
		{"name":"mean income","datatype":"FP32","shape":[2],"data":[20000,30000]}]}`))
	if a.Code != 200 || !reflect.DeepEqual(a.Outputs[0].Data, []any{"yes", "no"}) {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	if a := w.ask("GET", "/v2/models/incomes", nil); !strings.Contains(a.Raw, `{"name":"mean income","datatype":"FP32","shape":[-1,1]}`) {
		t.Errorf("the model is described as %s", a.Raw)
	}
}

// TestRowsThatDependOnEachOtherAreNotBatched proves that another request's rows
// do not change an answer where the pipeline file says that rows may.
func TestRowsThatDependOnEachOtherAreNotBatched(t *testing.T) {
	v := &version{batchingPays: true, batchDependent: true}
	v.configureBatching(config.Batch{MaxRows: 16})
	if v.batcher.Load() != nil {
		t.Error("requests are batched")
	}
	v.batchDependent = false
	v.configureBatching(config.Batch{MaxRows: 16})
	if v.batcher.Load() == nil {
		t.Error("requests are not batched where rows do not depend on each other")
	}
}
