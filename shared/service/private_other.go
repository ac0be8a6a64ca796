//go:build !linux

package service

import "syscall"

// Private lets only the user read what this process writes from now on.
func Private() error {
	syscall.Umask(0o077)
	return nil
}
