package apart

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
)

// Task is work that a process of its own does.
type Task struct {
	// Name is the argument that starts it.
	Name string
	// Do reads the work from in and writes the outcome to out. The error means
	// that in or out did not work, and ends up in a log.
	Do func(ctx context.Context, in io.Reader, out io.Writer) error
}

// ready is what a process writes before it does its task: from then on it is the
// work that ends it.
const ready = "ready\n"

// offered are the names of the tasks that this program does when it is started
// for them. Without this a program that does not call Main would start all of
// itself again, and again.
var offered sync.Map

// Main does the task that this process was started for, and returns its exit
// code. was is false in a process that was not started for a task.
func Main(tasks ...Task) (code int, was bool) {
	for _, t := range tasks {
		offered.Store(t.Name, true)
		if len(os.Args) == 2 && os.Args[1] == t.Name {
			return t.main(), true
		}
	}
	return 0, false
}

func (t Task) main() int {
	_, err := io.WriteString(os.Stdout, ready)
	if err == nil {
		err = t.Do(context.Background(), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

// Command returns the command that starts the task in a process of its own: this
// program. The error says that this program does not call Main with it.
func (t Task) Command() ([]string, error) {
	if _, ok := offered.Load(t.Name); !ok {
		return nil, fmt.Errorf("this program does not do the task %s: call apart.Main with it first in main, or in TestMain", t.Name)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program that does the task %s: %w", t.Name, err)
	}
	return []string{program, t.Name}, nil
}
