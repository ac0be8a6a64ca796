package onnx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestScorerAnswersLikeTheModel(t *testing.T) {
	for name := range readGolden(t) {
		t.Run(name, func(t *testing.T) {
			m, g := openChecked(t, name, Options{Labels: true})
			s, err := OpenApart(t.Context(), "testdata/"+name+".onnx", Options{Labels: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Check(g.contract()); err != nil {
				t.Fatal(err)
			}
			b := repeat(g.batch(t), 100)
			var here, there Scores
			if err := errors.Join(m.Score(t.Context(), b, &here), s.Score(t.Context(), b, &there)); err != nil || fmt.Sprint(here) != fmt.Sprint(there) {
				t.Errorf("%v\n%v\n%v", err, here, there)
			}
			if fmt.Sprint(m.Signature()) != fmt.Sprint(s.Signature()) {
				t.Errorf("%v\n%v", m.Signature(), s.Signature())
			}
		})
	}
}

func TestScorerRefuses(t *testing.T) {
	loadLibrary(t)
	for name, test := range map[string]struct {
		x    float64
		want string
	}{
		"grows": {4e11, "memory"}, "loops": {1 << 60, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := OpenApart(t.Context(), "testdata/"+name+".onnx", Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			row := func(x float64) *Batch { return &Batch{Rows: 1, Columns: []Column{{Name: "x", Floats: []float64{x}}}} }
			var out Scores
			if err := errors.Join(s.Check(floats(Regression, "x")), s.Score(t.Context(), row(3), &out)); err != nil || out.Values[0] != 3 {
				t.Fatalf("%v, %v", out, err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("too long"))
			defer cancel()
			if err := s.Score(ctx, row(test.x), &out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}
