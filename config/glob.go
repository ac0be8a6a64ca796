package config

import (
	"fmt"
	"path"
	"strings"
)

// bucketSchemes lists the URL schemes of globs for other buckets than the
// gateway's.
var bucketSchemes = []string{"s3://", "gs://", "azblob://"}

// splitGlob splits a glob into the URL of its bucket, "" for the gateway's own,
// and the pattern of the key.
func splitGlob(glob string) (bucket, pattern string) {
	for _, scheme := range bucketSchemes {
		if rest, ok := strings.CutPrefix(glob, scheme); ok {
			bucket, pattern, _ = strings.Cut(rest, "/")
			return scheme + bucket, pattern
		}
	}
	return "", glob
}

// checkGlob returns what is wrong with a glob.
func checkGlob(glob string) error {
	bucket, pattern := splitGlob(glob)
	switch {
	case glob == "":
		return fmt.Errorf("is empty")
	case len(glob) > 1024:
		return fmt.Errorf("is longer than 1024 bytes")
	case strings.Contains(pattern, "://"):
		return fmt.Errorf("%q has an unknown URL scheme; known: %s", glob, strings.Join(bucketSchemes, ", "))
	case pattern == "":
		return fmt.Errorf("%q names a bucket but no key", glob)
	case strings.HasSuffix(bucket, "/") || strings.ContainsAny(bucket, "*?"):
		return fmt.Errorf("%q must name one bucket", glob)
	case strings.HasPrefix(pattern, "/"):
		return fmt.Errorf("%q begins with a slash; object keys do not", glob)
	case strings.ContainsAny(pattern, "\\\x00\r\n"):
		return fmt.Errorf("%q has a character that object keys cannot have", glob)
	case path.Clean(pattern) != strings.TrimSuffix(pattern, "/"):
		return fmt.Errorf("%q has an empty, . or .. part", glob)
	case strings.HasPrefix(pattern, "../") || pattern == ".." || pattern == ".":
		return fmt.Errorf("%q leaves its folder", glob)
	}
	return nil
}

func wants(globs []string, bucket, key string) bool {
	for _, glob := range globs {
		if b, pattern := splitGlob(glob); b == bucket && matchGlob(pattern, key) {
			return true
		}
	}
	return false
}

// matchGlob reports whether the whole key matches the pattern: ? is one
// character except a slash, * any number of them, ** any characters, and **/ any
// number of folders. It takes time proportional to the product of the lengths.
func matchGlob(pattern, key string) bool {
	// reach[i] reports whether the pattern so far matches key[:i].
	reach := make([]bool, len(key)+1)
	next := make([]bool, len(key)+1)
	reach[0] = true
	for len(pattern) > 0 {
		clear(next)
		switch {
		case strings.HasPrefix(pattern, "**/"):
			pattern = pattern[3:]
			seen := false
			for i := range reach {
				next[i] = reach[i] || seen && key[i-1] == '/'
				seen = seen || reach[i]
			}
		case strings.HasPrefix(pattern, "**"):
			pattern = pattern[2:]
			seen := false
			for i := range reach {
				seen = seen || reach[i]
				next[i] = seen
			}
		case pattern[0] == '*':
			pattern = pattern[1:]
			for i := range reach {
				next[i] = reach[i] || i > 0 && next[i-1] && key[i-1] != '/'
			}
		default:
			c := pattern[0]
			pattern = pattern[1:]
			for i := range len(key) {
				next[i+1] = reach[i] && (key[i] == c || c == '?' && key[i] != '/')
			}
		}
		reach, next = next, reach
	}
	return reach[len(key)]
}
