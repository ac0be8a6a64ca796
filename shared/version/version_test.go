package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestInfo(t *testing.T) {
	t.Parallel()
	platform := runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	vcs := func(more ...debug.BuildSetting) []debug.BuildSetting {
		return append([]debug.BuildSetting{
			{Key: "vcs.revision", Value: "60cf5e0b31a4b5c6d7e8f90123456789abcdef01"}, {Key: "vcs.time", Value: "2026-11-30T13:00:00+01:00"},
		}, more...)
	}
	for name, c := range map[string]struct {
		build         *debug.BuildInfo
		released      string
		short, string string
	}{
		"Release": {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs()}, "v0.1.0",
			"v0.1.0", "v0.1.0 (commit 60cf5e0b31 of 2026-11-30T12:00:00Z, " + platform},
		"GoInstall": {&debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}}, "", "v0.1.0", "v0.1.0 (" + platform},
		"Tree": {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs(debug.BuildSetting{Key: "vcs.modified", Value: "true"})}, "",
			"devel-60cf5e0b31", "devel (commit 60cf5e0b31 of 2026-11-30T12:00:00Z with changes, " + platform},
		"NothingRecorded": {nil, "", "devel", "devel (" + platform},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := of(c.build, c.released)
			if i.Short() != c.short || i.String() != c.string {
				t.Errorf("got %q, %q; want %q, %q", i.Short(), i.String(), c.short, c.string)
			}
		})
	}
}
