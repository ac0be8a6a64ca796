package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// bins is into how many parts a span of time is divided at once in the search
// for the point where the hold-out begins.
const bins = 1 << 16

// timeline is what a split knows about the time column of its input.
type timeline struct {
	in       []string
	column   string
	least    int64 // rows before it are left out
	greatest int64
	rows     int64 // from least on
}

// survey reads the time column; rows without a time do not count. A span of 0
// goes back for ever.
func survey(ctx context.Context, in []string, column string, span time.Duration) (*timeline, error) {
	l := &timeline{in: in, column: column, least: math.MaxInt64, greatest: math.MinInt64}
	err := l.each(ctx, func(t int64) {
		l.rows++
		l.least, l.greatest = min(l.least, t), max(l.greatest, t)
	})
	if err != nil {
		return nil, err
	}
	if l.rows == 0 {
		return nil, &Unreadable{Column: column, Reason: "no row has a " + column, Try: "add data"}
	}
	if first := l.greatest - span.Microseconds() + 1; span > 0 && first > l.least {
		l.least, l.rows = first, 0
		err = l.each(ctx, func(t int64) {
			if t >= first {
				l.rows++
			}
		})
	}
	return l, err
}

// newest returns the time from which on the rows are the newest fraction of all
// rows, or as near to it as ties allow.
//
// It finds the value of that rank by counting rows in ever finer bins, so that
// memory does not grow with the number of rows; three passes over one column
// are enough for a year.
func (l *timeline) newest(ctx context.Context, fraction float64) (int64, error) {
	if l.least == l.greatest {
		return 0, &Unreadable{Column: l.column, Reason: fmt.Sprintf("all rows have the same %s, so that none is newer than the others", l.column), Try: "split by hash"}
	}
	least, rows := l.least, l.rows
	want := max(int64(math.Round(fraction*float64(rows))), 1)

	// The value of rank want, counted from the newest, is in [low, high];
	// newer rows than high: above.
	low, high, above := uint64(0), uint64(l.greatest)-uint64(least), int64(0)
	inside := rows
	for low < high {
		width := (high-low)/bins + 1
		counts := make([]int64, (high-low)/width+1)
		err := l.each(ctx, func(t int64) {
			if d := uint64(t) - uint64(least); t >= least && d >= low && d <= high {
				counts[(d-low)/width]++
			}
		})
		if err != nil {
			return 0, err
		}
		i := len(counts) - 1
		for ; above+counts[i] < want; i-- {
			above += counts[i]
		}
		inside = counts[i]
		low += uint64(i) * width
		high = min(high, low+width-1)
	}
	// Rows of this very time are all held out or all not: whichever is nearer,
	// but neither nothing nor everything.
	without, with := above, above+inside
	if with == rows || without > 0 && want-without < with-want {
		low++
	}
	return int64(uint64(least) + low), nil
}

// each calls f with the time of every row that has one.
func (l *timeline) each(ctx context.Context, f func(int64)) error {
	for _, path := range l.in {
		if err := eachTime(ctx, path, l.column, f); err != nil {
			return err
		}
	}
	return nil
}

func eachTime(ctx context.Context, path, column string, f func(int64)) error {
	r, err := Open(path, []string{column})
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b, err := r.Next(rowGroup)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, t := range b.Columns[0].Ints {
			if !b.Columns[0].Null(i) {
				f(t)
			}
		}
	}
}
