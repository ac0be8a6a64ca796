package evaluate

import "millrace.dev/shared/humanize"

// all writes the whole of n things: "the one gate", "both gates", "all 12 gates".
func all(n int, noun string) string {
	switch n {
	case 1:
		return "the one " + noun
	case 2:
		return "both " + noun + "s"
	}
	return "all " + humanize.Count(n, noun)
}

// none writes that none of n things is so: "no value", "none of 12 values".
func none(n int, noun string) string {
	if n == 1 {
		return "no " + noun
	}
	return "none of " + humanize.Count(n, noun)
}

// part writes n of the given total: "2 of 5 gates", or "both gates" when it is the whole.
func part(n, of int, noun string) string {
	if n == of {
		return all(n, noun)
	}
	return humanize.Int(n) + " of " + humanize.Count(of, noun)
}

func either(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
