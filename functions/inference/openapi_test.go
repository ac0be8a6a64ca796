package inference

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestOpenAPI holds every path of the document against what is served, and
// answers against their schemas. That it is an OpenAPI document is proved by
// `make e2e-clients`.
func TestOpenAPI(t *testing.T) {
	w, g := servedFlights(t)
	a := w.ask("GET", "/openapi.json", nil)
	if a.Raw != string(openapi) || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %.100s", a.Code, a.Raw)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi))
	must(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	must(t, compiler.AddResource("openapi.json", doc))
	document := doc.(map[string]any)

	t.Run("paths", func(t *testing.T) {
		fill := strings.NewReplacer("{model}", "flights", "{version}", "1")
		paths := document["paths"].(map[string]any)
		if len(paths) < 15 {
			t.Errorf("the document has %d paths", len(paths))
		}
		for path, item := range paths {
			for method := range item.(map[string]any) {
				a, _ := w.try(strings.ToUpper(method), fill.Replace(path), nil) // an answer need not be an object
				if strings.Contains(a.Error, "there is nothing at") || a.Code == 405 {
					t.Errorf("%s %s is not served", method, path)
				}
			}
		}
	})

	instance := []byte(`{"instances":[{"carrier":"UA","origin":"EWR","hour":5,"distance":100,"temp":null,"weekend":false}]}`)
	for name, c := range map[string]struct {
		method, path, described string
		body                    []byte
	}{
		"server":          {"GET", "/v2", "/v2", nil},
		"live":            {"GET", "/v2/health/live", "/v2/health/live", nil},
		"ready":           {"GET", "/v2/health/ready", "/v2/health/ready", nil},
		"models":          {"GET", "/v2/models", "/v2/models", nil},
		"model":           {"GET", "/v2/models/flights", "/v2/models/{model}", nil},
		"version":         {"GET", "/v2/models/flights/versions/1", "/v2/models/{model}/versions/{version}", nil},
		"model ready":     {"GET", "/v2/models/flights/ready", "/v2/models/{model}/ready", nil},
		"unknown":         {"GET", "/v2/models/trains", "/v2/models/{model}", nil},
		"infer":           {"POST", "/v2/models/flights/infer", "/v2/models/{model}/infer", g.inferBody(t, 0, 2, map[string]any{"id": "x", "parameters": map[string]any{"a": 1}})},
		"infer mistake":   {"POST", "/v2/models/flights/infer", "/v2/models/{model}/infer", []byte(`{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["y"]}]}`)},
		"predict":         {"POST", "/v1/models/flights:predict", "/v1/models/{model}:predict", instance},
		"index":           {"POST", "/v2/repository/index", "/v2/repository/index", []byte(`{}`)},
		"load":            {"POST", "/v2/repository/models/flights/load", "/v2/repository/models/{model}/load", []byte(`{"parameters":{"version":"1"}}`)},
		"unload champion": {"POST", "/v2/repository/models/flights/unload", "/v2/repository/models/{model}/unload", []byte(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			var answer any
			a, _ := w.try(c.method, c.path, c.body) // an answer need not be an object
			must(t, json.Unmarshal([]byte(a.Raw), &answer))
			schema := pointer(document, "paths", c.described, strings.ToLower(c.method), "responses", strconv.Itoa(a.Code), "content", "application/json", "schema")
			if schema == "" {
				t.Fatalf("%d is not described: %s", a.Code, a.Raw)
			}
			check(t, compiler, schema, answer)
			if body := pointer(document, "paths", c.described, strings.ToLower(c.method), "requestBody", "content", "application/json", "schema"); body != "" {
				var sent any
				must(t, json.Unmarshal(c.body, &sent))
				check(t, compiler, body, sent)
			}
		})
	}
}

// pointer leads through the document, and through references on the way; ""
// when there is nothing.
func pointer(document map[string]any, names ...string) string {
	at, v := "", any(document)
	for _, name := range names {
		if m, ok := v.(map[string]any); ok && m["$ref"] != nil {
			at, v = "", document
			for part := range strings.SplitSeq(strings.TrimPrefix(m["$ref"].(string), "#/"), "/") {
				at, v = at+"/"+part, v.(map[string]any)[part]
			}
		}
		m, _ := v.(map[string]any)
		if v = m[name]; v == nil {
			return ""
		}
		at += "/" + url.PathEscape(strings.ReplaceAll(name, "/", "~1"))
	}
	return at
}

// check validates a value against a schema of the document.
func check(t *testing.T, compiler *jsonschema.Compiler, schema string, value any) {
	t.Helper()
	s, err := compiler.Compile("openapi.json#" + schema)
	must(t, err)
	if err := s.Validate(value); err != nil {
		t.Errorf("%v\n%v", err, value)
	}
}
