package config

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// podOf reads a train.pod as a pipeline's file has it.
func podOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var pod map[string]any
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// A pipeline says where its pod runs and what it takes. Who the pod is, what
// reaches it and what of the installation it sees is refused, by its path.
func TestPodRefuses(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		"shareProcessNamespace: true":                                              "shareProcessNamespace",
		"hostAliases: [{ip: 203.0.113.9, hostnames: [nats, s3]}]":                  "hostAliases",
		"dnsConfig: {nameservers: [203.0.113.9]}":                                  "dnsConfig",
		"dnsPolicy: None":                                                          "dnsPolicy",
		"labels: {app.kubernetes.io/name: nats}":                                   `labels["app.kubernetes.io/name"]`,
		"labels: {eventing.knative.dev/broker: default}":                           `labels["eventing.knative.dev/broker"]`,
		"labels: {serving.knative.dev/service: evaluate}":                          `labels["serving.knative.dev/service"]`,
		"labels: {app: nats}":                                                      "labels.app",
		"annotations: {millrace.dev/run-key: x}":                                   `annotations["millrace.dev/run-key"]`,
		"annotations: {k8s.v1.cni.cncf.io/networks: x}":                            `annotations["k8s.v1.cni.cncf.io/networks"]`,
		"metadata: {labels: {app: nats}}":                                          "metadata.labels.app",
		"metadata: {name: x}":                                                      "metadata.name",
		"volumes: [{name: l, persistentVolumeClaim: {claimName: data-nats-0}}]":    "volumes[0].persistentVolumeClaim.claimName",
		"volumes: [{name: l, secret: {secretName: other}}]":                        "volumes[0].secret",
		"volumes: [{name: l, projected: {sources: [{secret: {name: millrace}}]}}]": "volumes[0].projected",
		"volumes: [{name: l, csi: {driver: secrets-store.csi.k8s.io}}]":            "volumes[0].csi",
		"volumes: [{name: l, nfs: {server: 203.0.113.9, path: /}}]":                "volumes[0].nfs",
		"volumes: [{name: l, flexVolume: {driver: x/y}}]":                          "volumes[0].flexVolume",
		"volumes: [{name: l, hostPath: {path: /}}]":                                "volumes[0].hostPath",
		"volumes: [{name: run, emptyDir: {}}]":                                     "volumes[0].name",
		"volumes: [{name: l, ephemeral: {volumeClaimTemplate: {spec: {dataSource: {kind: PersistentVolumeClaim, name: data-nats-0}}}}}]": "volumes[0].ephemeral.volumeClaimTemplate.spec.dataSource",
		"volumes: [{$patch: replace}]":                      "volumes[0].$patch",
		"volumes: null":                                     "volumes",
		"$setElementOrder/initContainers: [{name: runner}]": "$setElementOrder/initContainers",
		"affinity: {$patch: replace}":                       "affinity.$patch",
		"ephemeralContainers: [{name: x, image: evil, targetContainerName: sidecar}]":       "ephemeralContainers",
		"initContainers: [{name: sidecar, image: evil}]":                                    "initContainers",
		"priorityClassName: system-cluster-critical":                                        "priorityClassName",
		"runtimeClassName: runc-privileged":                                                 "runtimeClassName",
		"nodeName: control-plane":                                                           "nodeName",
		"hostUsers: true":                                                                   "hostUsers",
		"hostNetwork: true":                                                                 "hostNetwork",
		"serviceAccountName: admin":                                                         "serviceAccountName",
		"automountServiceAccountToken: true":                                                "automountServiceAccountToken",
		"terminationGracePeriodSeconds: 999999":                                             "terminationGracePeriodSeconds",
		"activeDeadlineSeconds: 1":                                                          "activeDeadlineSeconds",
		"imagePullSecrets: [{name: other}]":                                                 "imagePullSecrets",
		"securityContext: {runAsUser: 0}":                                                   "securityContext.runAsUser",
		"securityContext: null":                                                             "securityContext",
		"spec: {hostPID: true}":                                                             "spec.hostPID",
		"containers: [{name: sidecar, resources: {}}]":                                      "containers[0].name",
		"containers: [{name: trainer, env: [{name: LD_PRELOAD, value: /x.so}]}]":            "containers[0].env",
		"containers: [{name: trainer, envFrom: [{secretRef: {name: other}}]}]":              "containers[0].envFrom",
		"containers: [{name: trainer, lifecycle: {postStart: {exec: {command: [id]}}}}]":    "containers[0].lifecycle",
		"containers: [{name: trainer, ports: [{containerPort: 80, hostPort: 80}]}]":         "containers[0].ports",
		"containers: [{name: trainer, volumeDevices: [{name: l, devicePath: /dev/x}]}]":     "containers[0].volumeDevices",
		"containers: [{name: trainer, securityContext: {privileged: true}}]":                "containers[0].securityContext.privileged",
		"containers: [{name: trainer, securityContext: {capabilities: {add: [ALL]}}}]":      "containers[0].securityContext.capabilities",
		"containers: [{name: trainer, image: evil}]":                                        "containers[0].image",
		"containers: [{name: trainer, volumeMounts: [{name: run, mountPath: /r}]}]":         "containers[0].volumeMounts[0].name",
		"containers: [{name: trainer, volumeMounts: [{name: bin, mountPath: /w}]}]":         "containers[0].volumeMounts[0].name",
		"spec: {containers: [{name: trainer, volumeMounts: [{name: bin, mountPath: /w}]}]}": "spec.containers[0].volumeMounts[0].name",
		"{volumes: [{name: l, emptyDir: {}}], containers: [{name: trainer, volumeMounts: [{name: l, mountPath: /millrace/bin}]}]}": "containers[0].volumeMounts[0].mountPath",
		"{volumes: [{name: l, emptyDir: {}}], containers: [{name: trainer, volumeMounts: [{name: l, mountPath: /}]}]}":             "containers[0].volumeMounts[0].mountPath",
		"containers: [{name: trainer, volumeMounts: null}]":                                                                        "containers[0].volumeMounts",
		"tolerations: [{key: null}]": "tolerations[0].key",
	} {
		problems := PodProblems(podOf(t, text))
		if len(problems) != 1 || strings.TrimPrefix(strings.TrimPrefix(problems[0].Field, "spec.train.pod"), ".") != field &&
			problems[0].Field != join("spec.train.pod", field) || problems[0].Message == "" {
			t.Errorf("%s\nhas the problems\n%v\nwant one of %s", text, problems, field)
		}
	}
}

