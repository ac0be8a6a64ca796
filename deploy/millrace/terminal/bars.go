package terminal

import (
	"slices"
	"strings"
)

// levels are the heights of a bar that is drawn in one line.
var levels = []rune("▁▂▃▄▅▆▇█")

// Sparkline draws counts as bars side by side, the greatest at full height. A
// count of 0 is a space.
func Sparkline(counts []int64) string {
	if len(counts) == 0 {
		return ""
	}
	most := slices.Max(counts)
	var b strings.Builder
	for _, n := range counts {
		if n <= 0 {
			b.WriteRune(' ')
			continue
		}
		b.WriteRune(levels[int(float64(n-1)*float64(len(levels))/float64(most))])
	}
	return b.String()
}

// eighths are the widths of what a bar has beyond whole characters.
var eighths = []rune(" ▏▎▍▌▋▊▉")

// Bar draws a share of the width, which is in characters, from left to right.
func Bar(share float64, width int) string {
	parts := int(max(0, min(1, share))*float64(width*8) + 0.5)
	if parts == 0 && share > 0 {
		parts = 1
	}
	bar := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		bar += string(eighths[rest])
	}
	return bar
}
