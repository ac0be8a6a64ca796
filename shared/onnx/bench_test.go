package onnx

import (
	"fmt"
	"runtime"
	"testing"
)

func BenchmarkScore(b *testing.B) {
	for _, name := range []string{"logistic", "lightgbm", "matrix"} {
		for _, rows := range []int{1, 32, 1000} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, rows), func(b *testing.B) {
				m, g := openChecked(b, name, Options{})
				batch := repeat(g.batch(b), rows)
				var out Scores
				ctx := b.Context()
				b.ReportAllocs()
				for b.Loop() {
					if err := m.Score(ctx, batch, &out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkScoreParallel is a row at a time from several goroutines a core.
func BenchmarkScoreParallel(b *testing.B) {
	m, g := openChecked(b, "lightgbm", Options{})
	batch := repeat(g.batch(b), 1)
	ctx := b.Context()
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		var out Scores
		for pb.Next() {
			if err := m.Score(ctx, batch, &out); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
}

func BenchmarkOpen(b *testing.B) {
	loadLibrary(b)
	c := readGolden(b)["lightgbm"].contract()
	for b.Loop() {
		m, err := Open("testdata/lightgbm.onnx", Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Check(c); err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProbeApart(b *testing.B) {
	loadLibrary(b)
	c := readGolden(b)["lightgbm"].contract()
	command, err := ProbeTask.Command()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ProbeApart(b.Context(), command, "testdata/lightgbm.onnx", c, nil); err != nil {
			b.Fatal(err)
		}
	}
}
