#!/usr/bin/env bash
# Installs Millrace on the cluster of KUBECONFIG, in a namespace of its own, and tests the whole chain there. The images are
# built first, with those of the programs beside, and pushed to the registry that the overlay local takes them from; see
# deploy/knative/images.sh for the bases.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

if [[ -z ${KUBECONFIG:-} ]]; then
	echo "skipped: there is no cluster; set KUBECONFIG to run this on one"
	exit
fi
export KO_DOCKER_REPO=registry.localhost:5000/millrace
deploy/knative/images.sh
ko build --base-import-paths ./deploy/e2e/knative/trainer >/dev/null

cd deploy/e2e
MILLRACE_E2E_CLUSTER=1 GOWORK=off go test -count=1 -timeout 45m -v -run TestCluster ./knative
