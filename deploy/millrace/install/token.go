package install

import (
	"context"
	"fmt"
	"io"
	"slices"

	"sigs.k8s.io/yaml"

	"millrace.dev/shared/access"
)

// The Secret with the token that the first installation makes. A token in the
// Secret millrace goes before it.
const (
	tokenSecret = "millrace-token"
	tokenKey    = "MILLRACE_TOKEN"
)

// makeToken makes the installation's token unless there is one: without it the
// gateway answers health only. The token itself is not printed.
func (in installation) makeToken(ctx context.Context, k *kubectl, progress io.Writer) error {
	own := func(o object) bool { return o.Kind == "Secret" && o.Data[tokenKey] != "" }
	if slices.ContainsFunc(in.objects, own) {
		return nil
	}
	var there struct{ Items []object }
	if err := k.get(ctx, &there, "secrets", "-n", in.namespace); err != nil {
		return fmt.Errorf("look for the installation's token: %w", err)
	}
	if hasToken(there.Items) {
		return nil
	}
	text, err := newTokenSecret(in.namespace)
	if err != nil {
		return err
	}
	if _, err := k.run(ctx, text, "apply", "--server-side", "--field-manager="+FieldManager, "-f", "-"); err != nil {
		return fmt.Errorf("make the Secret %s: %w", tokenSecret, err)
	}
	fmt.Fprintf(progress, "made the installation's token. It is read by: kubectl get secret %s -n %s -o jsonpath={.data.%s} | base64 -d\n", tokenSecret, in.namespace, tokenKey)
	return nil
}

// hasToken reports whether one of the Secrets that functions read has a token.
func hasToken(secrets []object) bool {
	return slices.ContainsFunc(secrets, func(s object) bool {
		if s.Metadata.Name != "millrace" && s.Metadata.Name != tokenSecret {
			return false
		}
		return s.Data[tokenKey] != "" || s.Data["MILLRACE_TOKEN_FILE"] != "" || s.Data["MILLRACE_ACCESS_FILE"] != ""
	})
}

// newTokenSecret returns a Secret with a new token, as YAML.
func newTokenSecret(namespace string) ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "stringData": map[string]string{tokenKey: access.NewToken()},
		"metadata": map[string]any{"name": tokenSecret, "namespace": namespace, "labels": map[string]string{"app.kubernetes.io/part-of": "millrace"}},
	})
}
