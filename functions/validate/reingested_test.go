package validate_test

import (
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// wholePrices is a partition whose prices are of type int.
func wholePrices(rows int) *table.Batch {
	b := shop(sales(rows, sale{"Rome", 1, true})...)
	b.Schema[1].Type = table.Int
	b.Columns[1] = table.Vector{Ints: make([]int64, rows)}
	return b
}

// TestReingestedTypes gives a column another type: partitions that were read
// under the earlier contract do not hold up new ones, and are replaced one by one.
func TestReingestedTypes(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	ingest := func(key string, b *table.Batch) events.Envelope {
		t.Helper()
		d := events.PartitionIngested{Object: events.Object{Key: key}, Data: r.store(b), Rows: int64(b.Rows), Content: "content", Config: r.State(t, pipeline).Configured.Digest}
		for _, c := range b.Schema {
			d.Fields = append(d.Fields, events.Field{Name: c.Name, Type: string(c.Type)})
		}
		if o := r.object(key); o != nil {
			d.Upload = o.Event // as a reingest does
		} else {
			r.upload(key)
		}
		return r.Announce(t, pipeline, "ingest", d)[0]
	}
	r.validated(ingest("shop/a", shop(sales(10, sale{"Rome", 1.5, true})...)))
	r.validated(ingest("shop/b", shop(sales(20, sale{"Oslo", 2.5, true})...)))

	r.ConfigureYAML(t, strings.Replace(contract(""), "price: {type: float", "price: {type: int", 1))
	if old := r.State(t, pipeline).Outdated(); len(old) != 2 {
		t.Fatalf("%d partitions are outdated, want 2", len(old))
	}
	for i, key := range []string{"shop/new", "shop/b", "shop/a"} {
		v := r.validated(ingest(key, wholePrices(30+i)))
		if v.Partitions != 3 {
			t.Errorf("after %s: %+v", key, v)
		}
	}
	p := r.State(t, pipeline)
	if old := p.Outdated(); len(old) != 0 || p.Dataset.Rows != 30+31+32 {
		t.Errorf("%d partitions are outdated, of %d rows", len(old), p.Dataset.Rows)
	}
	profile := r.profile(p.Dataset.Profile)
	if c := profile.Column("price"); c.Type != table.Int || profile.Rows != 30+31+32 {
		t.Errorf("the profile has %d rows, price is %s", profile.Rows, c.Type)
	}
}
