package job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"millrace.dev/functions/train-launcher/runspec"
)

var secrets = corev1.SchemeGroupVersion.WithResource("secrets")

// secretFiles is the folder in which a sidecar has the keys of its run's Secret as files.
const secretFiles = "/etc/millrace"

// runUser is the user of NATS that sidecars have (deploy/knative/account).
const runUser = "run"

// giveCredentials creates the Secret of a run, which goes with its owner: what its sidecar needs of the installation's Secret,
// and a NATS user that reads nothing. The pod waits for it.
func (c *cluster) giveCredentials(ctx context.Context, r runspec.Run, owner metav1.OwnerReference) error {
	var of corev1.Secret
	if _, err := c.get(ctx, secrets, c.settings.Settings, &of); err != nil {
		return err
	}
	secret := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: meta(c.settings, r, Name(r.Pipeline, r.Run)),
		Immutable:  new(true),
		Data:       credentials(of.Data, c.settings.Seed),
	}
	secret.OwnerReferences = []metav1.OwnerReference{owner}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&secret)
	if err != nil {
		return err
	}
	_, err = c.of(secrets).Create(ctx, &unstructured.Unstructured{Object: fields}, metav1.CreateOptions{FieldManager: "millrace"})
	if err != nil && !apierrors.IsAlreadyExists(err) { // a launch that was interrupted has made it
		return fmt.Errorf("make the Secret %s: %w", secret.Name, err)
	}
	return nil
}

// credentials returns what a sidecar needs of the installation's Secret: the addresses and credentials of the object store and
// of NATS, and the files that they name. Tokens of the gateway are not among it.
func credentials(of map[string][]byte, seed string) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range of {
		if sidecarNeeds(key, seed != "") {
			out[key] = value
		}
	}
	for _, key := range slices.Collect(maps.Keys(out)) {
		file, ok := strings.CutPrefix(string(out[key]), secretFiles+"/")
		if value, there := of[file]; ok && there {
			out[file] = value
		}
	}
	if seed != "" {
		out["MILLRACE_NATS_USER"], out["MILLRACE_NATS_SEED"] = []byte(runUser), []byte(seed)
	}
	return out
}

// sidecarNeeds reports whether a sidecar needs the key, which may have a user of its own in NATS.
func sidecarNeeds(key string, user bool) bool {
	switch key {
	case "MILLRACE_NATS", "MILLRACE_ARTIFACTS", "ca.crt":
		return true
	case "MILLRACE_NATS_CREDENTIALS":
		return !user
	}
	return slices.ContainsFunc([]string{"AWS_", "AZURE_", "GOOGLE_", "SSL_"}, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// isOurs reports whether a Secret has credentials of the installation: its own, those of the users of NATS, and those of runs.
func isOurs(secret, installation string) bool {
	return secret == installation || strings.HasPrefix(secret, "nats-") || strings.HasPrefix(secret, "train-")
}
