package serving_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"millrace.dev/events"
	"millrace.dev/functions/promote/serving"
	"millrace.dev/shared/state"
)

const bucket = "s3://models/here?region=eu-central-1&endpoint=http://s3:7070"

// kserve is what has been applied to a KServe.
type kserve struct {
	t      *testing.T
	schema *jsonschema.Schema
	live   serving.Object
	told   []string
}

func newKServe(t *testing.T) *kserve {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "kserve.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return &kserve{t: t, schema: s}
}

func (k *kserve) do(p *state.Pipeline) {
	k.t.Helper()
	s := serving.KServe(p, settings, k.live, bucket)
	switch {
	case s.Apply != nil:
		k.apply(s.Apply)
	case s.Failed != 0:
		k.told = append(k.told, fmt.Sprintf("failed v%d: %s", s.Failed, s.Reason))
	case s.Waits != "":
		k.told = append(k.told, "waits: "+s.Waits)
	default:
		k.told = append(k.told, s.Serves)
	}
}

// apply holds the object against KServe's schema.
func (k *kserve) apply(o serving.Object) {
	k.t.Helper()
	text, err := yaml.Marshal(o)
	if err != nil {
		k.t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		k.t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err == nil {
		err = k.schema.Validate(v)
	}
	if err != nil {
		k.t.Fatalf("KServe does not take it: %v\n%s", err, text)
	}
	predictor := o["spec"].(serving.Object)["predictor"].(serving.Object)
	k.told = append(k.told, fmt.Sprintf("apply: %s, canaryTrafficPercent %v", predictor["model"].(serving.Object)["storageUri"], predictor["canaryTrafficPercent"]))
	k.live = o
}

func (k *kserve) becomes(transition, ready, failure string) {
	k.live["status"] = serving.Object{
		"conditions":  []any{serving.Object{"type": "Ready", "status": ready, "reason": "PredictorNotReady"}},
		"modelStatus": serving.Object{"transitionStatus": transition, "lastFailureInfo": serving.Object{"message": failure}},
	}
}

func TestKServe(t *testing.T) {
	t.Parallel()
	k, p := newKServe(t), flights(t, `{runtime: kserve, min_scale: 1, max_scale: 4, target: 8, resources: {cpu: "1", memory: 2Gi}}`)
	k.do(p)
	champion(p, 1)
	k.do(p)
	first, err := yaml.Marshal(k.live)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "kserve.yaml", first)
	k.becomes("InProgress", "False", "")
	k.do(p)
	k.becomes("UpToDate", "True", "")
	k.do(p)
	canary(p, 2, 10)
	k.do(p)
	k.becomes("UpToDate", "True", "")
	k.do(p)
	champion(p, 1) // aborted: the version before serves at once
	k.do(p)
	k.becomes("UpToDate", "True", "")
	k.do(p)
	canary(p, 3, 50)
	k.do(p)
	k.becomes("BlockedByFailedLoad", "False", "invalid model file")
	k.do(p)
	canary(p, 4, 50)
	k.do(p)
	champion(p, 4, 1)
	k.do(p)
	k.becomes("UpToDate", "True", "")
	k.do(p)
	champion(p, 1) // back
	k.do(p)
	golden(t, "kserve.txt", []byte(strings.Join(k.told, "\n")+"\n"))
}

func TestKServeCannotServe(t *testing.T) {
	t.Parallel()
	p := flights(t, "{runtime: kserve}")
	champion(p, 1)
	if s := serving.KServe(p, settings, nil, "file:///var/lib/millrace"); s.Failed != 1 || !strings.Contains(s.Reason, "file://") {
		t.Errorf("%+v", s)
	}
	p.Models[0].Model.Files = append(p.Models[0].Model.Files, events.File{Name: "weights.bin"})
	if s := serving.KServe(p, settings, nil, bucket); s.Failed != 1 || !strings.Contains(s.Reason, "2 files") {
		t.Errorf("%+v", s)
	}
}

// The schema is KServe's as far as it goes: what it has not is refused.
func TestKServeSchemaIsStrict(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "kserve.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON([]byte(strings.Replace(string(text), "canary", "x", 1) + "  another: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	if err := newKServe(t).schema.Validate(v); err == nil {
		t.Error("an unknown field is taken")
	}
}
