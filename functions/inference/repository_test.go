package inference

import (
	"encoding/json"
	"strings"
	"testing"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/oip"
)

func TestRepository(t *testing.T) {
	w, _ := servedFlights(t)
	w.register("flights", "logistic")
	w.until("the second version is known", func() error {
		_, err := w.f.routing.Load().models["flights"].number("2")
		return err
	})
	index := func(body string) (all []codec.ModelIndex) {
		t.Helper()
		a, _ := w.try("POST", "/v2/repository/index", []byte(body)) // a list is no object
		must(t, json.Unmarshal([]byte(a.Raw), &all))
		return all
	}
	if all := index(""); len(all) != 2 || all[0].State != "READY" || all[1].State != "UNAVAILABLE" || all[1].Version != "2" || all[1].Reason == "" {
		t.Errorf("%+v", all)
	}
	if all := index(`{"ready":true}`); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	call := func(verb, body string) answer {
		t.Helper()
		return w.ask("POST", "/v2/repository/models/flights/"+verb, []byte(body))
	}
	if a := call("load", `{"parameters":{"version":2}}`); a.Code != 200 || a.Raw != "{\"load\":true,\"name\":\"flights\"}\n" {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	if all := index(`{"ready":true}`); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	for range 2 { // once more changes nothing
		if a := call("unload", `{"parameters":{"version":"2"}}`); a.Code != 200 || a.Raw != "{\"name\":\"flights\",\"unload\":true}\n" {
			t.Errorf("%d %s", a.Code, a.Raw)
		}
	}
	if all := index(`{"ready":true}`); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	for name, c := range map[string]struct {
		verb, body string
		code       int
		want       string
	}{
		"champion": {"unload", `{"parameters":{"version":"1"}}`, 409, "version 1 of flights has traffic (v1 100 %) and stays loaded"},
		"model":    {"unload", "", 409, "flights serves v1 100 % and stays loaded; name a version"},
		"unknown":  {"load", `{"parameters":{"version":"7"}}`, 404, "flights has no version 7; versions that can be asked: 1, 2"},
		"not JSON": {"load", `x`, 400, "the body cannot be read as JSON"},
		"type":     {"load", `{"parameters":{"version":[]}}`, 400, "neither a number nor a string"},
	} {
		if a := call(c.verb, c.body); a.Code != c.code || !strings.Contains(a.Error, c.want) {
			t.Errorf("%s: %d %s", name, a.Code, a.Raw)
		}
	}
	// KServe's clients send the model's name where Triton's send a repository's.
	rpc := oip.NewGRPCInferenceServiceClient(w.dial())
	loaded, err := rpc.RepositoryModelLoad(t.Context(), &oip.RepositoryModelLoadRequest{RepositoryName: "flights"})
	if err != nil || !loaded.GetIsLoaded() || loaded.GetModelName() != "flights" {
		t.Errorf("%v %v", loaded, err)
	}
	if all, err := rpc.RepositoryIndex(t.Context(), &oip.RepositoryIndexRequest{}); err != nil || len(all.GetModels()) != 2 {
		t.Errorf("%v %v", all, err)
	}
}
