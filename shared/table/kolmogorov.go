package table

import "math"

// kolmogorov returns the probability that the two-sided Kolmogorov-Smirnov
// statistic of n values is at least d: scipy.stats.kstwo.sf, which chooses a
// method by n and d (Simard and L'Ecuyer 2011, Computing the Two-Sided
// Kolmogorov-Smirnov Distribution).
func kolmogorov(n int, d float64) float64 {
	nd, nd2 := float64(n)*d, float64(n)*d*d
	switch {
	case d <= 0 || nd <= 0.5:
		return 1
	case d >= 1 || n > 140 && nd2 >= 370:
		return 0
	case nd <= 1: // Ruben and Gambino (1982)
		p := 1.
		for i := 1; i <= n; i++ {
			p *= float64(i) / float64(n) * (2*nd - 1)
		}
		return 1 - p
	case nd >= float64(n)-1:
		return 2 * math.Pow(1-d, float64(n))
	case n <= 140 && nd2 > 4 || n > 140 && nd2 >= 2.2:
		return min(1, 2*smirnov(n, d))
	case n <= 140, n <= 100_000 && float64(n)*math.Pow(d, 1.5) <= 1.4:
		return 1 - durbin(n, d)
	}
	return 1 - pelzGood(float64(n), d)
}

// smirnov returns the probability that the one-sided statistic of n values is at
// least d, by Smirnov's exact sum (1944), and beyond a million values, as SciPy
// does, by the approximation of Maag and Dicaire (1971).
func smirnov(n int, d float64) float64 {
	sum, size := 0., float64(n)
	if n > 1_000_000 {
		at := 6*size*d + 1
		return math.Exp(-at * at / (18 * size))
	}
	for j := 0; j <= int(size*(1-d)); j++ {
		rate := d + float64(j)/size
		sum += binomial(float64(j), size, rate) / rate
	}
	return d * sum
}

// durbin returns the probability that the statistic of n values is less than d,
// by Durbin's matrix (1968) as Marsaglia, Tsang and Wang (2003) raise it.
func durbin(n int, d float64) float64 {
	k := int(math.Ceil(float64(n) * d))
	h := float64(k) - float64(n)*d
	m := 2*k - 1
	matrix := newMatrix(m)
	for i := range m {
		for j := range m {
			if i-j+1 >= 0 {
				matrix.set(i, j, 1)
			}
		}
	}
	for i := range m {
		matrix.set(i, 0, matrix.at(i, 0)-math.Pow(h, float64(i+1)))
		matrix.set(m-1, i, matrix.at(m-1, i)-math.Pow(h, float64(m-i)))
	}
	if 2*h-1 > 0 {
		matrix.set(m-1, 0, matrix.at(m-1, 0)+math.Pow(2*h-1, float64(m)))
	}
	for i := range m {
		for j := range m {
			for g := 1; g <= i-j+1; g++ {
				matrix.set(i, j, matrix.at(i, j)/float64(g))
			}
		}
	}
	power := matrix.power(n)
	p, exponent := power.at(k-1, k-1), power.exponent
	for i := 1; i <= n; i++ {
		if p = p * float64(i) / float64(n); p < 1e-140 {
			p *= 1e140
			exponent -= 140
		}
	}
	return p * math.Pow(10, float64(exponent))
}

// matrix is a square matrix times a power of ten.
type matrix struct {
	size     int
	values   []float64
	exponent int
}

func newMatrix(size int) matrix { return matrix{size: size, values: make([]float64, size*size)} }

func (m matrix) at(i, j int) float64     { return m.values[i*m.size+j] }
func (m matrix) set(i, j int, v float64) { m.values[i*m.size+j] = v }

func (m matrix) times(o matrix) matrix {
	out := newMatrix(m.size)
	out.exponent = m.exponent + o.exponent
	for i := range m.size {
		for k := range m.size {
			v := m.at(i, k)
			for j := range m.size {
				out.values[i*m.size+j] += v * o.values[k*m.size+j]
			}
		}
	}
	if out.at(m.size/2, m.size/2) > 1e140 {
		for i := range out.values {
			out.values[i] *= 1e-140
		}
		out.exponent += 140
	}
	return out
}

// power returns the matrix to the power of n, by squaring.
func (m matrix) power(n int) matrix {
	if n == 1 {
		return m
	}
	half := m.power(n / 2)
	square := half.times(half)
	if n%2 == 1 {
		return square.times(m)
	}
	return square
}

// pelzGood returns the probability that the statistic of n values is less than d,
// by the expansion of Pelz and Good (1976) up to n^(-3/2).
func pelzGood(n, d float64) float64 {
	const pi2, pi4, pi6 = math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi, math.Pi * math.Pi * math.Pi * math.Pi * math.Pi * math.Pi
	z := math.Sqrt(n) * d
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
	return min(max(k0+k1/math.Sqrt(n)+k2/n+k3/(n*math.Sqrt(n)), 0), 1)
}
