package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"millrace.dev/config"
)

// Multiclass are the answers of a classifier with any number of classes.
type Multiclass struct {
	// Label and Predicted number the classes from 0.
	Label, Predicted []int32
	// OfLabel is the probability that the model gave to the label; nil if it
	// is not known, and then there is no log_loss.
	OfLabel []float64
	// Probabilities has the probabilities of all classes of a row, one row after
	// the other; nil if they are not known.
	Probabilities []float64
	// Classes is the number of classes in Probabilities.
	Classes int
	// Weight of each row, at least 0; nil where each weighs 1. A row of weight 0
	// counts as absent.
	Weight []float64
	Eps    Eps
}

// Rows is the number of rows.
func (m Multiclass) Rows() int { return len(m.Label) }

// Pick returns the answers for some of the rows.
func (m Multiclass) Pick(rows []int32) Answers {
	p := Multiclass{Label: pick(m.Label, rows), Predicted: pick(m.Predicted, rows), OfLabel: pick(m.OfLabel, rows), Weight: pick(m.Weight, rows), Classes: m.Classes, Eps: m.Eps}
	if m.Probabilities != nil {
		p.Probabilities = make([]float64, 0, len(rows)*m.Classes)
		for _, row := range rows {
			p.Probabilities = append(p.Probabilities, m.row(int(row))...)
		}
	}
	return p
}

// Sorted returns the answers themselves: no metric needs them in an order.
func (m Multiclass) Sorted() Answers { return m }

// NeedsProbabilities reports whether a metric of a multiclass classification
// needs the probabilities of all classes.
func NeedsProbabilities(name string) bool {
	return name == config.MetricBrier || strings.HasPrefix(name, "top_") || strings.HasPrefix(name, "roc_auc_")
}

func (m Multiclass) row(i int) []float64 { return m.Probabilities[i*m.Classes : (i+1)*m.Classes] }

// Measure measures one of the metrics of a multiclass classification.
func (m Multiclass) Measure(name string) (Estimate, error) { return finite(m.measure(name)) }

func (m Multiclass) measure(name string) (Estimate, error) {
	r := newRows(len(m.Label), m.Weight)
	if r.some == 0 {
		return Estimate{}, fmt.Errorf("%s has no value: %w", name, errNoRows)
	}
	if NeedsProbabilities(name) && m.Probabilities == nil {
		return Estimate{}, fmt.Errorf("%s has no value: the probabilities of all classes are not known", name)
	}
	switch name {
	case config.MetricAccuracy:
		return r.share(name, m.right(func(row int) bool { return m.Label[row] == m.Predicted[row] }))
	case config.MetricTop2Accuracy:
		return r.share(name, m.right(func(row int) bool { return m.among(row, 2) }))
	case config.MetricTop3Accuracy:
		return r.share(name, m.right(func(row int) bool { return m.among(row, 3) }))
	case config.MetricTop5Accuracy:
		return r.share(name, m.right(func(row int) bool { return m.among(row, 5) }))
	case config.MetricLogLoss:
		if m.OfLabel == nil {
			return Estimate{}, fmt.Errorf("log_loss has no value: the probability of the label is not known")
		}
		losses := make([]float64, r.n)
		for i, p := range m.OfLabel {
			losses[i] = -math.Log(m.Eps.clip(p))
		}
		return r.mean(name, losses), nil
	case config.MetricBrier:
		return r.mean(name, m.brier()), nil
	case config.MetricKappaQuadratic:
		return quadraticKappa(r, m.classes)
	case config.MetricROCAUCMacro:
		return m.oneVersusRest(r, name, func(float64) float64 { return 1 })
	case config.MetricROCAUCWeighted:
		return m.oneVersusRest(r, name, func(labels float64) float64 { return labels })
	case config.MetricROCAUCOneVersusOne:
		return m.oneVersusOne(r, name)
	}
	if f := confusionMetric(name, -1); f != nil {
		c := newConfusion(0)
		for i, l := range m.Label {
			c.add(l, m.Predicted[i], r.weight(i))
		}
		return c.measure(name, f, r, m.classes)
	}
	return Estimate{}, fmt.Errorf("%s is not a metric of a multiclass classification", name)
}

func (m Multiclass) classes(row int) (label, predicted int32) { return m.Label[row], m.Predicted[row] }

func (m Multiclass) right(is func(row int) bool) []int8 {
	right := make([]int8, len(m.Label))
	for i := range right {
		right[i] = int8(indicator(is(i)))
	}
	return right
}

