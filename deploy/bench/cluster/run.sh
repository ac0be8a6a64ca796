#!/usr/bin/env bash
# Runs the bench in the installation's namespace and prints what it measured, and what the installation takes when idle:
# run.sh [flags of the bench]. Needs kubectl, ko, KUBECONFIG and KO_DOCKER_REPO, and a running installation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
namespace=${NAMESPACE:-millrace}
k() { kubectl -n "$namespace" "$@"; }

k delete job bench --ignore-not-found >/dev/null
trap 'k delete ksvc,trigger,service,serviceaccount,role,rolebinding,networkpolicy,job -l app.kubernetes.io/part-of=millrace-bench --wait=false >/dev/null' EXIT
ko resolve --base-import-paths ${KO_FLAGS:-} -f deploy/bench/cluster/bench.yaml 2>/dev/null | k apply -f - >/dev/null
k wait --for=condition=Ready ksvc/bench-hello trigger/bench-hello trigger/bench --timeout=180s >/dev/null
k wait --for=condition=Ready pod -l app.kubernetes.io/name=bench --timeout=120s >/dev/null
k logs -f job/bench

echo
echo "what runs when no event comes:"
node=$(kubectl get node -o name | head -1)
kubectl get --raw "/api/v1/nodes/${node#node/}/proxy/stats/summary" | python3 -c '
import json, sys
for pod in json.load(sys.stdin)["pods"]:
    ref = pod["podRef"]
    if ref["namespace"] == "'"$namespace"'" and ref["name"].startswith(("relay", "nats", "apiserversource")):
        print("%-40s %6.1f MB" % (ref["name"], sum(c["memory"].get("workingSetBytes", 0) for c in pod["containers"]) / 1e6))
'
