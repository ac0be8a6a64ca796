package config_test

import (
	"strings"
	"testing"

	"millrace.dev/config"
)

// TestContractDigest changes with what is said of one upload, and with nothing else.
func TestContractDigest(t *testing.T) {
	t.Parallel()
	const file = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  data:
    uploads: ["shop/*"]
    columns:
      city: {type: string}
      price: {type: float}
    extra: reject
  model: {task: regression, label: price, features: [city]}
`
	digest := func(from, to string) string {
		t.Helper()
		if from != "" && !strings.Contains(file, from) {
			t.Fatalf("the file has no %q", from)
		}
		p, err := config.Parse("pipeline.yaml", []byte(strings.Replace(file, from, to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return p.ContractDigest()
	}
	same := digest("", "")
	for from, to := range map[string]string{
		`["shop/*"]`:        `["shop/*", "more/*"]`,
		"city: {":           "city: {description: where it is, ",
		"extra: reject":     "holdout: {fraction: 0.3}",
		"features: [city]}": "features: [city]}\n  evaluate: {gates: [{metric: rmse, max: 1}]}",
	} {
		if digest(from, to) != same {
			t.Errorf("%q instead of %q changes the contract", to, from)
		}
	}
	for from, to := range map[string]string{
		"price: {type: float}": "price: {type: float, min: 0}",
		"city: {":              "town: {type: int}\n      city: {",
		"extra: reject":        "csv: {decimal: \",\"}",
		"    extra: reject":    "    quarantine: {max_fraction: 0.1}",
	} {
		if digest(from, to) == same {
			t.Errorf("%q instead of %q does not change the contract", to, from)
		}
	}
}
