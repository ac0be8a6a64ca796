package config_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"millrace.dev/config"
)

func ExampleLoad() {
	l, err := config.Load("examples/flights")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := l.Pipeline
	fmt.Println(p.Name(), p.Spec.Model.Task, p.Classes())
	fmt.Println(p.WantsUpload("", "flights/2013-01.parquet"), p.WantsLabels("", "flights/2013-01.parquet"))
	// Output:
	// flights binary_classification [false true]
	// true false
}

func ExampleParse() {
	_, err := config.Parse("homes.yaml", []byte(`
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: homes}
spec:
  data:
    uploads: [homes/*.csv]
    columns:
      rooms: {type: integer}
      price: {type: float}
  model: {task: regresion, label: prize, features: [rooms]}
`))
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			fmt.Println(p)
		}
	}
	// Output:
	// homes.yaml:9:21: spec.data.columns.rooms.type: "integer" is not a type; allowed: string, int, float, bool, timestamp (did you mean "int"?)
	// homes.yaml:11:17: spec.model.task: "regresion" is not a task; allowed: binary_classification, multiclass_classification, regression (did you mean "regression"?)
	// homes.yaml:11:35: spec.model.label: "prize" is not a column of data.columns; allowed: price, rooms (did you mean "price"?)
}

func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("examples/*/pipeline.yaml")
	if err != nil || len(folders) != 3 {
		t.Fatalf("found %v, %v", folders, err)
	}
	for _, file := range folders {
		dir := filepath.Dir(file)
		l, err := config.Load(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		if l.Pipeline.Name() != filepath.Base(dir) {
			t.Errorf("%s has the name %s", dir, l.Pipeline.Name())
		}
		files, _, err := config.TrainerFiles(dir)
		if err != nil || len(files) < 4 {
			t.Errorf("%s: trainer files %v, %v", dir, files, err)
		}
	}
}
