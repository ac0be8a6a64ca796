package sequential

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Exceeds returns the logarithm of the evidence that requests fail at a rate
// above the bound: an e-process for each rate up to it. planned is how many
// requests the rollout is meant to see.
func Exceeds(failed, requests, bound float64, planned int64) float64 {
	return mixture(failed, requests, bound, planned, func(a, b float64) float64 { return logTail(b, a, 1-bound) })
}

// Keeps returns the logarithm of the evidence that requests fail at a rate
// below the bound: an e-process for each rate from it.
func Keeps(failed, requests, bound float64, planned int64) float64 {
	return mixture(failed, requests, bound, planned, func(a, b float64) float64 { return logTail(a, b, bound) })
}

// mixture is the beta-binomial mixture over the rates on one side of the bound.
// Its beta distribution is the one that is best at the planned number of
// requests, for an error of 5 %.
func mixture(failed, requests, bound float64, planned int64, tail func(a, b float64) float64) float64 {
	variance := bound * (1 - bound)
	l := math.Log(1 / (2 * 0.05))
	rho := float64(planned) * variance / (2*l + math.Log(1+2*l))
	r := max(rho-variance, 0.001*variance)
	a, b := r/(1-bound), r/bound
	log := logBeta(a+failed, b+requests-failed) + tail(a+failed, b+requests-failed) - logBeta(a, b) - tail(a, b)
	if failed > 0 {
		log -= float64(failed * math.Log(bound))
	}
	if requests > failed {
		log -= float64((requests - failed) * math.Log1p(-bound))
	}
	return log
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// logTail is the logarithm of the regularised incomplete beta function. Where
// that is too small for a number, it is bounded from below by its leading term,
// which makes the evidence too small rather than too large.
func logTail(a, b, x float64) float64 {
	if tail := mathext.RegIncBeta(a, b, x); tail > 0 {
		return math.Log(tail)
	}
	return float64(a*math.Log(x)) + float64(b*math.Log1p(-x)) - math.Log(a) - logBeta(a, b)
}

// MissingToKeep returns about how many more requests the evidence of Keeps
// needs to reach the threshold at the rate seen so far; 0 if no number would do.
func MissingToKeep(failed, count, bound float64, planned int64, threshold float64) int64 {
	if count == 0 || failed/count >= bound {
		return 0
	}
	return requests(threshold-Keeps(failed, count, bound, planned), logRatio(failed/count, 1, max(failed/count, 1e-12), bound))
}
