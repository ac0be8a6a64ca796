package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/onnxfile"
)

// Check compares the model with c and, if they agree, settles how Score feeds it; Score answers by the last contract
// that passed. The error joins every mismatch, each in words: a person who reads it can mend the trainer.
//
// Check runs the model on made-up rows to see the shapes of its outputs, which are not always those that the file
// declares. A model that cannot take made-up rows is judged by what it declares.
func (m *Model) Check(c Contract) error {
	ctx, cancel := context.WithTimeout(context.Background(), measureTime)
	defer cancel()
	return m.check(ctx, c, madeUp(c, measuredRows))
}

// check is Check by the rows of b.
func (m *Model) check(ctx context.Context, c Contract, b *Batch) error {
	p, err := m.newPlan(ctx, c, b)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.plan != nil {
		m.plan.idle.drain()
	}
	m.plan = p
	return nil
}

func (m *Model) newPlan(ctx context.Context, c Contract, b *Batch) (*plan, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &plan{contract: c, labels: m.options.Labels}
	errs := p.planInputs(m.graph.inputs)
	outputs := m.runnable
	if len(errs) == 0 {
		measured, err := m.measureOutputs(ctx, p, b)
		switch {
		case err == nil:
			outputs = measured
		case ctx.Err() != nil:
			return nil, fmt.Errorf("running the model to see the shapes of its outputs did not work: %w", err)
		case slices.ContainsFunc(outputs, func(t Tensor) bool { return !settled(t) }):
			return nil, fmt.Errorf("the model does not say the shapes of its outputs, and running it to find out did not work: %w", err)
		}
	}
	p.outputs = slices.Clone(m.graph.outputs)
	for i := range p.outputs {
		if j := slices.IndexFunc(outputs, func(t Tensor) bool { return t.Name == p.outputs[i].Name }); j >= 0 {
			p.outputs[i] = outputs[j]
		}
	}
	errs = append(errs, p.planOutputs(m.graph.outputs, outputs)...)
	errs = append(errs, checkClassOrder(c, m.graph.classLists)...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// validate finds mistakes in the contract itself.
func (c Contract) validate() error {
	var errs []error
	if len(c.Features) == 0 {
		errs = append(errs, errors.New("the contract has no features"))
	}
	seen := map[string]bool{}
	for _, f := range c.Features {
		if seen[f.Name] {
			errs = append(errs, fmt.Errorf("the contract has feature %s twice", f.Name))
		}
		seen[f.Name] = true
		if !slices.Contains([]Type{String, Int, Float, Bool, Timestamp}, f.Type) {
			errs = append(errs, fmt.Errorf("feature %s has type %q, allowed are string, int, float, bool, timestamp", f.Name, f.Type))
		}
	}
	n := len(c.Classes)
	switch c.Task {
	case BinaryClassification:
		if n != 2 {
			errs = append(errs, fmt.Errorf("a binary classification has 2 classes, the contract has %d (%s)", n, list(c.Classes)))
		}
	case MulticlassClassification:
		if n < 2 {
			errs = append(errs, fmt.Errorf("a multi-class classification has 2 or more classes, the contract has %d (%s)", n, list(c.Classes)))
		}
	case Regression:
		if n != 0 {
			errs = append(errs, fmt.Errorf("a regression has no classes, the contract has %d (%s)", n, list(c.Classes)))
		}
	default:
		errs = append(errs, fmt.Errorf("task is %q, allowed are %s, %s, %s", c.Task, BinaryClassification, MulticlassClassification, Regression))
	}
	return errors.Join(errs...)
}

// fits lists the datatypes a model may take a feature as.
var fits = map[Type][]string{
	String:    {"BYTES"},
	Int:       {"INT64", "FP32", "FP64"},
	Float:     {"FP32", "FP64"},
	Bool:      {"BOOL", "FP32", "FP64"},
	Timestamp: {"INT64"},
}

// planInputs matches the model's inputs with the features: one tensor for each, or one float matrix for all.
func (p *plan) planInputs(inputs []Tensor) []error {
	features := p.contract.Features
	p.named = slices.Clone(inputs)
	if len(inputs) == 1 && isFloat(inputs[0]) && (len(features) > 1 || inputs[0].Name != features[0].Name) {
		return p.planMatrix(inputs[0])
	}
	var errs []error
	has, wants := names(inputs), p.contract.names()
	places := onnxfile.MatchInputs(has, wants)
	for n, f := range features {
		i := places[n]
		if i < 0 {
			why := onnxfile.WhyUnmatched(f.Name, has, wants)
			if why != "" {
				why = "; " + why
			}
			errs = append(errs, fmt.Errorf("feature %s (%s) has no input: the model needs an input of this name, %s of shape [N, 1]%s",
				f.Name, f.Type, strings.Join(fits[f.Type], " or "), why))
			continue
		}
		p.named[i].Name = f.Name
		in := inputs[i]
		if !slices.Contains(fits[f.Type], in.Datatype) {
			errs = append(errs, fmt.Errorf("input %s is %s, but a feature of type %s goes in as %s",
				in.Name, in.Datatype, f.Type, strings.Join(fits[f.Type], " or ")))
			continue
		}
		errs = append(errs, p.fixRows(in)...)
		if rank := len(in.Shape); rank > 2 || rank == 2 && in.Shape[1] != 1 && in.Shape[1] != -1 || in.Shape != nil && rank == 0 {
			errs = append(errs, fmt.Errorf("input %s has shape %s, a feature's input needs [N, 1]", in.Name, shapeText(in.Shape)))
		}
		in1 := port{name: in.Name, datatype: in.Datatype, rank: 2, width: 1}
		if len(in.Shape) == 1 {
			in1.rank = 1
		}
		p.inputs = append(p.inputs, in1)
	}
	for i, in := range inputs {
		if !slices.Contains(places, i) {
			errs = append(errs, fmt.Errorf("input %s (%s) is no feature of the pipeline, its features are %s",
				in.Name, in.Datatype, list(p.contract.names())))
		}
	}
	return errs
}

func (p *plan) planMatrix(in Tensor) []error {
	features := p.contract.Features
	p.matrix = true
	p.inputs = []port{{name: in.Name, datatype: in.Datatype, rank: 2, width: len(features)}}
	errs := p.fixRows(in)
	switch {
	case in.Shape == nil:
	case len(in.Shape) != 2:
		errs = append(errs, fmt.Errorf("input %s has shape %s, a matrix of all features needs [N, %d]", in.Name, shapeText(in.Shape), len(features)))
	case in.Shape[1] != -1 && in.Shape[1] != int64(len(features)):
		errs = append(errs, fmt.Errorf("input %s takes %d columns, the pipeline has %d features (%s)",
			in.Name, in.Shape[1], len(features), list(p.contract.names())))
	}
	for _, f := range features {
		if f.Type == String || f.Type == Timestamp {
			errs = append(errs, fmt.Errorf("input %s is a float matrix, which cannot hold feature %s of type %s: give the model one input for each feature, named like it",
				in.Name, f.Name, f.Type))
		}
	}
	return errs
}

// fixRows notes the number of rows that an input is made for, if it is for no other.
func (p *plan) fixRows(t Tensor) []error {
	if len(t.Shape) == 0 || t.Shape[0] == -1 {
		return nil
	}
	rows := t.Shape[0]
	switch {
	case rows < 1 || rows > maxRows:
		return []error{fmt.Errorf("input %s has shape %s: it takes %d rows at a time, and from 1 to %d can be", t.Name, shapeText(t.Shape), rows, maxRows)}
	case p.fixed != 0 && p.fixed != int(rows):
		return []error{fmt.Errorf("input %s has shape %s, and another input takes %d rows at a time", t.Name, shapeText(t.Shape), p.fixed)}
	}
	p.fixed = int(rows)
	return nil
}

// planOutputs finds the output with the scores, and a label beside it. Of all outputs, measured has those that are
// tensors, with their shapes.
func (p *plan) planOutputs(all, measured []Tensor) []error {
	var errs []error
	for _, t := range all {
		if strings.HasPrefix(t.Datatype, "sequence of map") {
			errs = append(errs, fmt.Errorf("output %s is a %s: turn ZipMap off when the model is exported "+
				"(skl2onnx: options={'zipmap': False}, or for a pipeline options={id(pipeline): {'zipmap': False}}; onnxmltools: zipmap=False)", t.Name, t.Datatype))
		}
	}
	if len(errs) > 0 {
		return errs // there cannot be another output with the scores
	}
	score, err := p.findScore(measured)
	if err != nil {
		return []error{err}
	}
	p.score = newPort(score)
	p.head = head{activation: p.contract.Activation, single: p.contract.Task != Regression && p.score.width == 1}
	if p.contract.Task != Regression {
		if label, ok := findLabel(measured); ok {
			p.label = newPort(label)
		}
		if !slices.ContainsFunc(p.contract.Classes, func(c string) bool { _, err := strconv.ParseInt(c, 10, 64); return err != nil }) {
			return nil // the classes are numbers: labels mean themselves
		}
		p.classes = p.contract.Classes
	}
	return nil
}

// findScore finds the output with the scores: by its name, or else the only one of its shape. One value a row is the
// probability of the second of two classes, if no output has a column for each.
func (p *plan) findScore(outputs []Tensor) (Tensor, error) {
	classes := p.contract.Classes
	var columns, single []Tensor
	for _, t := range outputs {
		if !isFloat(t) {
			continue
		}
		width, flat := rowWidth(t)
		named := p.contract.Task != Regression && t.Name == "probabilities"
		switch {
		case p.takesSingle() && width == 1:
			single = append(single, t)
		case p.takesColumns() && !flat && width == len(classes):
			columns = append(columns, t)
		case named:
			return t, fmt.Errorf("output probabilities has shape %s, the pipeline has %d classes (%s): it needs %s", shapeText(t.Shape), len(classes), list(classes), p.wanted())
		}
		if named {
			return t, nil
		}
	}
	found := columns
	if len(found) == 0 {
		found = single
	}
	if len(found) == 1 {
		return found[0], nil
	}
	have := make([]string, len(outputs))
	for i, t := range outputs {
		have[i] = fmt.Sprintf("%s %s %s", t.Name, t.Datatype, shapeText(t.Shape))
	}
	want := "the prediction: FP32 or FP64 of shape [N] or [N, 1]"
	if p.contract.Task != Regression {
		want = "the probabilities: FP32 or FP64 of shape " + p.wanted()
	}
	if len(found) == 0 {
		return Tensor{}, fmt.Errorf("no output can be %s; the model's outputs are %s", want, list(have))
	}
	return Tensor{}, fmt.Errorf("%d outputs could be %s; name one of them probabilities or leave only one; the model's outputs are %s", len(found), want, list(have))
}

// takesSingle reports whether an output of one value a row can be the score: a prediction, or a probability of two.
func (p *plan) takesSingle() bool {
	return p.contract.Task == Regression || len(p.contract.Classes) == 2 && p.contract.Activation != Softmax
}

// takesColumns reports whether an output with a column for each class can be the score.
func (p *plan) takesColumns() bool {
	return p.contract.Task != Regression && p.contract.Activation != Sigmoid
}

// wanted says which shapes the probabilities may have.
func (p *plan) wanted() string {
	classes := p.contract.Classes
	columns := fmt.Sprintf("[N, %d], a column for each class (%s) in this order", len(classes), list(classes))
	if !p.takesSingle() {
		return columns
	}
	single := fmt.Sprintf("[N] or [N, 1], the probability of %s", classes[1])
	if !p.takesColumns() {
		return single
	}
	return columns + ", or " + single
}

// findLabel finds the output that names the predicted class: by name, or else the only one it can be.
func findLabel(outputs []Tensor) (Tensor, bool) {
	var found []Tensor
	for _, t := range outputs {
		if width, _ := rowWidth(t); width != 1 || !slices.Contains([]string{"INT64", "BYTES", "BOOL"}, t.Datatype) {
			continue
		}
		if t.Name == "label" || t.Name == "output_label" {
			return t, true
		}
		found = append(found, t)
	}
	if len(found) != 1 {
		return Tensor{}, false
	}
	return found[0], true
}

// Numbered tells whether classes are 0, 1, 2 and so on. Many trainers and exporters number the classes so, whatever they
// are called.
func Numbered(classes []string) bool {
	for i, class := range classes {
		if class != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// checkClassNames compares the contract's classes with those that the model says it answers by.
func checkClassNames(c Contract, own []string) error {
	if c.Task == Regression || len(own) != len(c.Classes) || Numbered(own) || slices.EqualFunc(own, c.Classes, strings.EqualFold) {
		return nil
	}
	return fmt.Errorf("the model answers by the classes %s, the pipeline by %s: name the model's classes in model.classes, in this order, or leave model.classes out",
		list(own), list(c.Classes))
}

// checkClassOrder compares the contract's classes with those that the model's classifier has built in. If it has the
// same in another order, every probability would be read as another class's.
func checkClassOrder(c Contract, lists [][]string) []error {
	for _, have := range lists {
		if slices.Equal(have, c.Classes) {
			return nil
		}
	}
	for _, have := range lists {
		if slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(c.Classes))) {
			return []error{fmt.Errorf("the model has its classes in the order %s, the pipeline in the order %s: write the pipeline's classes in the model's order",
				list(have), list(c.Classes))}
		}
	}
	return nil
}

const (
	// measureTime bounds how long Check runs a model to see the shapes of its outputs.
	measureTime = time.Minute
	// measuredRows is how many rows it runs: a number that no width is likely to be.
	measuredRows = 11
)

// measureOutputs runs the model on b to see the shapes of its outputs.
func (m *Model) measureOutputs(ctx context.Context, p *plan, b *Batch) ([]Tensor, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	outputs := slices.Clone(m.runnable)
	b = p.whole(b)
	return outputs, m.trial(ctx, p, b, func(i int, v value) error {
		outputs[i].Shape = v.GetShape()
		if len(outputs[i].Shape) > 0 && outputs[i].Shape[0] == int64(b.Rows) {
			outputs[i].Shape[0] = -1
		}
		return nil
	})
}

func (c Contract) names() []string {
	names := make([]string, len(c.Features))
	for i, f := range c.Features {
		names[i] = f.Name
	}
	return names
}

// settled tells whether the shape says how many values a row has.
func settled(t Tensor) bool {
	return t.Shape != nil && !slices.Contains(t.Shape[min(1, len(t.Shape)):], -1)
}

// rowWidth returns how many values t has for a row, 0 if it isn't made of rows; flat says that its shape is [N].
func rowWidth(t Tensor) (width int, flat bool) {
	switch len(t.Shape) {
	case 1:
		return 1, true
	case 2:
		return int(max(t.Shape[1], 0)), false
	}
	return 0, false
}

func newPort(t Tensor) port {
	width, _ := rowWidth(t)
	return port{name: t.Name, datatype: t.Datatype, rank: len(t.Shape), width: width}
}

func isFloat(t Tensor) bool { return t.Datatype == "FP32" || t.Datatype == "FP64" }

// isTensor tells tensors from sequences, maps and what else ONNX has.
func isTensor(t Tensor) bool { return !strings.Contains(t.Datatype, " ") && t.Datatype != "unknown" }

// shapeText writes a shape as people do: N for the rows, ? for what varies besides.
func shapeText(shape []int64) string {
	if shape == nil {
		return "unknown"
	}
	dims := make([]string, len(shape))
	for i, d := range shape {
		switch {
		case d >= 0:
			dims[i] = strconv.FormatInt(d, 10)
		case i == 0:
			dims[i] = "N"
		default:
			dims[i] = "?"
		}
	}
	return "[" + strings.Join(dims, ", ") + "]"
}

// list joins names, the first of them if they are many.
func list(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
