package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// measured is what a server did with requests of a number of rows.
type measured struct {
	server  string
	way     string
	rows    int
	load    result
	cpu     time.Duration // a request
	started time.Duration
	rss     int64
}

// report prints the figures, and the ratio to the bare handler's.
func report(w io.Writer, all []measured) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "server\tprotocol\trows\treq/s\tof bare\tCPU ms/req\tp50 ms\tp99 ms\tfailed\tfirst answer ms\tRSS MB\t")
	limit := map[int]float64{}
	for _, m := range all {
		if m.server == "bare" {
			limit[m.rows] = m.load.rate()
		}
	}
	for _, m := range all {
		share := "-"
		if limit[m.rows] > 0 {
			share = fmt.Sprintf("%.3f", m.load.rate()/limit[m.rows])
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%s\t%.4f\t%.3f\t%.3f\t%d\t%d\t%.0f\t\n", m.server, m.way, m.rows, m.load.rate(), share,
			ms(m.cpu), ms(m.load.at(0.5)), ms(m.load.at(0.99)), m.load.failed, m.started.Milliseconds(), float64(m.rss)/1e6)
	}
	return t.Flush()
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
