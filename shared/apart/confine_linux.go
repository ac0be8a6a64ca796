package apart

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// attributes let a process die with its parent, and not of a Ctrl-C that is
// meant for it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// Confine gives up, for good and for all threads, what the limits do not list,
// and the network and other processes besides. It keeps the process from files
// where the kernel has Landlock (5.13 or later), and from calls where it has
// seccomp.
func Confine(l Limits) error {
	if err := l.limitResources(); err != nil {
		return err
	}
	if err := l.limitFiles(); err != nil {
		return fmt.Errorf("give up the file system: %w", err)
	}
	if err := refuseCalls(); err != nil {
		return fmt.Errorf("give up the network and other processes: %w", err)
	}
	return nil
}

func (l Limits) limitResources() error {
	has, err := dataBytes()
	if err != nil {
		return err
	}
	// Of the address space only what can be written counts: libraries reserve
	// more than they use.
	errs := []error{setLimit("memory", unix.RLIMIT_DATA, has+l.Memory, 0), setLimit("core dumps", unix.RLIMIT_CORE, 0, 0)}
	if l.CPU > 0 {
		sayWhenSpent()
		errs = append(errs, setLimit("processor time", unix.RLIMIT_CPU, uint64(math.Ceil(l.CPU.Seconds())), cpuMargin))
	}
	if l.FileBytes > 0 {
		errs = append(errs, setLimit("file size", unix.RLIMIT_FSIZE, l.FileBytes, 0))
	}
	if l.Files > 0 {
		errs = append(errs, setLimit("open files", unix.RLIMIT_NOFILE, l.Files, 0))
	}
	return errors.Join(errs...)
}

// setLimit limits a resource. The margin is that of the limit which ends a
// process at once.
func setLimit(name string, resource int, limit, margin uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return fmt.Errorf("read the limit of %s: %w", name, err)
	}
	now.Cur = min(now.Max, limit)
	now.Max = min(now.Max, limit+margin)
	if err := unix.Setrlimit(resource, &now); err != nil {
		return fmt.Errorf("limit %s to %d: %w", name, limit, err)
	}
	return nil
}

// dataBytes returns how much memory of this process can be written.
func dataBytes() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("read how much memory this process has: %w", err)
	}
	var pages [6]uint64 // size, resident, shared, text, 0, data
	if _, err := fmt.Sscan(string(text), &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5]); err != nil {
		return 0, fmt.Errorf("read how much memory this process has: %w", err)
	}
	return pages[5] * uint64(os.Getpagesize()), nil
}

// systemFiles are what libraries read of the system.
var systemFiles = []string{
	"/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache",
	"/proc/cpuinfo", "/proc/meminfo", "/proc/self/maps", "/proc/self/cgroup", "/proc/self/mountinfo", "/proc/self/status", "/proc/self/statm", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom",
}

func (l Limits) limitFiles() error {
	var rules []landlock.Rule
	for _, path := range append(append([]string{}, systemFiles...), l.Read...) {
		info, err := os.Stat(path)
		switch {
		case err != nil: // what reads it says so
		case info.IsDir():
			rules = append(rules, landlock.RODirs(path))
		default:
			rules = append(rules, landlock.ROFiles(path))
		}
	}
	rules = append(rules, landlock.RWDirs(l.Write...).WithRefer(), landlock.RWFiles("/dev/null").IgnoreIfMissing())
	return landlock.V7.BestEffort().Restrict(rules...)
}
