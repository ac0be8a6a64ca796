package source

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// hiveNull is how a folder says that the value is missing.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// FolderValue returns what the folders of a file's name say about a column:
// "7" about month for "flights/month=7/part-0.parquet", as Hive, Spark and
// PyArrow name them. null is whether they say that the value is missing.
func FolderValue(name, column string) (value string, null, ok bool) {
	for folder := range strings.SplitSeq(path.Dir(name), "/") {
		key, text, found := strings.Cut(folder, "=")
		if found && unescaped(key) == column && column != "" {
			value, null, ok = unescaped(text), text == hiveNull, true
		}
	}
	return value, null, ok
}

func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// FolderName returns the end of the path of a file, from the first folder that
// says something about a column; without such folders the file's own name.
func FolderName(file string) string {
	parts := strings.Split(filepath.ToSlash(file), "/")
	from := len(parts) - 1
	for from > 0 && strings.Contains(parts[from-1], "=") {
		from--
	}
	return strings.Join(parts[from:], "/")
}

// folderValue is FolderValue for a column of the contract, by any of its names.
func (c *Column) folderValue(name string) (value string, null, ok bool) {
	for _, n := range append([]string{c.Name}, c.From...) {
		if value, null, ok = FolderValue(name, n); ok {
			return value, null, ok
		}
	}
	return "", false, false
}
