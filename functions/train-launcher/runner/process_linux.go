package runner

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
const prSetChildSubreaper = 36

// adoptOrphans makes this process the parent of what its descendants leave
// behind, so that a trainer's daemon cannot slip away.
func adoptOrphans() {
	// Where that does not work, what has left the trainer's process group stays.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

// attributes put the trainer into a process group of its own and make it die
// with the thread that starts it, which the caller has locked.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// children are the processes whose parent this one is.
func children() []int {
	self := strconv.Itoa(os.Getpid())
	return processes(func(dir string) bool {
		b, err := os.ReadFile(dir + "/stat")
		if err != nil {
			return false
		}
		// What comes before the state holds the program's name, which may contain anything.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		return len(fields) > 1 && fields[1] == self
	})
}

// marked are the processes that were started with the variable (NAME=value)
// in their environment.
func marked(variable string) []int {
	return processes(func(dir string) bool {
		b, err := os.ReadFile(dir + "/environ")
		return err == nil && bytes.Contains(append([]byte{0}, b...), []byte("\x00"+variable+"\x00"))
	})
}

// processes are those whose folder in /proc is accepted.
func processes(accept func(dir string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && accept("/proc/"+e.Name()) {
			pids = append(pids, pid)
		}
	}
	return pids
}
