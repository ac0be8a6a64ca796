#!/usr/bin/env bash
# Makes and pushes the image that an example's trainer runs in on a cluster, without Docker: image.sh EXAMPLE. Write its
# name, which is printed last, into the pipeline's train.image.
#
#   KO_DOCKER_REPO        where to: registry.example.com/millrace. The image is .../EXAMPLE-trainer
#   MILLRACE_BASE_PYTHON  base with a `python` of the version PYTHON_VERSION (3.12), by default python:3.12-slim
#   KO_FLAGS              --insecure-registry, for a registry without TLS
#
# Needs crane and uv in PATH. The same with Docker: FROM python:3.12-slim, pip install -r requirements.txt, COPY . /app.
set -euo pipefail

: "${KO_DOCKER_REPO:?say where the image goes, such as KO_DOCKER_REPO=registry.example.com/millrace}"
cd "$(dirname "${BASH_SOURCE[0]}")"
example=${1:?which example: flights, diabetes or wine}
[[ -f $example/requirements.txt ]] || { echo "error: there is no example $example" >&2; exit 1; }
for tool in crane uv; do
	command -v $tool >/dev/null || { echo "error: $tool is not in PATH" >&2; exit 1; }
done
version=${PYTHON_VERSION:-3.12}
image=$KO_DOCKER_REPO/$example-trainer
[[ " ${KO_FLAGS:-} " == *" --insecure-registry "* ]] && insecure=--insecure || insecure=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/app/lib"
uv pip install --quiet --target "$work/app/lib" --python-version "$version" --python-platform x86_64-manylinux_2_28 \
	-r "$example/requirements.txt"
find "$example" -maxdepth 1 -type f -exec cp {} "$work/app/" \;
tar -C "$work" --owner=0 --group=0 -czf "$work/layer.tar.gz" app
crane append ${insecure:+"$insecure"} --platform linux/amd64 --base "${MILLRACE_BASE_PYTHON:-python:$version-slim}" \
	-f "$work/layer.tar.gz" -t "$image" >&2
crane mutate ${insecure:+"$insecure"} "$image" --env PYTHONPATH=/app/lib --env PYTHONDONTWRITEBYTECODE=1 --workdir /app --user 65532 -t "$image" >&2
echo "$image"
