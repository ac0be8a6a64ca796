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
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/runspec"
)

// Labels and annotations of Jobs and their pods.
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

// ForRun returns the Job of a run. The error lists every mistake in
// train.resources, train.pod and train.env.
func ForRun(s Settings, r runspec.Run) (*batchv1.Job, error) {
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

// meta returns the name, labels and annotations of an object of a run.
func meta(s Settings, r runspec.Run, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace, Labels: labels(r), Annotations: map[string]string{AnnotationKey: r.Key}}
}

func labels(r runspec.Run) map[string]string {
	return map[string]string{"app.kubernetes.io/part-of": "millrace", LabelPipeline: r.Pipeline, LabelRun: r.Run}
}

// spec returns the Job's spec around the pod template: retries and the deadline.
func spec(s Settings, r runspec.Run, template corev1.PodTemplateSpec) batchv1.JobSpec {
	return batchv1.JobSpec{
		BackoffLimit:          new(int32(r.Train.Retries)), //nolint:gosec // at most 10
		ActiveDeadlineSeconds: new(int64((r.Train.Timeout.Std() + s.Slack).Seconds())),
		PodReplacementPolicy:  new(batchv1.Failed),
		PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
			{
				Action: batchv1.PodFailurePolicyActionFailJob,
				OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
					ContainerName: new(template.Spec.Containers[0].Name), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{runner.ExitReported},
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

// template returns the pod of an attempt, patched with train.pod.
func template(s Settings, r runspec.Run) (*corev1.PodTemplateSpec, error) {
	wanted, err := resources(r.Train.Resources)
	laid, patchErr := patched(pod(s, r, wanted), r.Train.Pod)
	if err := errors.Join(err, patchErr, noCredentials(r.Train.Env, s.Settings)); err != nil {
		return nil, err
	}
	if laid.Labels == nil {
		laid.Labels = map[string]string{}
	}
	maps.Copy(laid.Labels, labels(r))
	return laid, nil
}

// pod returns the pod of an attempt without the pipeline's patch.
func pod(s Settings, r runspec.Run, wanted corev1.ResourceRequirements) *corev1.PodTemplateSpec {
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
	ref, _ := json.Marshal(r.Spec) // strings and a number
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
					{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: Name(r.Pipeline, r.Run)}}},
				},
				VolumeMounts: []corev1.VolumeMount{run, {Name: "sidecar", MountPath: "/tmp"}, {Name: "secret", MountPath: secretFiles, ReadOnly: true}},
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
			{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: Name(r.Pipeline, r.Run)}}},
		},
	}}
}

// environment returns train.env: values, and references to Secrets.
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

// resources returns train.resources as requests and limits. The CPU has no limit:
// a trainer may use what a node has to spare.
func resources(wanted map[string]config.Quantity) (r corev1.ResourceRequirements, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		q, err := resource.ParseQuantity(string(wanted[name]))
		if err != nil {
			errs = append(errs, fmt.Errorf("train.resources: %s is %q, which is not a quantity: %w", name, wanted[name], err))
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

// patched applies train.pod to the pod, as kubectl patch does. The patch may
// change where the pod runs and what the trainer finds there, but neither the
// pod's identity nor our containers.
func patched(template *corev1.PodTemplateSpec, patch map[string]any) (*corev1.PodTemplateSpec, error) {
	if len(patch) == 0 {
		return template, nil
	}
	if err := allowed(patch); err != nil {
		return nil, err
	}
	// train.pod has the fields of the pod's spec and of its metadata side by side.
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
		return nil, fmt.Errorf("train.pod is not a patch of a pod: %w", err)
	}
	merged, err := strategicpatch.StrategicMergePatch(ours, theirs, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, fmt.Errorf("train.pod: %w", err)
	}
	var out corev1.PodTemplateSpec
	return &out, json.Unmarshal(merged, &out)
}

// allowed reports what a patch may not ask for. A pipeline that was configured
// by an earlier version, or imported, has not been asked about it before.
func allowed(patch map[string]any) error {
	var errs []error
	for _, p := range config.PodProblems(patch) {
		text := strings.TrimPrefix(p.Field, "spec.") + " " + p.Message
		if len(p.Allowed) > 0 {
			text += "; allowed: " + strings.Join(p.Allowed, ", ")
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// noCredentials refuses a train.env that refers to a Secret of the installation:
// the user's code never sees one.
func noCredentials(env map[string]config.EnvValue, credentials string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if secret, _, _ := strings.Cut(env[name].Secret, "/"); isOurs(secret, credentials) {
			errs = append(errs, fmt.Errorf("train.env.%s may not be of the Secret %s: it is the installation's", name, secret))
		}
	}
	return errors.Join(errs...)
}

func strictly(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
