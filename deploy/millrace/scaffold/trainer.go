package scaffold

import (
	"embed"
	"path"
	"slices"
)

//go:embed trainers templates
var files embed.FS

// Trainer is a library that models are trained with.
type Trainer struct {
	Name   string
	Params string   // train.params, in YAML
	Why    string   // what they are
	Needs  []string // Python packages
}

// base is what every trainer needs: the versions are those that Millrace is tested with.
var base = []string{"numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.24.1", "pandas==3.1.1", "pyarrow==26.0.1", "scikit-learn==1.9.1", "skl2onnx==1.20.0"}

// Trainers are all trainers, the default first.
var Trainers = []Trainer{
	{Name: "sklearn", Params: "{trees: 200, leaves: 1000, min_leaf: 2, seed: 1}", Why: "a forest of that many trees, each with at most so many leaves of at least min_leaf rows"},
	{Name: "lightgbm", Params: "{trees: 200, learning_rate: 0.05, min_leaf: 20, seed: 1}", Why: "fewer trees or a lower rate learn less by heart", Needs: []string{"lightgbm==4.7.0", "onnxmltools==1.16.0"}},
	{Name: "xgboost", Params: "{trees: 200, learning_rate: 0.05, depth: 6, seed: 1}", Why: "fewer trees, a lower rate or less depth learn less by heart", Needs: []string{"onnxmltools==1.16.0", "xgboost-cpu==3.2.0"}},
}

// TrainerNames returns the names of all trainers.
func TrainerNames() []string {
	names := make([]string, len(Trainers))
	for i, t := range Trainers {
		names[i] = t.Name
	}
	return names
}

// TrainerOf returns the trainer of that name, and whether there is one.
func TrainerOf(name string) (Trainer, bool) {
	i := slices.IndexFunc(Trainers, func(t Trainer) bool { return t.Name == name })
	if i < 0 {
		return Trainer{}, false
	}
	return Trainers[i], true
}

// script returns the trainer's code.
func (t Trainer) script() ([]byte, error) {
	return files.ReadFile(path.Join("trainers", t.Name, "train.py"))
}

// requirements returns the packages that it needs, sorted.
func (t Trainer) requirements() []string {
	all := slices.Concat(base, t.Needs)
	slices.Sort(all)
	return all
}
