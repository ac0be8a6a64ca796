// Package version says which build of Millrace a program is.
//
// Go itself records the commit in every program, and the module's version in
// those of `go install`. A release is built in a workspace, where a module has
// no version: there the linker sets it.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// released is set by `make release`: -X millrace.dev/shared/version.released=v0.1.0.
var released string

// Info identifies a build.
type Info struct {
	// Version is the released version, such as v0.1.0. A build from the tree
	// has Go's pseudo-version, or "devel" without one.
	Version string `json:"version"`
	// Commit is the full hash of the Git commit; "" when Go did not record it,
	// as with `go install millrace.dev/...@v0.1.0`.
	Commit string `json:"commit,omitempty"`
	// Date is the time of the commit in UTC, RFC 3339; "" without a commit.
	Date string `json:"date,omitempty"`
	// Modified is true when the tree differed from the commit.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Read returns the build of the running program. It never fails: what is not
// recorded stays empty.
func Read() Info {
	b, _ := debug.ReadBuildInfo() // nil in a program without modules
	return of(b, released)
}

func of(b *debug.BuildInfo, released string) Info {
	i := Info{Version: cmp.Or(released, "devel"), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b == nil {
		return i
	}
	if v := b.Main.Version; v != "" && v != "(devel)" && released == "" {
		i.Version = v
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		case "vcs.time":
			i.Date = s.Value
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				i.Date = t.UTC().Format(time.RFC3339)
			}
		}
	}
	return i
}

// Short is the version in one word: v0.1.0, or devel-60cf5e0b31 for a build of
// that commit without a version.
func (i Info) Short() string {
	if i.Version == "devel" && i.Commit != "" {
		return "devel-" + i.commit()
	}
	return i.Version
}

// String is what a program prints of itself:
// v0.1.0 (commit 60cf5e0b31 of 2026-11-30T12:00:00Z, go1.26.8, linux/amd64).
func (i Info) String() string {
	commit := ""
	if i.Commit != "" {
		commit = "commit " + i.commit()
		if i.Date != "" {
			commit += " of " + i.Date
		}
		if i.Modified {
			commit += " with changes"
		}
		commit += ", "
	}
	return fmt.Sprintf("%s (%s%s, %s/%s)", i.Version, commit, i.Go, i.OS, i.Arch)
}

func (i Info) commit() string { return i.Commit[:min(10, len(i.Commit))] }
