#!/usr/bin/env bash
# Tries what release.sh built as a user would: check.sh VERSION FOLDER. DEMO=no leaves out the demo.
set -euo pipefail
version=$1 out=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
say() { printf '== %4d s  check: %s\n' $SECONDS "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
host=$(go env GOARCH)

say "checksums"
(cd "$out" && sha256sum --quiet -c SHA256SUMS)

say "archives: which glibc is needed, and that each program starts"
for archive in "$out"/millrace-*.tar.gz; do
	mkdir "$work/a"
	tar -C "$work/a" --strip-components=1 -xzf "$archive"
	newest=$(cd "$work/a" && python3 - <<'P'
import pathlib, re
found = {tuple(map(int, m.split(b"."))) for p in pathlib.Path(".").rglob("*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"
         for m in re.findall(rb"\0GLIBC_([0-9]+\.[0-9]+)(?=[\0.])", p.read_bytes())}
print(".".join(map(str, max(found))))
P
	)
	[ "$(printf '%s\n2.28\n' "$newest" | sort -V | tail -1)" = 2.28 ] || fail "$archive needs glibc $newest, not 2.28"
	arch=${archive##*-linux-} arch=${arch%.tar.gz} run=
	if [ "$arch" != "$host" ]; then
		run=$(command -v "qemu-$([ "$arch" = arm64 ] && echo aarch64 || echo x86_64)-static" || true)
		[ -n "$run" ] || { echo "$(basename "$archive"): glibc $newest at least; not started, there is no qemu-user-static"; rm -r "$work/a"; continue; }
		run="$run -L /usr/aarch64-linux-gnu"
	fi
	for program in "$work"/a/*; do
		[ -f "$program" ] || continue
		name=$(basename "$program")
		case $name in
		runner | sidecar) continue ;; # they have no --version
		millrace) said=$($run "$program" version) ;;
		*) [ "$(head -c4 "$program" | tail -c3)" = ELF ] || continue; said=$($run "$program" --version) ;;
		esac
		[[ $said == "$name $version (commit "* ]] || fail "$name of $archive says: $said"
	done
	echo "$(basename "$archive"): glibc $newest at least; $said"
	rm -r "$work/a"
done

say "go install millrace.dev/...@$version through a module proxy"
# A module cache of its own, which takes what it can from the files that were downloaded before.
(
	cd "$work"
	export GOMODCACHE=$work/mod GOBIN=$work/gobin GONOSUMDB=millrace.dev GOFLAGS="-modcacherw -trimpath" GOWORK=off
	GOPROXY="file://$out/goproxy,file://$(GOMODCACHE='' go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
	export GOPROXY
	go install "millrace.dev/deploy/millrace@$version"
	go install "millrace.dev/functions/train-launcher/cmd/runner@$version"
	said=$("$GOBIN/millrace" version)
	[[ $said == "millrace $version ("* ]] || fail "the installed millrace says: $said"
	echo "$said"
)

say "the wheel in a fresh environment"
wheel=$(ls "$out"/millrace-*_"$(uname -m)".whl)
begin=$SECONDS
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel"
said=$("$work/venv/bin/millrace" version)
[[ $said == "millrace $version (commit "* ]] || fail "the wheel's millrace says: $said"
if [ "${DEMO:-yes}" != no ]; then
	# Neither Go nor a C compiler nor another Python is in PATH.
	mkdir "$work/path" "$work/home"
	for tool in sh cat cksum ln readlink rm dirname; do ln -s "$(command -v $tool)" "$work/path/$tool"; done
	(cd "$work/home" && env -i HOME="$work/home" PATH="$work/path" "$work/venv/bin/millrace" demo --listen 127.0.0.1:0 >"$out/demo.log" 2>&1) ||
		{ tail -n 30 "$out/demo.log" >&2; fail "the demo of the wheel failed"; }
	tail -n 1 "$out/demo.log"
fi
echo "install and demo: $((SECONDS - begin)) s"
