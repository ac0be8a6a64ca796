package metric

import (
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
)

// confusion counts, by class and in weights, what a classifier got right, what
// the labels were and what it predicted.
type confusion struct {
	hits, labels, predictions []float64
	total                     float64
}

func newConfusion(classes int) *confusion {
	return &confusion{hits: make([]float64, classes), labels: make([]float64, classes), predictions: make([]float64, classes)}
}

func (c *confusion) add(label, predicted int32, weight float64) {
	for int(max(label, predicted)) >= len(c.hits) {
		c.hits, c.labels, c.predictions = append(c.hits, 0), append(c.labels, 0), append(c.predictions, 0)
	}
	if label == predicted {
		c.hits[label] += weight
	}
	c.labels[label] += weight
	c.predictions[predicted] += weight
	c.total += weight
}

// of returns a metric's function of the counts, nil for one that is not a
// function of them. positive is the class that precision, recall and the like
// are about, -1 for a multiclass classification.
func confusionMetric(name string, positive int) func(*confusion) (float64, error) {
	if positive >= 0 {
		if f, ok := ofPositive[name]; ok {
			return func(c *confusion) (float64, error) { return f(c.class(positive)), nil }
		}
		if name == config.MetricSpecificity {
			return func(c *confusion) (float64, error) { return c.class(1 - positive).recall(), nil }
		}
	}
	switch name {
	case config.MetricAccuracy:
		return func(c *confusion) (float64, error) { return total(c.hits) / c.total, nil }
	case config.MetricHamming:
		return func(c *confusion) (float64, error) { return 1 - total(c.hits)/c.total, nil }
	case config.MetricBalancedAccuracy:
		return func(c *confusion) (float64, error) { return c.balancedAccuracy(positive >= 0) }
	case config.MetricMCC:
		return func(c *confusion) (float64, error) { return c.mcc(), nil }
	case config.MetricKappa:
		return (*confusion).kappa
	}
	for prefix, average := range averages {
		if rest, ok := after(name, prefix); ok {
			if f, ok := ofPositive[rest]; ok {
				return func(c *confusion) (float64, error) { return average(c, f), nil }
			}
		}
	}
	return nil
}

func after(name, prefix string) (string, bool) {
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):], true
	}
	return "", false
}

// class are the counts of one class against all others.
type class struct{ hits, labels, predictions float64 }

func (c *confusion) class(k int) class { return class{c.hits[k], c.labels[k], c.predictions[k]} }

func (k class) precision() float64 { return ratio(k.hits, k.predictions) }
func (k class) recall() float64    { return ratio(k.hits, k.labels) }
func (k class) jaccard() float64   { return ratio(k.hits, k.labels+k.predictions-k.hits) }

func (k class) fBeta(beta float64) float64 {
	return ratio((1+beta*beta)*k.hits, beta*beta*k.labels+k.predictions)
}

// ratio is 0 where there is nothing to divide by, as in scikit-learn.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

var ofPositive = map[string]func(class) float64{
	config.MetricPrecision: class.precision,
	config.MetricRecall:    class.recall,
	config.MetricF1:        func(k class) float64 { return k.fBeta(1) },
	config.MetricF2:        func(k class) float64 { return k.fBeta(2) },
	config.MetricFHalf:     func(k class) float64 { return k.fBeta(0.5) },
	config.MetricJaccard:   class.jaccard,
}

var averages = map[string]func(*confusion, func(class) float64) float64{
	"macro_":    (*confusion).macro,
	"micro_":    (*confusion).micro,
	"weighted_": (*confusion).weighted,
}

// macro is the mean over the classes among labels or predictions.
func (c *confusion) macro(of func(class) float64) float64 {
	var s sum
	present := 0.0
	for k := range c.hits {
		if c.labels[k]+c.predictions[k] > 0 {
			present++
			s.add(of(c.class(k)))
		}
	}
	return s.value() / present
}

// micro pools the counts of all classes.
func (c *confusion) micro(of func(class) float64) float64 {
	return of(class{total(c.hits), total(c.labels), total(c.predictions)})
}

// weighted is the mean over the classes by how many labels each has.
func (c *confusion) weighted(of func(class) float64) float64 {
	var s sum
	for k, n := range c.labels {
		if n > 0 {
			s.add(n * of(c.class(k)))
		}
	}
	return s.value() / c.total
}

// balancedAccuracy is the mean recall of the classes among the labels.
func (c *confusion) balancedAccuracy(binary bool) (float64, error) {
	var s sum
	present := 0.0
	for k, n := range c.labels {
		if n > 0 {
			present++
			s.add(c.hits[k] / n)
		}
	}
	if binary && present < 2 {
		return 0, fmt.Errorf("balanced_accuracy has no value: all rows are of one class")
	}
	return s.value() / present, nil
}

