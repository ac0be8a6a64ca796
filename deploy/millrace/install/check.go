package install

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The oldest supported versions.
const (
	oldestKubernetes = 30 // the minor version of 1.x
	oldestKnative    = 17 // the minor version of 1.x
)

// check returns an error for every requirement that the cluster does not meet.
func (in installation) check(ctx context.Context, k *kubectl) (problems []error) {
	if err := checkKubernetes(ctx, k); err != nil {
		return []error{err} // nothing else can be checked
	}
	knative := in.checkKnative(ctx, k)
	problems = append(problems, knative...)
	if len(knative) == 0 {
		problems = append(problems, in.checkBroker(ctx, k)...)
	}
	problems = append(problems, in.checkRights(ctx, k)...)
	problems = append(problems, in.checkSecrets(ctx, k)...)
	if strings.Contains(in.text, "registry.example.com/") {
		problems = append(problems, fmt.Errorf("the images name registry.example.com, which is a placeholder: push the images to your registry (make images), and set it in your own overlay (images:)"))
	}
	return problems
}

func checkKubernetes(ctx context.Context, k *kubectl) error {
	out, err := k.run(ctx, nil, "version", "-o", "json")
	if err != nil {
		return fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	return oldEnough(out)
}

// oldEnough checks the output of kubectl version.
func oldEnough(out []byte) error {
	var v struct {
		ServerVersion struct{ Major, Minor, GitVersion string }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return fmt.Errorf("read the cluster's version: %w", err)
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.ServerVersion.Minor, "+"))
	if err == nil && v.ServerVersion.Major == "1" && minor < oldestKubernetes {
		return fmt.Errorf("the cluster has Kubernetes %s; 1.%d or newer is required", v.ServerVersion.GitVersion, oldestKubernetes)
	}
	return nil
}

// checkKnative checks that the CRDs of Knative are installed.
func (in installation) checkKnative(ctx context.Context, k *kubectl) (problems []error) {
	var kinds []string
	for _, o := range in.objects {
		if strings.HasSuffix(o.group(), ".knative.dev") && !slices.Contains(kinds, o.resource()) {
			kinds = append(kinds, o.resource())
		}
	}
	var there struct{ Items []object }
	if err := k.get(ctx, &there, append([]string{"customresourcedefinitions"}, kinds...)...); err != nil {
		return []error{fmt.Errorf("look for Knative: %w", err)}
	}
	for _, kind := range kinds {
		i := slices.IndexFunc(there.Items, func(o object) bool { return o.Metadata.Name == kind })
		if i < 0 {
			part := "Eventing"
			if strings.Contains(kind, "serving") {
				part = "Serving"
			}
			problems = append(problems, fmt.Errorf("the cluster has no %s: install Knative %s (https://knative.dev/docs/install)", kind, part))
			continue
		}
		if version := there.Items[i].Metadata.Labels["app.kubernetes.io/version"]; older(version, oldestKnative) {
			problems = append(problems, fmt.Errorf("%s is from Knative %s; 1.%d or newer is required", kind, version, oldestKnative))
		}
	}
	return problems
}

var release = regexp.MustCompile(`^v?1\.(\d+)`)

// older reports whether a version of Knative is certainly older. The version of
// a custom build tells nothing.
func older(version string, than int) bool {
	m := release.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	minor, _ := strconv.Atoi(m[1])
	return minor < than
}

// controllers maps a broker class to its controller: a part of the name of a
// Deployment in Knative's namespace.
var controllers = map[string]string{
	"MTChannelBasedBroker": "mt-broker-controller",
	"NatsJetStreamBroker":  "natsjs",
	"Kafka":                "kafka",
}

// checkBroker checks that a controller for the broker's class is installed.
func (in installation) checkBroker(ctx context.Context, k *kubectl) (problems []error) {
	var there struct{ Items []object }
	if err := k.get(ctx, &there, "deployments", "-n", "knative-eventing"); err != nil {
		return []error{fmt.Errorf("look for the broker's controller: %w", err)}
	}
	for _, o := range in.objects {
		class := o.Metadata.Annotations["eventing.knative.dev/broker.class"]
		name, known := controllers[class]
		if o.Kind != "Broker" || !known {
			continue
		}
		if !slices.ContainsFunc(there.Items, func(d object) bool {
			return strings.Contains(strings.ReplaceAll(d.Metadata.Name, "jetstream", "js"), name)
		}) {
			problems = append(problems, fmt.Errorf("the namespace knative-eventing has no controller for brokers of the class %s: install it, or choose another class in your own overlay", class))
		}
	}
	return problems
}

// checkRights checks that the user may patch every kind of object.
func (in installation) checkRights(ctx context.Context, k *kubectl) (problems []error) {
	var asked []string
	for _, o := range in.objects {
		if slices.Contains(asked, o.resource()) {
			continue
		}
		asked = append(asked, o.resource())
		// kubectl answers "no" on standard output and by its exit code.
		out, err := k.run(ctx, nil, "auth", "can-i", "patch", o.resource(), "-n", in.namespace, "--quiet=false")
		if answer := strings.TrimSpace(string(out)); err != nil && strings.HasPrefix(answer, "no") {
			problems = append(problems, fmt.Errorf("you do not have the right to patch %s in the namespace %s", o.resource(), in.namespace))
		}
	}
	return problems
}

// checkSecrets checks the Secret millrace, which an installation needs if it
// neither has one of its own nor the NATS server of the base.
func (in installation) checkSecrets(ctx context.Context, k *kubectl) []error {
	own := func(kind string) bool {
		return slices.ContainsFunc(in.objects, func(o object) bool {
			return o.Kind == kind && (o.Metadata.Name == "millrace" || o.Metadata.Name == "nats")
		})
	}
	if own("Secret") || own("StatefulSet") {
		return nil
	}
	var secret object
	if err := k.get(ctx, &secret, "secret", "millrace", "-n", in.namespace); err != nil && !strings.Contains(err.Error(), "not found") {
		return []error{fmt.Errorf("look for the Secret millrace: %w", err)}
	}
	if secret.Metadata.Name == "" {
		return []error{fmt.Errorf("the namespace %s has no Secret millrace with the addresses of NATS and of the object store: deploy/knative/README.md describes its keys", in.namespace)}
	}
	var missing []string
	for _, key := range []string{"MILLRACE_NATS", "MILLRACE_ARTIFACTS"} {
		if secret.Data[key] == "" {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return []error{fmt.Errorf("the Secret millrace lacks %s", strings.Join(missing, " and "))}
	}
	return nil
}
