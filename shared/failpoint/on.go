//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	pointVariable = "MILLRACE_FAILPOINT"
	markVariable  = "MILLRACE_FAILPOINT_MARK"
)

// passed counts how often the armed point was passed.
var passed atomic.Int64

// armed is the point at which this process ends, and the count. Read once.
var armed = sync.OnceValues(func() (string, int64) {
	name, count, _ := strings.Cut(os.Getenv(pointVariable), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	return name, n
})

// Hit passes the named point, where the process may end.
func Hit(name string) {
	at, count := armed()
	if name != at || passed.Add(1) != count {
		return
	}
	if mark := os.Getenv(markVariable); mark != "" {
		f, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return // another process of ours was here
		}
		_, _ = f.WriteString(name + "\n")
		_ = f.Close()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more is done, however long the signal takes
}

// Environ is what a program must find in its environment to pass its own
// points as this process does.
func Environ() []string {
	var out []string
	for _, name := range []string{pointVariable, markVariable, withoutVariable} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}
