#!/usr/bin/env bash
# Builds a release of the commit that is checked out: release.sh v0.1.0. README.md beside this file says what comes out.
#
#   PLATFORMS       what to build for, by default "linux/amd64 linux/arm64"
#   OUT             where to, by default bin/release/VERSION of the repository
#   KO_DOCKER_REPO  where images go; without it images are skipped
#   PUSH            a Git remote that gets the release's tags; they stay in OUT/release.bundle without it
#   CHECK           "no" leaves out the checks of what was built (check.sh)
#
# Needs Go, git, Python 3.11 or newer, and Debian 12's g++ (for arm64 libstdc++-12-dev-arm64-cross, for its check
# qemu-user-static), which it installs when it may. All else is pinned and gotten here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
version=${1:?say which version: make release VERSION=v0.1.0}
platforms=${PLATFORMS:-linux/amd64 linux/arm64}
out=${OUT:-$root/bin/release/$version}
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
tags=disable_grpc_modules,grpcnotrace # the Makefile's TAGS
stamp=-X=millrace.dev/shared/version.released=$version

# Those that read tables or run models link C; the others are static.
with_c=(millrace ingest validate evaluate inference replay)
without_c=(gateway train-launcher promote drift-check relay runner sidecar)
declare -A package=([millrace]=./deploy/millrace [relay]=./deploy/relay/cmd/relay [replay]=./deploy/replay/cmd/replay
	[runner]=./functions/train-launcher/cmd/runner [sidecar]=./functions/train-launcher/cmd/sidecar)
for f in ingest validate evaluate inference gateway train-launcher promote drift-check; do package[$f]=./functions/$f/cmd/$f; done

fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'try: %s\n' "$2" >&2; exit 1; }
say() { printf '== %4d s  %s\n' $SECONDS "$*"; }

cd "$root"
go run ./deploy/release changelog "$version" >/dev/null
[ -z "$(git status --porcelain)" ] || fail "the tree differs from its commit" "git status; commit what belongs to the release"
! git rev-parse -q --verify "refs/tags/$version" >/dev/null || fail "the tag $version is there already"

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out"

say "the source: modules that require each other at $version, without replacements"
# In a clone, so that nothing changes here. Author and date are those of the released commit, so that the same commit
# makes the same tags and programs again.
git clone -q . "$work/tree"
go build -o "$work/release" ./deploy/release
"$work/release" modules "$version" "$work/tree" "$out/goproxy"
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
GIT_AUTHOR_NAME=$(git log -1 --format=%an) GIT_AUTHOR_EMAIL=$(git log -1 --format=%ae) GIT_AUTHOR_DATE=$(git log -1 --format=%aI)
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
SOURCE_DATE_EPOCH=$(git log -1 --format=%at)
export SOURCE_DATE_EPOCH
(
	cd "$work/tree"
	git add -A
	git commit -q -m "release: $version" -m "The modules require each other at $version."
	mapfile -t names < <("$work/release" tags "$version" .)
	for name in "${names[@]}"; do git tag -a -m "Millrace $version" "$name"; done
	git bundle create -q "$out/release.bundle" "${names[@]}" --not HEAD~1
	printf '%s tags on commit %s\n' "${#names[@]}" "$(git rev-parse --short=10 HEAD)"
)

# The workspace of the builds, outside the clone, so that Git calls it unchanged. It also says that VERSION of each
# module is the one in the clone: Go would ask a proxy for it.
cp "$work/tree/go.work.sum" "$work/"
{
	grep '^go ' "$work/tree/go.work"
	"$work/release" tags "$version" "$work/tree" | sed -n "s#\(.*\)/$version\$#use ./tree/\1\nreplace millrace.dev/\1 $version => ./tree/\1#p"
} >"$work/go.work"
export GOWORK=$work/go.work

say "the tools"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed"
python3 -m venv "$work/tools"
python="$work/tools/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
ZIG=$("$python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')
export ZIG

# libstdcxx prints the path of GCC's static C++ library for an architecture, which it installs when it may.
libstdcxx() {
	local package
	case $1 in
	"$(uname -m)") package=libstdc++-12-dev ;;
	aarch64) package=libstdc++-12-dev-arm64-cross ;;
	x86_64) package=libstdc++-12-dev-amd64-cross ;;
	esac
	find() { local f; for f in "/usr/lib/gcc/$1-linux-gnu/12/libstdc++.a" "/usr/lib/gcc-cross/$1-linux-gnu/12/libstdc++.a"; do [ ! -f "$f" ] || { echo "$f"; return; }; done; return 1; }
	find "$1" && return
	{ [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || fail "there is no static libstdc++ of GCC 12 for $1" "apt-get install $package (Debian 12)"
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; } >&2
	find "$1"
}

# pack makes an archive that has the same bytes each time.
pack() {
	tar -C "$work/stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$1" | gzip -n6 >"$out/$1.tar.gz"
}

# licences writes the licences of all modules that a platform's programs link, and ONNX Runtime's.
licences() {
	local mod dir file
	for f in "$2"/ONNXRUNTIME-*; do printf '==== ONNX Runtime: %s\n\n' "${f##*/ONNXRUNTIME-}"; cat "$f"; done
	(cd "$work/tree" && GOOS=linux GOARCH=$1 CGO_ENABLED=1 go list -tags $tags -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "${package[@]}") |
		sort -u | while read -r mod version dir; do
		for file in "$dir"/LICEN[CS]E* "$dir"/COPYING* "$dir"/NOTICE*; do
			[ ! -f "$file" ] || { printf '\n==== %s %s: %s\n\n' "$mod" "$version" "${file##*/}"; cat "$file"; }
		done
	done
}

