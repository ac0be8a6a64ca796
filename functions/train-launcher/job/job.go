package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"millrace.dev/config"
	"millrace.dev/functions/train-launcher/order"
	"millrace.dev/functions/train-launcher/runner"
)

// Labels and annotations by which Jobs and their pods are found.
const (
	LabelPipeline = "millrace.dev/pipeline"
	LabelRun      = "millrace.dev/run"
	AnnotationKey = "millrace.dev/run-key"
	labelQueue    = "kueue.x-k8s.io/queue-name"
)

// Names of the pod's containers.
const (
	trainer = "trainer"
	sidecar = "sidecar"
	install = "runner"
)

// Name is the name of a run's Job: the same for each launch of it.
func Name(pipeline, run string) string {
	const most = 63 - len("train--")
	return "train-" + strings.TrimRight(pipeline[:min(len(pipeline), most-len(run))], "-") + "-" + run
}

// ForRun makes the Job of a run. What the pipeline's file asks for and cannot
// get is reported at once: train.resources, train.pod.
func ForRun(s Settings, r order.Run) (*batchv1.Job, error) {
	template, err := template(s, r)
	if err != nil {
		return nil, err
	}
	j := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: meta(s, r, Name(r.Pipeline, r.Run)),
		Spec:       spec(s, r, *template),
	}
	j.Spec.TTLSecondsAfterFinished = new(int32(s.TTL.Seconds()))
	if s.Queue != "" {
		j.Labels[labelQueue] = s.Queue
		j.Spec.Suspend = new(true) // until Kueue admits it
	}
	return j, nil
}

// meta is what an object of a run is found by.
func meta(s Settings, r order.Run, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace, Labels: labels(r), Annotations: map[string]string{AnnotationKey: r.Key}}
}

func labels(r order.Run) map[string]string {
	return map[string]string{"app.kubernetes.io/part-of": "millrace", LabelPipeline: r.Pipeline, LabelRun: r.Run}
}

// spec is what holds for the pods of a run: how many may die, and until when.
func spec(s Settings, r order.Run, template corev1.PodTemplateSpec) batchv1.JobSpec {
	return batchv1.JobSpec{
		BackoffLimit:          new(int32(r.Train.Retries)), //nolint:gosec // at most 10
		ActiveDeadlineSeconds: new(int64((r.Train.Timeout.Std() + s.Slack).Seconds())),
		PodReplacementPolicy:  new(batchv1.Failed),
		PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
			{
				Action: batchv1.PodFailurePolicyActionFailJob,
				OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
					ContainerName: new(template.Spec.Containers[0].Name), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{runner.ExitTold},
				},
			},
			{
				Action:          batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
			},
		}},
		Template: template,
	}
}

// template is the pod of an attempt, with the pipeline's patch laid over it.
func template(s Settings, r order.Run) (*corev1.PodTemplateSpec, error) {
	wanted, err := resources(r.Train.Resources)
	laid, patchErr := patched(pod(s, r, wanted), r.Train.Pod, s.Settings)
	if err := errors.Join(err, patchErr, noCredentials(r.Train.Env, s.Settings)); err != nil {
		return nil, err
	}
	if laid.Labels == nil {
		laid.Labels = map[string]string{}
	}
	maps.Copy(laid.Labels, labels(r))
	return laid, nil
}

// pod is the pod of an attempt, as it is without the pipeline's patch.
func pod(s Settings, r order.Run, wanted corev1.ResourceRequirements) *corev1.PodTemplateSpec {
	restricted := func() *corev1.SecurityContext {
		return &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	ours := restricted()
	ours.ReadOnlyRootFilesystem = new(true)
	small := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
	bin := corev1.VolumeMount{Name: "bin", MountPath: "/millrace/bin"}
	binRead := bin
	binRead.ReadOnly = true
	run := corev1.VolumeMount{Name: "run", MountPath: "/millrace/run"}
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	optional := new(true)
	ref, _ := json.Marshal(r.Order) // strings and a number
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: s.ServiceAccount,
		AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)), FSGroup: new(int64(65532)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers: []corev1.Container{
			{
				Name: install, Image: s.RunnerImage, Args: []string{"install", bin.MountPath},
				VolumeMounts: []corev1.VolumeMount{bin}, Resources: small, SecurityContext: ours,
			},
			{
				Name: sidecar, Image: s.SidecarImage, Args: []string{run.MountPath},
				RestartPolicy: new(corev1.ContainerRestartPolicyAlways),
				Env:           []corev1.EnvVar{{Name: "MILLRACE_ORDER", Value: string(ref)}},
				EnvFrom: []corev1.EnvFromSource{
					{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.Settings}}},
					{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.Settings}, Optional: optional}},
				},
				VolumeMounts: []corev1.VolumeMount{run, {Name: "sidecar", MountPath: "/tmp"}, {Name: "secret", MountPath: "/etc/millrace", ReadOnly: true}},
				Resources:    small, SecurityContext: ours,
			},
		},
		Containers: []corev1.Container{{
			Name: trainer, Image: r.Image, Command: []string{"/millrace/bin/runner", "pod", run.MountPath},
			Env: environment(r.Train.Env), Resources: wanted, SecurityContext: restricted(),
			VolumeMounts: []corev1.VolumeMount{binRead, run, {Name: "home", MountPath: "/millrace/home"}},
		}},
		Volumes: []corev1.Volume{
			{Name: "bin", VolumeSource: empty}, {Name: "run", VolumeSource: empty}, {Name: "home", VolumeSource: empty}, {Name: "sidecar", VolumeSource: empty},
			{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: s.Settings, Optional: optional}}},
		},
	}}
}

