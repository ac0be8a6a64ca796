package runner

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzResult reads a result.json that a trainer may have spoiled: it is an
// error, or what was read can be written and read again.
func FuzzResult(f *testing.F) {
	for _, s := range []string{`{"ok":true,"attempts":1,"seconds":2.5}`, `{"ok":false,"reason":"it ended","exitCode":1}`, `{"seconds":1e999}`, `null`, `[]`, ``} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		folder := Folder(filepath.Join(dir, "run"))
		if err := os.MkdirAll(string(folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder.path("result.json"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, ok, err := folder.Result()
		if err != nil {
			return
		}
		if !ok {
			t.Fatal("it is there, and is said not to be")
		}
		if err := folder.write("result.json", r); err != nil {
			t.Fatal(err)
		}
		again, _, err := folder.Result()
		// Text that is no UTF-8 is replaced when it is written.
		if err != nil || again.OK != r.OK || again.ExitCode != r.ExitCode || !reflect.DeepEqual(again.Seconds, r.Seconds) {
			t.Fatalf("%+v, then %+v, %v", r, again, err)
		}
	})
}