for platform in $platforms; do
	arch=${platform#linux/}
	case $platform in
	linux/amd64) machine=x86_64 ;;
	linux/arm64) machine=aarch64 ;;
	*) fail "nothing is built for $platform" "see deploy/release/README.md" ;;
	esac

	say "$platform: programs"
	export TARGET=$machine-linux-gnu.2.28 GLIBC=$work/glibc-$arch.o LIBSTDCXX
	LIBSTDCXX=$(libstdcxx $machine)
	"$ZIG" cc -target "$TARGET" -O2 -c -o "$GLIBC" "$here/toolchain/glibc.c"
	bin=$work/bin-$arch
	mkdir -p "$bin"
	(
		cd "$work/tree"
		# Without -g in the linker's flags: zig keeps symbols then, whatever else is said.
		export GOOS=linux GOARCH=$arch CC=$here/toolchain/cc CXX=$here/toolchain/cc CGO_CFLAGS=-O2 CGO_LDFLAGS=-O2
		build() { CGO_ENABLED=$1 go build -buildvcs=true -trimpath -tags $tags -ldflags "-s -w $stamp" -o "$bin/" "${@:2}"; }
		c=() static=()
		for p in "${with_c[@]}"; do c+=("${package[$p]}"); done
		for p in "${without_c[@]}"; do static+=("${package[$p]}"); done
		build 1 "${c[@]}"
		build 0 "${static[@]}"
	)
	shared/onnx/library.sh "$bin/lib" Linux-$machine
	licences "$arch" "$bin/lib" >"$work/THIRD-PARTY-$arch"
	rm "$bin"/lib/ONNXRUNTIME-* "$bin"/lib/libonnxruntime.so

	say "$platform: archives"
	stage() { # NAME PROGRAM...
		local to=$work/stage/$1
		mkdir -p "$to"
		(cd "$bin" && cp -r "${@:2}" lib "$to/")
		cp LICENSE README.md CHANGELOG.md "$to/"
		cp "$work/THIRD-PARTY-$arch" "$to/THIRD-PARTY"
		pack "$1"
	}
	stage "millrace-$version-linux-$arch" millrace runner
	stage "millrace-functions-$version-linux-$arch" ingest validate evaluate inference replay "${without_c[@]}"

	say "$platform: wheel"
	cp -r "$here/wheel" "$work/wheel-$arch"
	mkdir -p "$work/wheel-$arch/src/millrace/bin"
	(cd "$bin" && cp -r millrace runner lib "$work/wheel-$arch/src/millrace/bin/")
	cp LICENSE README.md "$work/wheel-$arch/"
	cp "$work/THIRD-PARTY-$arch" "$work/wheel-$arch/THIRD-PARTY"
	MILLRACE_VERSION=$version MILLRACE_WHEEL_TAG=py3-none-manylinux_2_28_$machine \
		"$python" -m build --wheel --no-isolation --outdir "$out" "$work/wheel-$arch" >"$work/wheel.log" 2>&1 || { cat "$work/wheel.log" >&2; exit 1; }

	say "$platform: what is in it (CycloneDX)"
	for p in millrace "${with_c[@]:1}" "${without_c[@]}"; do
		[ "$arch" = amd64 ] || [ "$p" = millrace ] || continue # the functions' modules are the same on both
		GOWORK=off GOFLAGS='' go run $cyclonedx bin -json -noserial -version "$version" -output "$out/$p-$version-linux-$arch.cdx.json" "$bin/$p" 2>"$work/sbom.log" || { cat "$work/sbom.log" >&2; exit 1; }
		# A workspace's own modules have no version there.
		sed -i "s#(devel)#$version#" "$out/$p-$version-linux-$arch.cdx.json"
	done
done

if [ -n "${KO_DOCKER_REPO:-}" ]; then
	say "images"
	(
		cd "$work/tree"
		sed "s#dflags: \[\"-s\", \"-w\"#&, \"$stamp\"#" .ko.yaml >"$work/.ko.yaml"
		export KO_CONFIG_PATH=$work/.ko.yaml GOFLAGS=-buildvcs=true KO_FLAGS="${KO_FLAGS:-} --tags=$version,latest" PATH="$(go env GOPATH)/bin:$PATH"
		deploy/knative/images.sh | tee "$work/images.log"
		grep @sha256: "$work/images.log" >"$out/images.txt"
	)
else
	say "images: skipped, KO_DOCKER_REPO is not set"
fi

(cd "$out" && sha256sum ./*.tar.gz ./*.whl ./*.cdx.json ./release.bundle | sed 's#\./##' >SHA256SUMS)
if [ "${CHECK:-yes}" != no ]; then "$here/check.sh" "$version" "$out"; fi

if [ -n "${PUSH:-}" ]; then
	say "tags to $PUSH"
	url=$(git remote get-url --push "$PUSH")
	(cd "$work/tree" && git push -q --atomic "$url" --tags)
else
	say "tags: in release.bundle; PUSH is not set. git fetch $out/release.bundle 'refs/tags/*:refs/tags/*' brings them here"
fi
say "done: $out"
(cd "$out" && ls -l | awk 'NR > 1 { printf "%8.1f MB  %s\n", $5 / 1e6, $NF }')
