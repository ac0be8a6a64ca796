package evaluate

import (
	"fmt"
	"math"
	"strconv"
)

// show writes a value for people: four digits that count.
func show(v float64) string {
	if v != 0 && (math.Abs(v) < 1e-4 || math.Abs(v) >= 1e7) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := 4
	if a := math.Abs(v); a >= 1 {
		digits = max(0, 3-int(math.Log10(a)))
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// count writes a number of things: "1 row", "12,345 rows".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// all is count for when nothing is left out.
func all(n int, noun string) string {
	switch n {
	case 1:
		return "the one " + noun
	case 2:
		return "both " + noun + "s"
	}
	return "all " + count(n, noun)
}

// part is count for some of them.
func part(n, of int, noun string) string {
	if n == of {
		return all(n, noun)
	}
	return grouped(n) + " of " + count(of, noun)
}

func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func either(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
