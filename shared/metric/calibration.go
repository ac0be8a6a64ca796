package metric

import (
	"math"

	"millrace.dev/config"
)

const (
	widthBins = 15
	countBins = 10
)

// equalWidthECE is the expected calibration error over 15 bins of equal width:
// the sum over bins of |Σ w (y - p)| by the total weight. Few rows bias it
// upwards.
func (b Binary) equalWidthECE(r rows) Estimate {
	bin := func(row int) int { return int(min(max(math.Ceil(widthBins*b.Score[row])-1, 0), widthBins-1)) }
	return b.ece(r, config.MetricECE, widthBins, bin)
}

// equalCountECE is the same over 10 bins of as many rows each, in the order of
// the scores, with the sizes of numpy.array_split.
func (b Binary) equalCountECE(r rows) Estimate {
	bins := make([]int8, len(b.Score))
	size, larger := len(bins)/countBins, len(bins)%countBins
	bin, left := int8(0), 0
	for _, row := range b.stable() {
		for ; left == 0 && int(bin) < countBins; bin++ {
			left = size
			if int(bin) < larger {
				left++
			}
		}
		bins[row] = bin - 1
		left--
	}
	return b.ece(r, config.MetricECEEqualCount, countBins, func(row int) int { return int(bins[row]) })
}

func (b Binary) ece(r rows, name string, n int, bin func(row int) int) Estimate {
	gaps := make([]sum, n)
	for i, p := range b.Score {
		gaps[bin(i)].add(r.weight(i) * (indicator(b.Positive[i]) - p))
	}
	var all sum
	sign := make([]float64, n)
	for k := range gaps {
		g := gaps[k].value()
		all.add(math.Abs(g))
		sign[k] = math.Copysign(1, g)
	}
	value := all.value() / r.total
	influence := make([]float64, len(b.Score))
	for i, p := range b.Score {
		influence[i] = sign[bin(i)]*(indicator(b.Positive[i])-p) - value
	}
	return r.estimate(name, value, influence)
}
