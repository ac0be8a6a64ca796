package table

import (
	"context"
	"time"
)

// Cut divides a table into a part to train on and a part to judge by.
type Cut struct {
	Fraction float64       // of the rows that are held out, above 0 and below 1
	By       string        // "time" or "hash"
	Time     string        // by time: the timestamp column; the newest rows are held out
	Group    []string      // by hash: rows equal in these columns stay together; none means all columns
	Gap      time.Duration // by time: rows of the last Gap before the hold-out are in neither part
}

// Apply writes the rows of the files in: those to train on to trainDir, a file
// for each that has any (part-00000.parquet, ...), the held-out ones to
// holdoutPath, and returns their numbers. Rows keep the order they came in; no
// row is in both parts; rows of the same time (or group) are on the same side.
// The same input and Cut always give the same bytes. An empty part is an
// *Unreadable that says why.
func (c Cut) Apply(ctx context.Context, in []string, trainDir, holdoutPath string) (train, holdout int64, err error) {
	panic("not yet")
}
