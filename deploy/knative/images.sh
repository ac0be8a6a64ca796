#!/usr/bin/env bash
# Builds and pushes every image of an installation with ko: images.sh [NAME...], by default all, with nats and versitygw,
# which the overlay local runs beside and takes from the same registry.
#
#   KO_DOCKER_REPO      where to: registry.example.com/millrace. Names are those of the manifests: .../ingest, .../relay
#   MILLRACE_BASE       base of the static programs; ko's own default (a static one that runs as 65532) when unset
#   MILLRACE_BASE_GLIBC base of those that load ONNX Runtime, gcr.io/distroless/cc-debian12:nonroot by default: it needs
#                       the C and C++ libraries. The library becomes one layer above it, pushed as .../onnxruntime
#   KO_FLAGS            more for ko: --insecure-registry, --platform=linux/amd64,linux/arm64 (static programs only)
#
# Needs ko and crane in PATH.
set -euo pipefail

: "${KO_DOCKER_REPO:?say where the images go, such as KO_DOCKER_REPO=registry.example.com/millrace}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for tool in ko crane; do
	command -v $tool >/dev/null || { echo "error: $tool is not in PATH
try: go install github.com/google/ko@v0.19.1; go install github.com/google/go-containerregistry/cmd/crane@v0.22.1" >&2; exit 1; }
done
read -ra flags <<<"${KO_FLAGS:-}"
[[ " ${flags[*]} " == *" --insecure-registry "* ]] && insecure=--insecure || insecure=

declare -A programs=([relay]=./deploy/relay/cmd/relay [replay]=./deploy/replay/cmd/replay [runner]=./functions/train-launcher/cmd/runner
	[sidecar]=./functions/train-launcher/cmd/sidecar)
for dir in functions/*/cmd; do
	name=$(basename "$(dirname "$dir")")
	programs[$name]=./functions/$name/cmd/$name
done

# onnxruntime pushes the base that has ONNX Runtime where functions look for it, and prints its name.
onnxruntime() {
	local work
	work=$(mktemp -d)
	mkdir -p "$work/root/usr/local/lib"
	shared/onnx/library.sh "$work/lib" >&2
	cp -L "$work/lib/libonnxruntime.so" "$work/root/usr/local/lib/libonnxruntime.so"
	tar -C "$work/root" --owner=0 --group=0 --mtime=@0 -cf "$work/layer.tar" .
	crane append ${insecure:+"$insecure"} --base "${MILLRACE_BASE_GLIBC:-gcr.io/distroless/cc-debian12:nonroot}" \
		-f "$work/layer.tar" -t "$KO_DOCKER_REPO/onnxruntime" >&2
	crane mutate ${insecure:+"$insecure"} "$KO_DOCKER_REPO/onnxruntime" \
		--env MILLRACE_ONNXRUNTIME=/usr/local/lib/libonnxruntime.so --user 65532 -t "$KO_DOCKER_REPO/onnxruntime" >&2
	rm -rf "$work"
	echo "$KO_DOCKER_REPO/onnxruntime"
}

names=("$@")
((${#names[@]})) || mapfile -t names < <(printf '%s\n' "${!programs[@]}" nats versitygw | sort)
glibc=

# size prints what the registry has of an image.
size() {
	printf '%-16s %6.1f MB compressed\n' "$1" "$(crane manifest ${insecure:+"$insecure"} --platform linux/amd64 "$KO_DOCKER_REPO/$1" |
		python3 -c 'import json, sys; m = json.load(sys.stdin); print((sum(l["size"] for l in m["layers"]) + m["config"]["size"]) / 1e6)')"
}

# beside builds a program of another project, of the version that a module here has.
beside() {
	(cd "$2" && GOWORK=off KO_DOCKER_REPO="$KO_DOCKER_REPO/$1" env -u KO_CONFIG_PATH ${MILLRACE_BASE:+KO_DEFAULTBASEIMAGE="$MILLRACE_BASE"} \
		ko build --bare "${flags[@]}" "$3")
	size "$1"
}

for name in "${names[@]}"; do
	case $name in
	nats) beside nats deploy/e2e github.com/nats-io/nats-server/v2; continue ;;
	versitygw) beside versitygw deploy/e2e/versitygw github.com/versity/versitygw/cmd/versitygw; continue ;;
	esac
	[[ -n ${programs[$name]:-} ]] || { echo "error: there is no program $name; there are ${!programs[*]}" >&2; exit 1; }
	base=${MILLRACE_BASE:-}
	if grep -qs '^github.com/yalue/onnxruntime_go ' "${programs[$name]%/cmd/*}/deps.txt"; then
		glibc=${glibc:-$(onnxruntime)}
		base=$glibc
	fi
	env ${base:+KO_DEFAULTBASEIMAGE="$base"} ko build --base-import-paths "${flags[@]}" "${programs[$name]}"
	size "$name"
done
