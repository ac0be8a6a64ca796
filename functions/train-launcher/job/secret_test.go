package job_test

import (
	"encoding/base64"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"millrace.dev/functions/train-launcher/job"
	"millrace.dev/functions/train-launcher/job/jobtest"
)

const secrets = "/api/v1/namespaces/" + jobtest.Namespace + "/secrets"

// TestSecretOfARun: a run's Secret has what its sidecar needs and nothing else of the installation's: with a user of NATS for
// runs, and without one. It belongs to the run's Job, and a second launch makes no other.
func TestSecretOfARun(t *testing.T) {
	t.Parallel()
	installation := map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "GOOGLE_APPLICATION_CREDENTIALS": "/etc/millrace/gcp.json", "gcp.json": "{}", "ca.crt": "pem",
		"MILLRACE_NATS": "tls://nats:4222", "MILLRACE_ARTIFACTS": "s3://bucket", "MILLRACE_TOKEN": "the gateway's", "tokens.yaml": "more", "other": "secret",
		"MILLRACE_NATS_CREDENTIALS": "/etc/millrace/nats.creds", "nats.creds": "creds",
	}
	store := []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "MILLRACE_ARTIFACTS", "MILLRACE_NATS", "ca.crt", "gcp.json"}
	for name, c := range map[string]struct {
		seed string
		want []string
	}{
		"a user for runs": {"SUAM", append([]string{"MILLRACE_NATS_SEED", "MILLRACE_NATS_USER"}, store...)},
		"one for all":     {"", append([]string{"MILLRACE_NATS_CREDENTIALS", "nats.creds"}, store...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := jobtest.New(t)
			data := map[string][]byte{}
			for k, v := range installation {
				data[k] = []byte(v)
			}
			api.Put(t, secrets, &corev1.Secret{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "millrace", Namespace: jobtest.Namespace}, Data: data,
			})
			s := settings
			s.Seed = c.seed
			launcher, err := job.NewJobs(api.Config(), s)
			if err != nil {
				t.Fatal(err)
			}
			r := runs()["plain"]
			for range 2 {
				if err := launcher.Launch(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			of := job.Name(r.Pipeline, r.Run)
			if names := api.Names(secrets); !slices.Equal(names, []string{"millrace", of}) {
				t.Fatalf("Secrets %q", names)
			}
			secret := api.Object(t, secrets+"/"+of)
			if o := secret.GetOwnerReferences(); len(o) != 1 || o[0].Kind != "Job" || o[0].Name != of {
				t.Errorf("it belongs to %v", o)
			}
			got, _ := secret.Object["data"].(map[string]any)
			slices.Sort(c.want)
			if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, c.want) {
				t.Errorf("it has %q, want %q", keys, c.want)
			}
			if c.seed != "" && got["MILLRACE_NATS_USER"] != base64.StdEncoding.EncodeToString([]byte("run")) {
				t.Errorf("the user is %v", got["MILLRACE_NATS_USER"])
			}
		})
	}
}
