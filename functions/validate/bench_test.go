package validate_test

import (
	"fmt"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/function"
	"millrace.dev/shared/function/functiontest"
)

// BenchmarkValidate is one handling of a partition of 10,000 rows that replaces
// the one before in a dataset of two: profile, contract with a unique and an
// SQL check, comparison, snapshot, commit.
func BenchmarkValidate(b *testing.B) {
	r := newEnv(b, contract(`checks:
      - {name: enough, rows: {min: 1000}}
      - {name: once, unique: [city, price]}
      - {name: dear-sells, sql: "NOT (price > 100000 AND NOT sold)"}`))
	partition := func(key string, i int) events.Envelope {
		rows := make([]sale, 10_000)
		for n := range rows {
			rows[n] = sale{fmt.Sprint("city ", n%100), float64(n + i), n%3 == 0}
		}
		return r.ingest(key, shop(rows...))
	}
	r.validated(partition("shop/a", 0))
	m := function.NewMux(validate.Name)
	r.f.Register(m)
	rt, err := function.NewRuntime(functiontest.Context(b), m, r.Deps(b, validate.Name), functiontest.Retry)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		e := partition("shop/b", i)
		b.StartTimer()
		if o := rt.Handle(b.Context(), function.Delivery{Envelope: e}); o.Err != nil || len(o.Events) != 2 {
			b.Fatalf("got %+v", o)
		}
	}
}
