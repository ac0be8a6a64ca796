package table

import "math"

// binomial returns the probability of k of n at a rate, to nearly full precision
// for any n: Loader (2000), Fast and Accurate Computation of Binomial
// Probabilities.
func binomial(k, n, rate float64) float64 {
	switch {
	case rate <= 0 || rate >= 1:
		if k == 0 && rate <= 0 || k == n && rate >= 1 {
			return 1
		}
		return 0
	case k == 0:
		return math.Exp(n * math.Log1p(-rate))
	case k == n:
		return math.Exp(n * math.Log(rate))
	}
	exponent := stirlingError(n) - stirlingError(k) - stirlingError(n-k) - deviance(k, n*rate) - deviance(n-k, n*(1-rate))
	return math.Exp(exponent) * math.Sqrt(n/(2*math.Pi*k*(n-k)))
}

// binomialAtLeast returns the probability of k or more of n at a rate.
func binomialAtLeast(k, n, rate float64) float64 {
	if k <= 0 || rate >= 1 {
		return 1
	}
	sum := 0.
	for i := k; i <= n; i++ {
		term := binomial(i, n, rate)
		if sum += term; i > n*rate && term < sum*1e-17 {
			break
		}
	}
	return min(1, sum)
}

// stirlingError returns ln(n!) less Stirling's approximation of it.
func stirlingError(n float64) float64 {
	if n <= 15 {
		return lgamma(n+1) - (n+0.5)*math.Log(n) + n - 0.5*math.Log(2*math.Pi)
	}
	nn := n * n
	return (1./12 - (1./360-(1./1260-(1./1680-1./1188/nn)/nn)/nn)/nn) / n
}

// deviance returns x ln(x/mean) + mean - x, without the loss of digits where x is
// near the mean.
func deviance(x, mean float64) float64 {
	if math.Abs(x-mean) >= 0.1*(x+mean) {
		return x*math.Log(x/mean) + mean - x
	}
	v := (x - mean) / (x + mean)
	sum, term := (x-mean)*v, 2*x*v
	for j := 1.; ; j++ {
		term *= v * v
		next := sum + term/(2*j+1)
		if next == sum {
			return sum
		}
		sum = next
	}
}

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}