// among reports whether the label is one of the k most probable classes; of
// equal ones the higher number comes first, as in scikit-learn.
func (m Multiclass) among(row, k int) bool {
	p, label := m.row(row), int(m.Label[row])
	if label >= len(p) {
		return false
	}
	before := 0
	for class, v := range p {
		if v > p[label] || v == p[label] && class > label {
			before++
		}
	}
	return before < k
}

// brier returns the sum over the classes of (p - y)² of each row, from 0 to 2.
func (m Multiclass) brier() []float64 {
	losses := make([]float64, len(m.Label))
	for i, label := range m.Label {
		seen := false
		for class, p := range m.row(i) {
			d := p
			if class == int(label) {
				d, seen = p-1, true
			}
			losses[i] += d * d
		}
		if !seen {
			losses[i]++
		}
	}
	return losses
}

// against returns the answers for one class against the others.
func (m Multiclass) against(class int) Binary {
	b := Binary{Positive: make([]bool, len(m.Label)), Score: make([]float64, len(m.Label)), Weight: m.Weight, Eps: m.Eps}
	for i, label := range m.Label {
		b.Positive[i], b.Score[i] = int(label) == class, m.row(i)[class]
	}
	return b
}

// labels returns the weight of each class among the labels, or an error that
// names classes without rows.
func (m Multiclass) labels(r rows, name string) ([]float64, error) {
	weights := make([]float64, m.Classes)
	for i, label := range m.Label {
		if int(label) >= m.Classes {
			return nil, fmt.Errorf("%s has no value: the model does not know class %d of the labels", name, label)
		}
		weights[label] += r.weight(i)
	}
	var without []string
	for class, w := range weights {
		if w == 0 {
			without = append(without, fmt.Sprint(class))
		}
	}
	if without != nil {
		return nil, fmt.Errorf("%s has no value: no row is of class %s (counted from 0)", name, strings.Join(without, ", "))
	}
	if m.Classes < 2 {
		return nil, fmt.Errorf("%s has no value: all %d rows are of one class", name, r.some)
	}
	return weights, nil
}

// oneVersusRest is the mean over the classes of the area under the ROC curve of
// the class against the others.
func (m Multiclass) oneVersusRest(r rows, name string, weight func(labels float64) float64) (Estimate, error) {
	labels, err := m.labels(r, name)
	if err != nil {
		return Estimate{}, err
	}
	all := 0.0
	for _, n := range labels {
		all += weight(n)
	}
	out := Estimate{Name: name, rows: r.n, influence: make([]float64, r.n)}
	var value sum
	for class, n := range labels {
		e, err := m.against(class).rocAUC(r)
		if err != nil {
			return Estimate{}, rename(err, config.MetricROCAUC, name)
		}
		share := weight(n) / all
		value.add(share * e.Value)
		for i, v := range e.influence {
			out.influence[i] += share * v
		}
	}
	out.Value = value.value()
	return out, nil
}

// oneVersusOne is the mean over all pairs of classes of the areas under the ROC
// curve of each against the other (Hand and Till 2001).
func (m Multiclass) oneVersusOne(r rows, name string) (Estimate, error) {
	if _, err := m.labels(r, name); err != nil {
		return Estimate{}, err
	}
	of := make([][]int32, m.Classes)
	for i, label := range m.Label {
		of[label] = append(of[label], int32(i))
	}
	out := Estimate{Name: name, rows: r.n, influence: make([]float64, r.n)}
	pairs := float64(m.Classes * (m.Classes - 1))
	var value sum
	for a := range of {
		for b := range of {
			if a == b {
				continue
			}
			some := slices.Concat(of[a], of[b])
			pair, ok := m.against(a).Pick(some).(Binary)
			if !ok {
				return Estimate{}, fmt.Errorf("%s has no value", name)
			}
			e, err := pair.rocAUC(newRows(len(some), pair.Weight))
			if err != nil {
				return Estimate{}, rename(err, config.MetricROCAUC, name)
			}
			value.add(e.Value)
			for i, row := range some {
				out.influence[row] += e.influence[i] * float64(r.n) / float64(len(some)) / pairs
			}
		}
	}
	out.Value = value.value() / pairs
	return out, nil
}

// medianOf returns the middle of the values; of an even number the mean of the
// two middle ones. With weights it is the least value at which the weight
// reaches half.
func medianOf(values []float64, r rows) float64 {
	order := make([]int, 0, len(values))
	for i := range values {
		if r.weight(i) > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	if r.weights == nil {
		n := len(order)
		return (values[order[(n-1)/2]] + values[order[n/2]]) / 2
	}
	reached := 0.0
	for _, i := range order {
		if reached += r.weights[i]; reached >= r.total/2 {
			return values[i]
		}
	}
	return values[order[len(order)-1]]
}
