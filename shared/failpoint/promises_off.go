//go:build failpoints

package failpoint

import (
	"os"
	"sync"
)

// withoutVariable names the promise that this process breaks.
const withoutVariable = "MILLRACE_FAILPOINT_WITHOUT"

var broken = sync.OnceValue(func() Promise { return Promise(os.Getenv(withoutVariable)) })

// Keeps reports whether the process keeps the promise: all but the one that
// MILLRACE_FAILPOINT_WITHOUT names.
func Keeps(p Promise) bool { return p != broken() }