// mcc is Matthews' correlation coefficient for any number of classes (Gorodkin 2004).
func (c *confusion) mcc() float64 {
	var both, labels, predictions sum
	for k := range c.hits {
		both.add(c.labels[k] * c.predictions[k])
		labels.add(c.labels[k] * c.labels[k])
		predictions.add(c.predictions[k] * c.predictions[k])
	}
	below := (c.total*c.total - labels.value()) * (c.total*c.total - predictions.value())
	if below <= 1e-15*math.Pow(c.total, 4) {
		return 0
	}
	return (total(c.hits)*c.total - both.value()) / math.Sqrt(below)
}

// kappa is Cohen's kappa (1960).
func (c *confusion) kappa() (float64, error) {
	var by sum
	for k := range c.hits {
		by.add(c.labels[k] * c.predictions[k])
	}
	chance := by.value() / (c.total * c.total)
	if 1-chance <= 1e-15 {
		return 0, fmt.Errorf("kappa has no value: labels and predictions are all of one class")
	}
	return (total(c.hits)/c.total - chance) / (1 - chance), nil
}

func total(v []float64) float64 {
	var s sum
	for _, x := range v {
		s.add(x)
	}
	return s.value()
}

// gradient returns the derivatives of a metric by the counts of each class, by
// central differences: the metrics are smooth, so that the error is below
// 1e-9 of the derivative.
func (c *confusion) gradient(f func(*confusion) (float64, error)) *confusion {
	g := newConfusion(len(c.hits))
	of := func(count *float64) float64 {
		was, step := *count, 1e-5**count
		*count = was + step
		up, errUp := f(c)
		*count = was - step
		down, errDown := f(c)
		*count = was
		if errUp != nil || errDown != nil {
			return 0
		}
		return (up - down) / (2 * step)
	}
	// A count that is 0 belongs to no row, and around it the metrics have a step.
	for k := range c.hits {
		if c.labels[k] > 0 {
			g.labels[k] = of(&c.labels[k])
		}
		if c.predictions[k] > 0 {
			g.predictions[k] = of(&c.predictions[k])
		}
		if c.hits[k] > 0 {
			g.hits[k] = of(&c.hits[k])
		}
	}
	g.total = of(&c.total)
	return g
}

// measure returns the estimate of a metric of the counts. label and predicted
// are the classes of a row.
func (c *confusion) measure(name string, f func(*confusion) (float64, error), rows rows, classes func(row int) (label, predicted int32)) (Estimate, error) {
	value, err := f(c)
	if err != nil {
		return Estimate{}, err
	}
	g := c.gradient(f)
	influence := make([]float64, rows.n)
	for i := range influence {
		label, predicted := classes(i)
		d := g.labels[label] + g.predictions[predicted] + g.total
		if label == predicted {
			d += g.hits[label]
		}
		influence[i] = d * c.total
	}
	return rows.estimate(name, value, influence), nil
}

// quadraticKappa is Cohen's kappa in which a mistake counts by the square of
// its distance (Cohen 1968).
func quadraticKappa(rows rows, classes func(row int) (label, predicted int32)) (Estimate, error) {
	c := newConfusion(0)
	var disagreement sum
	for i := range rows.n {
		label, predicted := classes(i)
		c.add(label, predicted, rows.weight(i))
		disagreement.add(rows.weight(i) * squared(label-predicted))
	}
	// Moments of labels and predictions give the expected disagreement:
	// ΣΣ l p (i-j)² / total = Σ l i² + Σ p j² - 2 Σ l i Σ p j / total.
	l, p := moments(c.labels), moments(c.predictions)
	expected := l.second + p.second - 2*l.first*p.first/c.total
	if expected <= 1e-15*c.total {
		return Estimate{}, fmt.Errorf("kappa_quadratic has no value: labels and predictions are all of one class")
	}
	value := 1 - disagreement.value()/expected
	influence := make([]float64, rows.n)
	for i := range influence {
		label, predicted := classes(i)
		a, b := float64(label), float64(predicted)
		// The derivative of expected by the row's weight; total grows too.
		by := a*a + b*b - 2*(a*p.first+b*l.first)/c.total + 2*l.first*p.first/(c.total*c.total)
		influence[i] = -(squared(label-predicted) - disagreement.value()/expected*by) / expected * c.total
	}
	return rows.estimate(config.MetricKappaQuadratic, value, influence), nil
}

type moment struct{ first, second float64 }

func moments(counts []float64) moment {
	var first, second sum
	for k, n := range counts {
		first.add(n * float64(k))
		second.add(n * float64(k) * float64(k))
	}
	return moment{first.value(), second.value()}
}

func squared(d int32) float64 { return float64(d) * float64(d) }

// emptyNote says what a value of 0 comes from, "" where it is what it is.
func (c *confusion) emptyNote(name string, positive int) string {
	if positive < 0 || !slices.Contains([]string{config.MetricPrecision, config.MetricF1, config.MetricF2, config.MetricFHalf, config.MetricJaccard}, name) || c.predictions[positive] > 0 {
		return ""
	}
	return "nothing was predicted positive"
}
