package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
)

var update = flag.Bool("update", false, "write the golden files anew, as the types write them")

// The golden files are the events as they stand in the log, one folder a type:
//
//	simple.json   what must be there
//	full.json     every field
//	unknown.json  simple, and a field of a later version: it is passed over
//	refused.json  payloads that must be refused, and a part of the reason

func read[T any](t testing.TB, typ, file string) (v T, text []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", typ, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s/%s: %v", typ, file, err)
	}
	return v, text
}

func decode(t testing.TB, e events.Envelope) events.Data {
	t.Helper()
	d, err := events.DecodeData(e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Catalogue() {
		for _, file := range []string{"simple.json", "full.json"} {
			t.Run(typ.Name+"/"+file, func(t *testing.T) {
				e, text := read[events.Envelope](t, typ.Name, file)
				d := decode(t, e)
				if err := d.Validate(); err != nil {
					t.Errorf("it is not valid: %v", err)
				}
				if want := "flights/" + d.EventSubject(); e.Subject != want {
					t.Errorf("its subject is %q; its payload says %q", e.Subject, want)
				}
				if a, ok := d.(events.Attributed); ok && !reflect.DeepEqual(a.Attributes(), e.Attributes) {
					t.Errorf("its attributes are %v; its payload says %v", e.Attributes, a.Attributes())
				}
				data, err := json.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				e.Data = data
				if again := decode(t, e); !equal(d, again) {
					t.Errorf("it changes on the way out and in:\n%+v\n%+v", d, again)
				}
				out, err := json.MarshalIndent(e, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, '\n')
				if *update {
					if err := os.WriteFile(filepath.Join("testdata", typ.Name, file), out, 0o600); err != nil {
						t.Fatal(err)
					}
					return
				}
				if !bytes.Equal(text, out) {
					t.Errorf("the types write it in another way; go test -update keeps this:\n%s", out)
				}
			})
		}
	}
}

// equal compares payloads; JSON within them by its meaning.
func equal(a, b events.Data) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func TestGoldenFullHasEveryField(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Catalogue() {
		e, _ := read[events.Envelope](t, typ.Name, "full.json")
		for _, missing := range empty(reflect.ValueOf(decode(t, e)), "") {
			t.Errorf("%s/full.json says nothing about %s", typ.Name, missing)
		}
	}
}

// empty lists the fields that have their zero value. A boolean that is a
// verdict may say no.
func empty(v reflect.Value, path string) (fields []string) {
	switch {
	case v.Type() == reflect.TypeFor[events.Envelope]():
		return nil
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			fields = append(fields, empty(v.Field(i), path+"."+f.Name)...)
		}
	case v.Kind() == reflect.Bool && strings.HasSuffix(path, "Passed"):
	case v.IsZero():
		return []string{strings.TrimPrefix(path, ".")}
	case v.Kind() == reflect.Pointer:
		return empty(v.Elem(), path)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		return empty(v.Index(0), path+"[0]")
	}
	return fields
}

func TestGoldenUnknownFieldIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Catalogue() {
		simple, _ := read[events.Envelope](t, typ.Name, "simple.json")
		unknown, _ := read[events.Envelope](t, typ.Name, "unknown.json")
		if bytes.Equal(simple.Data, unknown.Data) {
			t.Errorf("%s/unknown.json has no unknown field", typ.Name)
		}
		if a, b := decode(t, simple), decode(t, unknown); !equal(a, b) {
			t.Errorf("%s: an unknown field changes the payload:\n%+v\n%+v", typ.Name, a, b)
		}
	}
}

func TestGoldenRefused(t *testing.T) {
	t.Parallel()
	type refusal struct {
		Data  json.RawMessage `json:"data"`
		Error string          `json:"error"`
	}
	for _, typ := range events.Catalogue() {
		all, _ := read[[]refusal](t, typ.Name, "refused.json")
		if len(all) == 0 {
			t.Errorf("%s/refused.json is empty", typ.Name)
		}
		for i, r := range all {
			t.Run(fmt.Sprintf("%s/%d", typ.Name, i), func(t *testing.T) {
				d, err := events.DecodeData(events.Envelope{Header: events.Header{ID: "1", Type: typ.Name}, Data: r.Data})
				if err == nil {
					err = d.Validate()
				}
				if err == nil || !strings.Contains(err.Error(), r.Error) {
					t.Errorf("%v; it must say %q", err, r.Error)
				}
			})
		}
	}
}

func TestGoldenFoldersAreTheCatalogue(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var folders, names []string
	for _, e := range entries {
		if e.Name() != "fuzz" {
			folders = append(folders, e.Name())
		}
	}
	for _, typ := range events.Catalogue() {
		names = append(names, typ.Name)
	}
	slices.Sort(names)
	if !slices.Equal(folders, names) {
		t.Errorf("testdata has %v\nthe catalogue has %v", folders, names)
	}
}
