//go:build !linux

package apart

import (
	"fmt"
	"math"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Confine limits the processor time and the size of files. What else the limits
// say holds on Linux only.
func Confine(l Limits) error {
	limits := map[int]uint64{syscall.RLIMIT_CORE: 0}
	if l.CPU > 0 {
		sayWhenSpent()
		limits[syscall.RLIMIT_CPU] = uint64(math.Ceil(l.CPU.Seconds()))
	}
	if l.FileBytes > 0 {
		limits[syscall.RLIMIT_FSIZE] = l.FileBytes
	}
	for resource, limit := range limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("read a limit: %w", err)
		}
		now.Cur = min(now.Max, limit)
		if err := syscall.Setrlimit(resource, &now); err != nil {
			return fmt.Errorf("set a limit: %w", err)
		}
	}
	return nil
}
