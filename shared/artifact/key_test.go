package artifact

import (
	"regexp"
	"strings"
	"testing"

	"millrace.dev/events"
)

func TestSuffix(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                             "",
		".parquet":                     ".parquet",
		"flights/2013-01.PARQUET":      ".parquet",
		"a.csv.gz":                     ".csv.gz",
		"a.b.csv":                      ".csv",
		"v1.2/data":                    "",
		"x.c v":                        "",
		"x." + strings.Repeat("a", 40): "",
		"x.":                           "",
		"x..":                          "",
		"x/../..":                      "",
		".gz":                          ".gz",
		"x.$1.gz":                      ".gz",
	} {
		if got := Suffix(name); got != want {
			t.Errorf("Suffix(%q) = %q, want %q", name, got, want)
		}
	}
}

var goodKey = regexp.MustCompile(`^sha256/[0-9a-f]{2}/[0-9a-f]{64}(\.[a-z0-9]{1,16}){0,2}$`)

// FuzzKeyOf checks that no reference leads out of the store.
func FuzzKeyOf(f *testing.F) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	f.Add("sha256/ab/"+strings.Repeat("ab", 32)+".parquet", digest)
	f.Add("../../etc/passwd", digest)
	f.Add(strings.Repeat("ab", 32)+"/../../../x", digest)
	f.Add(strings.Repeat("ab", 32)+".csv/..", digest)
	f.Add("x", "sha256:../..")
	f.Fuzz(func(t *testing.T, url, digest string) {
		k, err := keyOf(events.Ref{URL: url, Digest: digest})
		if err == nil && !goodKey.MatchString(k) {
			t.Errorf("%q, %q lead to %q", url, digest, k)
		}
	})
}
