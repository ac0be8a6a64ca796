package metric

import (
	"fmt"
	"math"

	"millrace.dev/config"
)

// Multiclass are the answers of a classifier with any number of classes.
type Multiclass struct {
	// Label and Predicted number the classes from 0.
	Label, Predicted []int32
	// OfLabel is the probability that the model gave to the label; nil if it
	// is not known, and then there is no log_loss.
	OfLabel []float64
	Eps     Eps
}

// Rows is the number of rows.
func (m Multiclass) Rows() int { return len(m.Label) }

// Pick gives the answers for some of the rows.
func (m Multiclass) Pick(rows []int32) Answers {
	return Multiclass{Label: pick(m.Label, rows), Predicted: pick(m.Predicted, rows), OfLabel: pick(m.OfLabel, rows), Eps: m.Eps}
}

// Measure measures one of the metrics of a multiclass classification.
func (m Multiclass) Measure(name string) (Estimate, error) { return finite(m.measure(name)) }

func (m Multiclass) measure(name string) (Estimate, error) {
	if m.Rows() == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	switch name {
	case config.MetricAccuracy:
		losses := make([]float64, m.Rows())
		for i, l := range m.Label {
			losses[i] = indicator(l == m.Predicted[i])
		}
		return mean(name, losses), nil
	case config.MetricLogLoss:
		if m.OfLabel == nil {
			return Estimate{}, fmt.Errorf("log_loss has no value: the probability of the label is not known")
		}
		losses := make([]float64, m.Rows())
		for i, p := range m.OfLabel {
			losses[i] = -math.Log(m.Eps.clip(p))
		}
		return mean(name, losses), nil
	case config.MetricMacroF1:
		return m.macroF1(), nil
	}
	return Estimate{}, fmt.Errorf("%s is no metric of a multiclass classification", name)
}

func (m Multiclass) macroF1() Estimate {
	type class struct{ hits, labels, predictions, f1, weight float64 }
	var classes []class
	at := func(i int32) *class {
		for int(i) >= len(classes) {
			classes = append(classes, class{})
		}
		return &classes[i]
	}
	for i, l := range m.Label {
		p := m.Predicted[i]
		at(l).labels++
		at(p).predictions++
		if l == p {
			at(l).hits++
		}
	}
	present, total := 0.0, 0.0
	for i := range classes {
		c := &classes[i]
		if both := c.labels + c.predictions; both > 0 {
			present++
			c.f1 = 2 * c.hits / both
			c.weight = float64(m.Rows()) / both
			total += c.f1
		}
	}
	influence := make([]float64, m.Rows())
	for i, l := range m.Label {
		cl, cp := classes[l], classes[m.Predicted[i]]
		v := -cl.f1*cl.weight - cp.f1*cp.weight
		if l == m.Predicted[i] {
			v += 2 * cl.weight
		}
		influence[i] = v / present
	}
	return estimate(config.MetricMacroF1, total/present, influence)
}