func TestPodTakes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{}",
		"{nodeSelector: {disk: ssd}, tolerations: [{key: gpu, operator: Exists}], priorityClassName: batch, schedulerName: volcano}",
		"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: Exists}]}]}}}",
		"{labels: {team: risk, example.com/cost: a}, annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: 'false', note: x}}",
		"{volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 1Gi}}], containers: [{name: trainer, volumeMounts: [{name: shm, mountPath: /dev/shm}]}]}",
		"{volumes: [{name: d, persistentVolumeClaim: {claimName: train-images, readOnly: true}}], containers: [{name: trainer, volumeMounts: [{name: d, mountPath: /data, readOnly: true}]}]}",
		"volumes: [{name: s, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}}}}]",
		"{securityContext: {runAsNonRoot: true}, hostUsers: false, containers: [{name: trainer, securityContext: {readOnlyRootFilesystem: true}, resources: {limits: {cpu: '2'}}}]}",
		"{metadata: {labels: {team: risk}}, spec: {nodeSelector: {disk: ssd}}}",
	} {
		if problems := PodProblems(podOf(t, text)); len(problems) > 0 {
			t.Errorf("%s\nhas the problems\n%v", text, problems)
		}
	}
}

// A pipeline's file is refused with the line and what may stand there.
func TestPodInFile(t *testing.T) {
	t.Parallel()
	files := sample()
	at := strings.Index(files[FileName], "  train:")
	if at < 0 {
		t.Fatalf("the sample has no train:\n%s", files[FileName])
	}
	files[FileName] = files[FileName][:at] + "  train: {command: [x], pod: {nodeSelektor: {disk: ssd}}}\n"
	_, err := Load(folder(t, files))
	if err == nil || !strings.Contains(err.Error(), `spec.train.pod.nodeSelektor: is not for a pipeline to set; allowed: affinity, `) || !strings.Contains(err.Error(), `did you mean "nodeSelector"?`) {
		t.Errorf("got %v", err)
	}
}
