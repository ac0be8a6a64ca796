package table

// Edges returns the bounds of at most n bins over the values of a column of int,
// float or timestamp (µs): one more than there are bins, ascending. It returns
// nil for other types and for a column without values.
//
// The inner bounds are equally far apart. Where a few values are far from all
// others, they are so between the 1 % and the 99 % quantile, and the first and
// the last bin reach to the least and to the greatest value.
func (c *ColumnProfile) Edges(n int) []float64 {
	if c.Count == 0 || c.Quantiles == nil || n < 1 {
		return nil
	}
	low, high := entryOf(c.Min).number(c.Type), entryOf(c.Max).number(c.Type)
	if low == high {
		return []float64{low, high}
	}
	from, to := low, high
	first, last := c.Quantiles[0], c.Quantiles[len(c.Quantiles)-1]
	// Three times as far as most values are: a bin would hold nearly all of them.
	if n > 2 && first < last && (high-low)/3 > last-first {
		from, to = first, last
	}
	if c.Type == Int && from == low && to == high && high-low < float64(n) {
		n = int(high-low) + 1 // a bin for each number
		edges := make([]float64, n+1)
		for i := range edges {
			edges[i] = low + float64(i) - 0.5
		}
		return edges
	}
	edges := []float64{low}
	inner := n
	if from > low {
		edges = append(edges, from)
		inner--
	}
	if to < high {
		inner--
	}
	for i := 1; i < inner; i++ {
		share := float64(i) / float64(inner)
		if at := from*(1-share) + to*share; at > edges[len(edges)-1] && at < high {
			edges = append(edges, at)
		}
	}
	if to < high && to > edges[len(edges)-1] {
		edges = append(edges, to)
	}
	return append(edges, high)
}

// Histogram returns how many values are in each bin between the bounds edges: a
// bin has its upper bound and not its lower one, except the first. Values
// outside the bounds are in the first or in the last bin. For a column that is
// not Exact the counts are estimates. It returns nil for a [Profile.Summary].
func (c *ColumnProfile) Histogram(edges []float64) []int64 {
	if len(edges) < 2 || c.isSummary() || c.Type == String || c.Type == Bool {
		return nil
	}
	if c.Count == 0 {
		return make([]int64, len(edges)-1)
	}
	return histogram(c.Type, c.order(), edges[1:len(edges)-1])
}

// histogram counts the values up to each edge, and those above the last.
func histogram(typ Type, values []entry, edges []float64) []int64 {
	counts := make([]int64, len(edges)+1)
	i := 0
	for _, e := range values {
		for i < len(edges) && e.number(typ) > edges[i] {
			i++
		}
		counts[i] += e.n
	}
	return counts
}
