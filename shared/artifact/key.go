package artifact

import (
	"path"
	"strings"

	"millrace.dev/events"
)

// digests is the folder of a store below which the objects lie.
const digests = "sha256"

// maxSuffix bounds a file ending, dots included.
const maxSuffix = 32

// key is the name of the bytes in the store: sha256/ab/abcd....parquet. It is
// made only of the digest and a checked ending, so that no reference points
// outside of the store.
func key(digest, suffix string) (string, error) {
	ref := events.Ref{URL: digests, Digest: digest}
	if err := ref.Validate(); err != nil {
		return "", err
	}
	hex := strings.TrimPrefix(digest, digests+":")
	return digests + "/" + hex[:2] + "/" + hex + Suffix(suffix), nil
}

// keyOf returns the key of a reference. Only the ending of its URL is used, so
// that a reference made by one store is valid in another.
func keyOf(ref events.Ref) (string, error) {
	base := path.Base(ref.URL)
	rest, ok := strings.CutPrefix(base, strings.TrimPrefix(ref.Digest, digests+":"))
	if !ok {
		rest = ""
	}
	return key(ref.Digest, rest)
}

// Suffix returns the file ending of a name as the store keeps it: lower case,
// at most the last two parts, ".csv.gz" for "flights/2013-01.CSV.gz". It is
// empty unless the ending consists of a few letters and digits.
func Suffix(name string) string {
	name = strings.ToLower(path.Base(name))
	last := path.Ext(name)
	if !ending(last) {
		return ""
	}
	if before := path.Ext(strings.TrimSuffix(name, last)); compressed(last) && ending(before) {
		return before + last
	}
	return last
}

func compressed(ext string) bool {
	return ext == ".gz" || ext == ".zst" || ext == ".bz2" || ext == ".xz"
}

func ending(s string) bool {
	return len(s) > 1 && len(s) <= maxSuffix/2 && strings.Trim(s[1:], "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
