#!/usr/bin/env bash
# Asks a running Millrace with clients that others wrote: KServe's, MLServer's
# and Triton's, each in an environment of its own (their protocol buffers have
# the same names). It installs them with uv, starts bin/millrace with a model,
# and prints what passed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
millrace=${MILLRACE:-$root/bin/millrace}
environments=${CLIENTS:-$root/bin/clients}
work=$(mktemp -d)
export MILLRACE_ONNXRUNTIME=${MILLRACE_ONNXRUNTIME:-$root/bin/lib/libonnxruntime.so}

server=
stop() {
	if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
	rm -rf "$work"
}
trap stop EXIT

for client in kserve mlserver triton openapi; do
	if [ ! -x "$environments/$client/bin/python" ]; then uv venv -q --python 3.11 "$environments/$client"; fi
	uv pip install -q --python "$environments/$client/bin/python" -r "$here/$client.txt"
done

"$millrace" up --dir "$work/data" --pipelines "$here/flights" --listen 127.0.0.1:0 --no-token >"$work/out" 2>"$work/log" &
server=$!
url=
for _ in $(seq 300); do
	url=$(grep -ohE 'http://127\.0\.0\.1:[0-9]+' "$work/out" "$work/log" | head -1 || true)
	if [ -n "$url" ]; then break; fi
	kill -0 "$server" || { cat "$work/log"; exit 1; }
	sleep 0.1
done
MILLRACE_SERVER=$url "$millrace" register flights "$root/shared/onnx/testdata/lightgbm.onnx" --name clients --wait
curl -fsS --retry 50 --retry-delay 1 --retry-all-errors -o "$work/ready" "$url/v2/models/flights/ready"

failed=0
for client in kserve mlserver triton openapi; do
	"$environments/$client/bin/python" "$here/${client}_client.py" "$url" || failed=1
done
exit "$failed"
