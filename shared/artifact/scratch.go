package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// scratch is the folder of one process's unfinished files, beside a lock file
// that is held as long as the process lives: <root>/<name> and
// <root>/<name>.lock. A process that can take the lock knows that the owner is
// dead.
type scratch struct {
	dir  string
	lock *os.File
}

const lockSuffix = ".lock"

// openScratch makes a folder in root, after removing what dead processes left.
func openScratch(root string) (*scratch, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, full(err)
	}
	if err := removeDead(root); err != nil {
		return nil, err
	}
	for {
		lock, err := os.CreateTemp(root, "p*"+lockSuffix)
		if err != nil {
			return nil, full(err)
		}
		s := &scratch{dir: strings.TrimSuffix(lock.Name(), lockSuffix), lock: lock}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil || !sameFile(lock) {
			// Another process took the file for one of a dead process between
			// its creation and the lock.
			if err := lock.Close(); err != nil {
				return nil, err
			}
			continue
		}
		if err := os.Mkdir(s.dir, 0o755); err != nil {
			return nil, full(errors.Join(err, s.close()))
		}
		return s, nil
	}
}

// close removes the folder. The lock file is removed last, so that the folder
// is still found if the process is killed meanwhile.
func (s *scratch) close() error {
	return errors.Join(os.RemoveAll(s.dir), os.Remove(s.lock.Name()), s.lock.Close())
}

func removeDead(root string) error {
	locks, err := filepath.Glob(filepath.Join(escapeGlob(root), "*"+lockSuffix))
	if err != nil {
		return err
	}
	for _, name := range locks {
		lock, err := os.OpenFile(name, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		dead := scratch{dir: strings.TrimSuffix(name, lockSuffix), lock: lock}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && sameFile(lock) {
			err = dead.close()
		} else {
			err = lock.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameFile reports whether the open file is still the one at its path.
func sameFile(f *os.File) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(f.Name())
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
