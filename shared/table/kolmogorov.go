package table

import "math"

// kolmogorov returns the probability that the Kolmogorov-Smirnov statistic of n
// values is at least d: the expansion of Pelz and Good (1976) up to n^(-3/2),
// and far out, where it would lose its digits, the one-sided probability twice
// (Smirnov, 1944, with the correction of Maag and Dicaire, 1971).
func kolmogorov(n, d float64) float64 {
	z := math.Sqrt(n) * d
	switch {
	case d <= 0 || z < 0.05:
		return 1
	case d >= 1:
		return 0
	case n*d*d >= 2.2:
		t := 6*n*d + 1
		return min(2*math.Exp(-t*t/(18*n)), 1)
	}
	const pi2, pi4, pi6 = math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi * math.Pi * math.Pi
	z2 := z * z
	z4 := z2 * z2
	z6 := z4 * z2
	var k0, k1, k2, k3, extra2, extra3 float64
	for k := 1.; k <= math.Ceil(16*z/math.Pi); k++ {
		m2 := (2*k - 1) * (2*k - 1)
		m4 := m2 * m2
		q := math.Exp(-pi2 * m2 / (8 * z2))
		k0 += q
		k1 += q * (pi2/4*m2 - z2)
		k2 += q * (6*z6 + 2*z4 + (2*z4-5*z2)*pi2/4*m2 + (1-2*z2)*pi4/16*m4)
		k3 += q * (-30*z6 - 90*z4*z4 + (135*z4-96*z6)*pi2/4*m2 + (212*z4-60*z2)*pi4/16*m4 + (5-30*z2)*pi6/64*m4*m2)
		e := math.Exp(-pi2 * k * k / (2 * z2))
		extra2 += e * k * k
		extra3 += e * k * k * (3*z2 - pi2*k*k)
	}
	root := math.Sqrt(2 * math.Pi)
	k0 *= root / z
	k1 *= root / (6 * z4)
	k2 = root * (k2/(72*z4*z2*z) - extra2*pi2/(36*z2*z))
	k3 = root * (k3/(6480*z4*z4*z2) + extra3*pi2/(216*z6))
	cdf := k0 + k1/math.Sqrt(n) + k2/n + k3/(n*math.Sqrt(n))
	return min(max(1-cdf, 0), 1)
}
