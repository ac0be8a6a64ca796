// Command generate writes accounts.conf to the file that is its argument.
package main

import (
	"fmt"
	"os"

	"millrace.dev/deploy/knative/account"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(account.Conf()), 0o644); err != nil { //nolint:gosec // it is no secret
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
