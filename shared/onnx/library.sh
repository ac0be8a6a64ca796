#!/bin/sh
# Puts libonnxruntime into a folder: library.sh [FOLDER [PLATFORM]], by default bin/lib of the repository and the
# platform that it runs on; PLATFORM is what uname says, such as Linux-aarch64.
#
# The library is taken from the Python wheel of ONNX Runtime, the only place that has it for every platform through an
# ordinary package index. Version and digests are pinned; the wheel for Python 3.11 is taken whatever Python runs here,
# since the library inside does not care. Nothing is downloaded when the library is there already.
# Needs: python3 with pip, or uv.
set -eu

version=1.24.1
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
folder=${1:-$root/bin/lib}

machine=${2:-$(uname -s)-$(uname -m)}
case "$machine" in
Linux-x86_64)
	file=libonnxruntime.so.$version plain=libonnxruntime.so platform=manylinux_2_28_x86_64 target=x86_64-manylinux_2_28
	wheel=1cabe71ca14dcfbf812d312aab0a704507ac909c137ee6e89e4908755d0fc60e
	library=94ac52f650e195b784587e1cb7d25b4bf074048b50fa9a7127795b2ed34db22e ;;
Linux-aarch64 | Linux-arm64)
	file=libonnxruntime.so.$version plain=libonnxruntime.so platform=manylinux_2_28_aarch64 target=aarch64-manylinux_2_28
	wheel=86bc43e922b1f581b3de26a3dc402149c70e5542fceb5bec6b3a85542dbeb164
	library=31d6df98d3a2942ce10472109f988037f330dad6cb1c19e214fd2b1327315ee0 ;;
Darwin-arm64)
	file=libonnxruntime.$version.dylib plain=libonnxruntime.dylib platform=macosx_14_0_arm64 target=aarch64-apple-darwin
	wheel=79b3119ab9f4f3817062e6dbe7f4a44937de93905e3a31ba34313d18cb49e7be
	library=3c83e0ab9d64abb458527ece72d522ec0271a76d296d459b4632269dbb675c7d ;;
*)
	echo "error: no ONNX Runtime $version is known for $machine" >&2
	echo "try: install ONNX Runtime 1.24 or later and name its library in MILLRACE_ONNXRUNTIME" >&2
	exit 1 ;;
esac

digest() {
	if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

if [ -f "$folder/$file" ] && [ "$(digest "$folder/$file")" = "$library" ]; then
	exit 0
fi

mkdir -p "$folder"
work=$(mktemp -d "$folder/.onnxruntime.XXXXXX") # beside the target, so that the last step is a rename
trap 'rm -rf "$work"' EXIT INT TERM
echo "onnxruntime==$version --hash=sha256:$wheel" >"$work/requirements.txt"

echo "getting ONNX Runtime $version (about 17 MB)" >&2
if python3 -m pip --version >/dev/null 2>&1; then
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
		--python-version 3.11 --implementation cp --abi cp311 --platform "$platform" \
		--dest "$work" --requirement "$work/requirements.txt"
	python3 -m zipfile -e "$work"/onnxruntime-*.whl "$work/wheel"
elif command -v uv >/dev/null; then
	uv pip install --quiet --no-deps --only-binary=:all: --require-hashes --python-version 3.11 --python-platform "$target" \
		--target "$work/wheel" --requirement "$work/requirements.txt"
else
	echo "error: neither pip nor uv is here, one of them is needed to get ONNX Runtime" >&2
	echo "try: install Python 3 with pip, or name a library of ONNX Runtime 1.24 or later in MILLRACE_ONNXRUNTIME" >&2
	exit 1
fi

found=$(digest "$work/wheel/onnxruntime/capi/$file")
if [ "$found" != "$library" ]; then
	echo "error: $file has SHA-256 $found, expected $library" >&2
	exit 1
fi
chmod 755 "$work/wheel/onnxruntime/capi/$file"
mv -f "$work/wheel/onnxruntime/capi/$file" "$folder/$file"
ln -sf "$file" "$folder/$plain"
cp "$work/wheel/onnxruntime/LICENSE" "$folder/ONNXRUNTIME-LICENSE"
cp "$work/wheel/onnxruntime/ThirdPartyNotices.txt" "$folder/ONNXRUNTIME-NOTICES"
echo "$folder/$file" >&2
