package sequential

import "math"

// oddsRatios are the alternatives of TwoArm: how much the canary's odds of
// failing exceed what is allowed.
var oddsRatios = [...]float64{1.5, 2, 3, 5, 10}

// Batch counts the requests of both arms in one batch, and those that failed. A
// failure may be a fraction: any loss from 0 to 1, summed.
type Batch struct {
	ChampionFailed, Champion float64
	CanaryFailed, Canary     float64
}

// Base is the rate at which requests of both arms fail, as known before a
// batch.
type Base struct {
	Failed   float64 `json:"failed"`
	Requests float64 `json:"requests"`
}

// PriorErrors is the base rate of errors before the first batch.
func PriorErrors() Base { return Base{Failed: 0.5, Requests: 50} }

// PriorAbove is the base rate of requests above a percentile, such as 0.95.
func PriorAbove(percentile float64) Base { return Base{Failed: 20 * (1 - percentile), Requests: 20} }

func (b Base) rate() float64 { return b.Failed / b.Requests }

func (b *Base) add(x Batch) {
	b.Failed += x.ChampionFailed + x.CanaryFailed
	b.Requests += x.Champion + x.Canary
}

// TwoArm is the evidence that the canary fails more often than the champion by
// more than a margin. The zero value is not ready: see NewTwoArm.
type TwoArm struct {
	Base Base                     `json:"base"`
	Logs [len(oddsRatios)]float64 `json:"logs"` // of the evidence for each odds ratio
}

// NewTwoArm returns a test without evidence.
func NewTwoArm(prior Base) TwoArm { return TwoArm{Base: prior} }

// Add adds a batch. A batch of one arm alone moves the base rate only.
func (t *TwoArm) Add(b Batch, margin float64) {
	if b.Champion > 0 && b.Canary > 0 {
		base := t.Base.rate()
		for i, odds := range oddsRatios {
			canary := alternative(base, margin, odds)
			za, zb := project(base, canary, b.Champion, b.Canary, margin)
			t.Logs[i] += logRatio(b.ChampionFailed, b.Champion, base, za) + logRatio(b.CanaryFailed, b.Canary, canary, zb)
		}
	}
	t.Base.add(b)
}

// alternative is the canary's rate at an odds ratio above what is allowed.
func alternative(base, margin, odds float64) float64 {
	q := min(max(base+margin, 1e-9), 1-1e-9)
	o := odds * q / (1 - q)
	return o / (1 + o)
}

// LogE returns the logarithm of the evidence: the mean over the odds ratios.
func (t TwoArm) LogE() float64 { return logMean(t.Logs[:]) }

// Safe is the evidence that the canary does not fail more often than the
// champion by a margin or more. The zero value is not ready: see NewSafe.
type Safe struct {
	Base Base    `json:"base"`
	Log  float64 `json:"log"`
}

// NewSafe returns a test without evidence.
func NewSafe(prior Base) Safe { return Safe{Base: prior} }

// Add adds a batch. With a margin of 0 no evidence can come: equal is not
// better.
func (s *Safe) Add(b Batch, margin float64) {
	if b.Champion > 0 && b.Canary > 0 && margin > 0 {
		both := min(max(s.Base.rate(), 1e-6), 0.5)
		za, zb := line(both, both, b.Champion, b.Canary, margin)
		s.Log += logRatio(b.ChampionFailed, b.Champion, both, za) + logRatio(b.CanaryFailed, b.Canary, both, zb)
	}
	s.Base.add(b)
}

// LogE returns the logarithm of the evidence.
func (s Safe) LogE() float64 { return s.Log }

// project returns the rates that the hypothesis allows and that are closest to
// the alternative: the point of canary = champion + margin that minimises the
// relative entropy of both arms.
func project(champion, canary, champions, canaries, margin float64) (za, zb float64) {
	switch {
	case canary <= champion+margin:
		return champion, canary
	case margin == 0:
		z := (float64(champions*champion) + float64(canaries*canary)) / (champions + canaries)
		return z, z
	}
	return line(champion, canary, champions, canaries, margin)
}

// line finds that point by bisection.
func line(champion, canary, champions, canaries, margin float64) (za, zb float64) {
	low, high := max(0, -margin), min(1, 1-margin)
	for range 200 {
		mid := (low + high) / 2
		if mid == low || mid == high {
			break
		}
		slope := float64(champions*((1-champion)/(1-mid)-champion/mid)) + float64(canaries*((1-canary)/(1-mid-margin)-canary/(mid+margin)))
		if slope < 0 {
			low = mid
		} else {
			high = mid
		}
	}
	mid := (low + high) / 2
	return mid, mid + margin
}

// logRatio is the logarithm of how much likelier k failures of n are at one
// rate than at another.
func logRatio(k, n, rate, other float64) float64 {
	sum := 0.0
	if k > 0 {
		sum += float64(k * math.Log(rate/other))
	}
	if n > k {
		sum += float64((n - k) * math.Log((1-rate)/(1-other)))
	}
	return sum
}

// logMean is the logarithm of the mean of exponentials.
func logMean(logs []float64) float64 {
	most := math.Inf(-1)
	for _, l := range logs {
		most = max(most, l)
	}
	if math.IsInf(most, 0) {
		return most
	}
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	return most + math.Log(sum/float64(len(logs)))
}

// Missing returns about how many more requests of the canary the evidence
// needs to reach a threshold, at the rates seen so far; 0 if no number would
// do. ratio is the number of champion's requests for each of the canary's, and
// the threshold is the logarithm of 1/alpha.
func (t TwoArm) Missing(championRate, canaryRate, ratio, margin, threshold float64) int64 {
	growth := 0.0
	for _, odds := range oddsRatios {
		base := t.Base.rate()
		canary := alternative(base, margin, odds)
		za, zb := project(base, canary, ratio, 1, margin)
		growth = max(growth, float64(ratio*logRatio(championRate, 1, base, za))+logRatio(canaryRate, 1, canary, zb))
	}
	return requests(threshold+math.Log(float64(len(oddsRatios)))-t.LogE(), growth)
}

// Missing is that of TwoArm.
func (s Safe) Missing(championRate, canaryRate, ratio, margin, threshold float64) int64 {
	if margin <= 0 {
		return 0
	}
	both := min(max(s.Base.rate(), 1e-6), 0.5)
	za, zb := line(both, both, ratio, 1, margin)
	return requests(threshold-s.Log, float64(ratio*logRatio(championRate, 1, both, za))+logRatio(canaryRate, 1, both, zb))
}

func requests(missing, growth float64) int64 {
	if growth <= 0 || missing <= 0 || missing/growth > 1e12 {
		return 0
	}
	return int64(math.Ceil(missing / growth))
}
