package install

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"
	"sigs.k8s.io/yaml"

	"millrace.dev/deploy/knative/account"
)

// serverSecret has what the NATS server reads: the public key of each user, and the password of the servers among each other.
const (
	serverSecret  = "nats-users"
	clusterSecret = "NATS_CLUSTER" //nolint:gosec // the name of a variable
)

// userSecret is the name of the Secret with the seed of a user of NATS. Each program's is in its own.
func userSecret(user string) string { return "nats-" + user }

// users are the users of NATS that an installation has.
type users struct {
	namespace string
	// seeds are by user, public are the variables of the server.
	seeds, public map[string]string
	// made are the users whose seeds are new; changed says that the server does not know all of public yet.
	made    []string
	changed bool
}

// usersOf reads the users of the installation, and makes those that it lacks. It changes nothing in the cluster.
func (in installation) usersOf(ctx context.Context, k *kubectl) (*users, error) {
	var there struct{ Items []object }
	if err := k.get(ctx, &there, "secrets", "-n", in.namespace, "-l", "app.kubernetes.io/component=nats-user"); err != nil {
		return nil, fmt.Errorf("read the Secrets of the NATS users: %w", err)
	}
	return completed(in.namespace, there.Items)
}

// completed returns the users that the Secrets have, and new ones for those that are missing.
func completed(namespace string, secrets []object) (*users, error) {
	u := &users{namespace: namespace, seeds: map[string]string{}, public: map[string]string{}}
	known := map[string]map[string]string{}
	for _, secret := range secrets {
		known[secret.Metadata.Name] = secret.Data
	}
	var errs []error
	for _, user := range account.Users() {
		seed, err := decode(known[userSecret(user)]["seed"])
		if err == nil && seed == "" {
			u.made = append(u.made, user)
			seed, err = newSeed()
		}
		var public string
		if err == nil {
			public, err = publicKey(seed)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("the Secret %s has no seed of an nkey (%w): delete it, and millrace deploy makes another one", userSecret(user), err))
		}
		u.seeds[user], u.public[account.Variable(user)] = seed, public
	}
	password, err := decode(known[serverSecret][clusterSecret])
	errs = append(errs, err)
	u.public[clusterSecret] = cmp.Or(password, "c"+strings.ToLower(rand.Text())) // not a number, which the server would read as one
	for name, value := range u.public {
		old, err := decode(known[serverSecret][name])
		errs = append(errs, err)
		u.changed = u.changed || old != value
	}
	return u, errors.Join(errs...)
}

func decode(value string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(value)
	return strings.TrimSpace(string(b)), err
}

func newSeed() (string, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	seed, err := key.Seed()
	return string(seed), err
}

func publicKey(seed string) (string, error) {
	key, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", err
	}
	return key.PublicKey()
}

// secrets returns the Secrets as YAML: those of new users, and the server's.
func (u *users) secrets() ([]byte, error) {
	out, err := u.secret(serverSecret, u.public)
	for _, user := range u.made {
		one, e := u.secret(userSecret(user), map[string]string{"seed": u.seeds[user]})
		out, err = slices.Concat(out, []byte("---\n"), one), errors.Join(err, e)
	}
	return out, err
}

func (u *users) secret(name string, data map[string]string) ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "stringData": data,
		"metadata": map[string]any{"name": name, "namespace": u.namespace, "labels": map[string]string{
			"app.kubernetes.io/part-of": "millrace", "app.kubernetes.io/component": "nats-user",
		}},
	})
}

// apply makes the namespace and the Secrets. It prints names and never a seed. A NATS server that runs with other keys is
// restarted, since it reads them once.
func (u *users) apply(ctx context.Context, k *kubectl, in installation, o Options) error {
	if namespace := in.document("Namespace"); namespace != nil {
		if _, err := k.run(ctx, namespace, "apply", "--server-side", "--field-manager="+FieldManager, "-f", "-"); err != nil {
			return fmt.Errorf("make the namespace: %w", err)
		}
	}
	text, err := u.secrets()
	if err != nil {
		return err
	}
	if _, err := k.run(ctx, text, "apply", "--server-side", "--force-conflicts", "--field-manager="+FieldManager, "-f", "-"); err != nil {
		return fmt.Errorf("make the Secrets of the NATS users: %w", err)
	}
	if len(u.made) > 0 {
		fmt.Fprintf(o.Progress, "made the Secrets of the NATS users %s in the namespace %s\n", strings.Join(u.made, ", "), u.namespace)
	}
	var server object
	if err := k.get(ctx, &server, "statefulset", "nats", "-n", u.namespace); err != nil || server.Metadata.Name == "" || !u.changed {
		return err
	}
	if _, err := k.run(ctx, nil, "rollout", "restart", "statefulset/nats", "-n", u.namespace); err != nil {
		return fmt.Errorf("restart NATS, which has to read the new keys: %w", err)
	}
	fmt.Fprintln(o.Progress, "NATS restarts to read the new keys; restart the programs whose Secrets you had deleted")
	return nil
}

// printKeys prints the public keys as the environment of a NATS server that is elsewhere.
func (u *users) printKeys(o Options) error {
	for _, user := range account.Users() {
		if _, err := fmt.Fprintf(o.Out, "%s=%s\n", account.Variable(user), u.public[account.Variable(user)]); err != nil {
			return err
		}
	}
	return nil
}
