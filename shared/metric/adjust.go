package metric

import (
	"cmp"
	"slices"
)

// Holm adjusts p-values of several tests so that the chance of any false
// alarm keeps the level (Holm 1979). The order of the tests stays.
func Holm(p []float64) []float64 {
	order, adjusted := ascending(p), make([]float64, len(p))
	most := 0.0
	for i, at := range order {
		most = max(most, min(1, float64(len(p)-i)*p[at]))
		adjusted[at] = most
	}
	return adjusted
}

// BenjaminiHochberg adjusts p-values so that the expected share of false
// alarms among the alarms keeps the level (Benjamini and Hochberg 1995).
func BenjaminiHochberg(p []float64) []float64 { return stepUp(p, 1) }

// BenjaminiYekutieli is BenjaminiHochberg for tests that depend on each other
// in any way (Benjamini and Yekutieli 2001).
func BenjaminiYekutieli(p []float64) []float64 {
	harmonic := 0.0
	for k := range p {
		harmonic += 1 / float64(k+1)
	}
	return stepUp(p, harmonic)
}

func stepUp(p []float64, factor float64) []float64 {
	order, adjusted := ascending(p), make([]float64, len(p))
	least := 1.0
	for i, at := range slices.Backward(order) {
		least = min(least, factor*float64(len(p))*p[at]/float64(i+1))
		adjusted[at] = least
	}
	return adjusted
}

func ascending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return order
}
