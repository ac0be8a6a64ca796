package install

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// kubectl runs the program kubectl.
type kubectl struct {
	path  string
	flags []string
}

func findKubectl(o Options) (*kubectl, error) {
	name := cmp.Or(o.Kubectl, "kubectl")
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%s is not in PATH: install it (https://kubernetes.io/docs/tasks/tools), which millrace deploy uses to reach the cluster", name)
	}
	k := &kubectl{path: path}
	if o.Context != "" {
		k.flags = append(k.flags, "--context", o.Context)
	}
	if o.Kubeconfig != "" {
		k.flags = append(k.flags, "--kubeconfig", o.Kubeconfig)
	}
	return k, nil
}

// run runs kubectl with the input and returns its output. An error has what it
// wrote on standard error.
func (k *kubectl) run(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, k.path, append(args, k.flags...)...)
	var out, said bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(input), &out, &said
	err := c.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		return out.Bytes(), errors.New(text)
	}
	return out.Bytes(), fmt.Errorf("kubectl %s: %w", args[0], err)
}

// get decodes the JSON output of kubectl get.
func (k *kubectl) get(ctx context.Context, into any, args ...string) error {
	out, err := k.run(ctx, nil, append([]string{"get", "--ignore-not-found", "-o", "json"}, args...)...)
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return err
	}
	return json.Unmarshal(out, into)
}
