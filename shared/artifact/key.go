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
// made of the digest alone and a checked ending, so that no reference leads out
// of the store.
func key(digest, suffix string) (string, error) {
	ref := events.Ref{URL: digests, Digest: digest}
	if err := ref.Validate(); err != nil {
		return "", err
	}
	hex := strings.TrimPrefix(digest, digests+":")
	return digests + "/" + hex[:2] + "/" + hex + Suffix(suffix), nil
}

// keyOf is the key that a reference means. Of its URL nothing counts but the
// ending, so that a reference made by one store is good in another.
func keyOf(ref events.Ref) (string, error) {
	base := path.Base(ref.URL)
	rest, ok := strings.CutPrefix(base, strings.TrimPrefix(ref.Digest, digests+":"))
	if !ok {
		rest = ""
	}
	return key(ref.Digest, rest)
}

// Suffix is the file ending of a name as the store keeps it: lower case, of
// the last two parts at most, ".csv.gz" of "flights/2013-01.CSV.gz". It is
// empty when there is none that is made of a few letters and digits.
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
