package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// mixed is a partition of n rows; some are from Oslo, and some lack a price.
func mixed(n, oslo, missing int, price float64) *table.Batch {
	rows := make([]sale, n)
	for i := range rows {
		rows[i] = sale{"Rome", price + float64(i%7), i%2 == 0}
		if i < oslo {
			rows[i].city = "Oslo"
		}
		if i >= n-missing {
			rows[i].price = -1
		}
	}
	return shop(rows...)
}

// named lists columns and checks.
func named(ps []events.Problem) string {
	var all []string
	for _, p := range ps {
		all = append(all, strings.TrimPrefix(p.Column+" "+p.Check, " "))
	}
	return strings.Join(all, ", ")
}

func TestBoundsOfComparison(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(`compare: {partitions: 2, rows: {min: 0.5, max: 2}, psi: 0.25, nulls: 0.05}`))
	// The first has nothing to be compared with.
	r.validated(r.ingest("shop/0", mixed(14, 7, 0, 10)))
	if d := r.rejected(r.ingest("shop/1", mixed(1000, 500, 0, 10))); named(d.Problems) != "compare-rows" {
		// So few values say nothing about a distribution.
		t.Errorf("got %+v", d.Problems)
	}
	r.ConfigureYAML(t, contract(``))
	r.validated(r.ingest("shop/1", mixed(1000, 500, 0, 10)))
	r.validated(r.ingest("shop/2", mixed(1000, 500, 0, 10)))
	r.ConfigureYAML(t, contract(`compare: {partitions: 2, rows: {min: 0.5, max: 2}, psi: 0.25, nulls: 0.05}`))

	const more = "; if this is as intended, change data.compare and upload the file again"
	for name, test := range map[string]struct {
		part         *table.Batch
		checks, says string
	}{
		"few":     {mixed(400, 200, 0, 10), "compare-rows", "400 rows, 0.4 times the mean of the 2 partitions before (1,000); allowed: at least 0.5, at most 2"},
		"many":    {mixed(2100, 1050, 0, 10), "compare-rows", "2,100 rows, 2.1 times the mean of the 2 partitions before (1,000); allowed: at least 0.5, at most 2"},
		"nulls":   {mixed(1000, 500, 60, 10), "price compare-nulls", "6 % are missing, where it is 0 % in the 2 partitions before; allowed: a rise of 5 %"},
		"numbers": {mixed(1000, 500, 0, 12), "price compare-psi", "(mean 15, before 13); allowed: 0.25"},
		"words":   {mixed(1000, 950, 0, 10), "city compare-psi", "(Oslo: 95 %, before 50 %); allowed: 0.25"},
		"all":     {mixed(300, 290, 70, 50), "compare-rows, city compare-psi, price compare-nulls, price compare-psi", "300 rows"},
	} {
		d := r.rejected(r.ingest("shop/3", test.part))
		if named(d.Problems) != test.checks || !strings.Contains(d.Problems[0].Reason, test.says) || !strings.HasSuffix(d.Problems[0].Reason, more) {
			t.Errorf("%s: got %s: %s", name, named(d.Problems), d.Problems[0].Reason)
		}
	}
	// Within the bounds; a partition is not compared with itself.
	for i := range 3 {
		if d := r.validated(r.ingest("shop/3", mixed(1900, 950+i, 90, 10))); d.Partitions != 4 {
			t.Errorf("got %+v", d)
		}
	}
}

func TestBoundsWithTestFile(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(`compare: {rows: {min: 0.5}}
    holdout: {uploads: ["shop/test"]}`))
	r.validated(r.ingest("shop/test", mixed(1000, 0, 0, 10)))
	r.validated(r.ingest("shop/0", mixed(10, 0, 0, 10)))
	r.validated(r.ingest("shop/1", mixed(9, 0, 0, 10)))
	r.rejected(r.ingest("shop/2", mixed(2, 0, 0, 10)))
	r.validated(r.ingest("shop/test", mixed(1, 0, 0, 10)))
}

// A column of too many different words has no PSI: a warning says so.
func TestBoundsOfManyWords(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(`compare: {psi: 0.2, columns: [city]}`))
	rows := make([]sale, table.MaxDistinct+1)
	for i := range rows {
		rows[i] = sale{fmt.Sprint(i), 1, true}
	}
	r.validated(r.ingest("shop/0", shop(rows...)))
	d := r.validated(r.ingest("shop/1", shop(sales(100, good)...)))
	if !strings.Contains(named(d.Warnings), "city compare-psi") || !strings.Contains(fmt.Sprint(d.Warnings), "not compared") {
		t.Errorf("got %+v", d.Warnings)
	}
}
