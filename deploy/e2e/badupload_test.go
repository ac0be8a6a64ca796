package e2e_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

const maxUpload = 64 << 20

// TestBadUploads: each bad file is refused or rejected with a reason, and the
// system continues.
func TestBadUploads(t *testing.T) {
	t.Setenv("MILLRACE_MAX_UPLOAD", "67108864")
	t.Setenv("MILLRACE_INGEST_MAX_UNPACKED_BYTES", "50331648")
	s := env.Start(t, env.Options{Pipelines: []string{tumours.Pipeline{Name: "bad"}.Write(t)}})
	s.Needs(t, "bad")
	good := tumours.Draw(t, 300, 1)
	parquet, text := good.Parquet(t), string(good.CSV())
	header, _, _ := strings.Cut(text, "\n")
	w := s.Watch(t, "bad")

	// Refused by the gateway: nothing is in the log.
	for _, c := range []struct {
		name, path string
		body       io.Reader
		status     int
		words      []string
	}{
		{"UnknownPipeline", "/uploads/bat/data/a.csv", strings.NewReader(text), 404, []string{`there is no pipeline \"bat\"`, `did you mean \"bad\"?`}},
		{"UnwantedKey", "/uploads/bad/other/a.csv", strings.NewReader(text), 422, []string{"no pipeline wants", "bad takes: bad/data/*"}},
		{"KeyOutside", "/uploads/bad/data/..%2F..%2Fa.csv", strings.NewReader(text), 400, []string{"..", "write it from the root"}},
		{"NoName", "/uploads/bad", strings.NewReader(text), 400, []string{"has no name behind the pipeline", "write /uploads/<pipeline>/<name>"}},
		{"OverTheLimit", "/uploads/bad/data/a.csv", bytes.NewReader(make([]byte, maxUpload+1)), 413, []string{"larger than the limit of 67108864 bytes", "cut it into several files"}},
		{"OverTheLimitUnannounced", "/uploads/bad/data/a.csv", io.LimitReader(endless{}, 1<<30), 413, []string{"larger than the limit of 67108864 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.Ask(t, "PUT", c.path, c.body)
			if a.Status != c.status {
				t.Errorf("answered %d, not %d", a.Status, c.status)
			}
			says(t, a.Text, c.words...)
		})
	}

	// Accepted, and rejected with a reason.
	for _, c := range []struct {
		name, file string
		body       io.Reader
		words      []string
	}{
		{"Empty", "a.csv", strings.NewReader(""), []string{"empty"}},
		{"HeaderOnly", "b.csv", strings.NewReader(header + "\n"), []string{"no rows"}},
		{"TruncatedParquet", "c.parquet", bytes.NewReader(parquet[:len(parquet)/2]), []string{"cut off"}},
		{"WrongHeader", "d.csv", strings.NewReader(strings.Replace(text, "mean_texture", "texture", 1)), []string{"mean_texture"}},
		{"MixedTypes", "e.csv", strings.NewReader(text + "rough,0.1,0.1,0.1,small,true\n"), []string{"mean_texture", "rough"}},
		{"TenMillionColumns", "f.csv", strings.NewReader(strings.Repeat("a,", 10_000_000) + "\n"), []string{"columns"}},
		{"EndlessLine", "g.csv", io.MultiReader(strings.NewReader(header+"\n"), io.LimitReader(endless{}, 40<<20)), []string{"longer than"}},
		{"EndlessLineOfAGibibyte", "h.csv.gz", packed(t, header+"\n", "x"), []string{"longer than"}},
		{"GzipBomb", "i.csv.gz", packed(t, header+"\n", "0.1,0.1,0.1,0.1,small,true\n"), []string{"more than the 48 MiB"}},
		{"NoGzip", "j.csv.gz", strings.NewReader(text), []string{"not gzip"}},
		{"NoTable", "k.pdf", strings.NewReader("%PDF-1.7"), []string{"not a format that can be read"}},
		{"TooFewRows", "l.csv", strings.NewReader(strings.Join(strings.SplitAfter(text, "\n")[:50], "")), []string{"100"}},
		{"WrongValue", "m.csv", strings.NewReader(strings.ReplaceAll(text, "small", "tiny")), []string{"size", "tiny"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := s.Ask(t, "PUT", "/uploads/bad/data/"+c.file, c.body); a.Status != 201 {
				t.Fatalf("upload: %+v", a)
			}
			d := env.Await(t, w, func(d events.PartitionRejected) bool { return d.Object.Key == "bad/data/"+c.file })
			reasons := ""
			for _, p := range d.Data.Problems {
				reasons += p.String() + "\n"
			}
			says(t, reasons, c.words...)
			t.Log(strings.TrimSpace(reasons))
		})
	}

	if p := s.Pipeline(t, "bad"); p.Dataset.Snapshot != "" || len(p.Runs) > 0 || len(p.DeadLetters) > 0 {
		t.Errorf("bad files changed the pipeline: %+v", p)
	}
	s.Put(t, "bad/data/a.csv", []byte(text))
	env.Await[events.ModelPromoted](t, w)
	s.Settle(t)
	sound(t, s)
}

// endless is a line that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// packed is a gzip file of a beginning and a gibibyte that repeats itself: one
// member that is there many times, as the format allows.
func packed(t *testing.T, begin, more string) io.Reader {
	t.Helper()
	const times = 64
	member := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := io.WriteString(z, text)
		must(t, err)
		must(t, z.Close())
		return b.Bytes()
	}
	many := member(strings.Repeat(more, 1<<30/times/len(more)))
	return io.MultiReader(bytes.NewReader(member(begin)), bytes.NewReader(bytes.Repeat(many, times)))
}