// environment is train.env: texts, and references to Secrets, whose values go
// nowhere else.
func environment(env map[string]config.EnvValue) []corev1.EnvVar {
	out := []corev1.EnvVar{{Name: "HOME", Value: "/millrace/home"}}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		v := corev1.EnvVar{Name: name, Value: env[name].Value}
		if secret, key, ok := strings.Cut(env[name].Secret, "/"); ok {
			v.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}}
		}
		out = append(out, v)
	}
	return out
}

// resources are train.resources, asked for and not exceeded; of processors a
// trainer may have more when a node has them to spare.
func resources(wanted map[string]config.Quantity) (r corev1.ResourceRequirements, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		q, err := resource.ParseQuantity(string(wanted[name]))
		if err != nil {
			errs = append(errs, fmt.Errorf("train.resources: %s is %q, which is no quantity: %w", name, wanted[name], err))
			continue
		}
		if r.Requests == nil {
			r.Requests, r.Limits = corev1.ResourceList{}, corev1.ResourceList{}
		}
		r.Requests[corev1.ResourceName(name)] = q
		if name != string(corev1.ResourceCPU) {
			r.Limits[corev1.ResourceName(name)] = q
		}
	}
	return r, errors.Join(errs...)
}

// patched lays train.pod over the pod, as kubectl patch does. The patch is for
// where the pod runs and what the trainer finds there; who the pod is and what
// our containers do is not its to change.
func patched(template *corev1.PodTemplateSpec, patch map[string]any, credentials string) (*corev1.PodTemplateSpec, error) {
	if len(patch) == 0 {
		return template, nil
	}
	// The pipeline's file names the pod's fields at once; metadata is beside them.
	laid := map[string]any{"spec": map[string]any{}}
	spec := laid["spec"].(map[string]any) //nolint:forcetypeassert // made above
	for name, v := range patch {
		switch name {
		case "metadata", "spec":
			laid[name] = v
		case "labels", "annotations":
			laid["metadata"] = map[string]any{name: v}
		default:
			spec[name] = v
		}
	}
	ours, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	theirs, err := json.Marshal(laid)
	if err != nil {
		return nil, fmt.Errorf("train.pod: %w", err)
	}
	var wanted corev1.PodTemplateSpec
	if err := strictly(theirs, &wanted); err != nil {
		return nil, fmt.Errorf("train.pod is no patch of a pod: %w", err)
	}
	if err := errors.Join(allowed(wanted), withoutCredentials(wanted.Spec, credentials)); err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(ours, theirs, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, fmt.Errorf("train.pod: %w", err)
	}
	var out corev1.PodTemplateSpec
	return &out, json.Unmarshal(merged, &out)
}

// allowed reports what a patch may not ask for.
func allowed(wanted corev1.PodTemplateSpec) error {
	spec := wanted.Spec
	var errs []error
	for _, no := range []struct {
		field string
		asked bool
	}{
		{"serviceAccountName", spec.ServiceAccountName != "" || spec.DeprecatedServiceAccount != ""},
		{"automountServiceAccountToken", spec.AutomountServiceAccountToken != nil},
		{"securityContext", spec.SecurityContext != nil},
		{"restartPolicy", spec.RestartPolicy != ""},
		{"initContainers", spec.InitContainers != nil},
		{"hostNetwork, hostPID and hostIPC", spec.HostNetwork || spec.HostPID || spec.HostIPC},
	} {
		if no.asked {
			errs = append(errs, fmt.Errorf("train.pod may not set %s: it is the installation's", no.field))
		}
	}
	for _, c := range spec.Containers {
		if c.Name != trainer {
			errs = append(errs, fmt.Errorf("train.pod may change the container %s alone, not %q", trainer, c.Name))
		} else if c.Command != nil || c.Args != nil || c.Image != "" || c.SecurityContext != nil {
			errs = append(errs, fmt.Errorf("train.pod may not set command, args, image or securityContext of the container %s: train.command and train.image say them", trainer))
		}
	}
	for _, v := range spec.Volumes {
		if v.HostPath != nil {
			errs = append(errs, fmt.Errorf("train.pod may not mount the node's folder %s", v.HostPath.Path))
		}
		if slices.Contains([]string{"bin", "run", "home", "sidecar", "secret"}, v.Name) {
			errs = append(errs, fmt.Errorf("train.pod may not replace the volume %s", v.Name))
		}
	}
	return errors.Join(errs...)
}

// noCredentials refuses secrets of the trainer's that are the installation's:
// the user's code never sees them.
func noCredentials(env map[string]config.EnvValue, credentials string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if secret, _, _ := strings.Cut(env[name].Secret, "/"); secret == credentials {
			errs = append(errs, fmt.Errorf("train.env.%s may not be of the Secret %s: it is the installation's", name, secret))
		}
	}
	return errors.Join(errs...)
}

// withoutCredentials refuses a patch that would show the trainer what the
// sidecar has.
func withoutCredentials(spec corev1.PodSpec, credentials string) error {
	var asked bool
	for _, v := range spec.Volumes {
		asked = asked || v.Secret != nil && v.Secret.SecretName == credentials
		if v.Projected != nil {
			asked = asked || slices.ContainsFunc(v.Projected.Sources, func(p corev1.VolumeProjection) bool {
				return p.Secret != nil && p.Secret.Name == credentials || p.ServiceAccountToken != nil
			})
		}
	}
	for _, c := range spec.Containers {
		asked = asked ||
			slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "secret" || m.Name == "sidecar" }) ||
			slices.ContainsFunc(c.EnvFrom, func(e corev1.EnvFromSource) bool { return e.SecretRef != nil && e.SecretRef.Name == credentials }) ||
			slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
				return e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == credentials
			})
	}
	if asked {
		return fmt.Errorf("train.pod may not show the trainer the Secret %s, or a token: it is the installation's", credentials)
	}
	return nil
}

func strictly(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
