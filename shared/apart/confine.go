package apart

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Limits is what a process needs for its work. It can have no more.
type Limits struct {
	Memory    uint64        // bytes, beyond what it has when Confine is called
	CPU       time.Duration // of all processors together, rounded up to seconds; 0 for no limit
	FileBytes uint64        // of each file that it writes; 0 for no limit
	Files     uint64        // that are open at a time
	// Read are the files and folders that it may read besides the system's own,
	// Write the folders in which it may make files.
	Read, Write []string
}

// cpuMargin is how many seconds later than the limit a process is killed that ignores
// the signal.
const cpuMargin = 5

// spent is what a process writes that has no processor time left.
const spent = "SIGXCPU: cpu limit exceeded"

// sayWhenSpent ends the process when it has used its processor time; the Go
// runtime ignores the signal otherwise.
func sayWhenSpent() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGXCPU)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, spent)
		os.Exit(1) //nolint:forbidigo // the process does nothing else
	}()
}
