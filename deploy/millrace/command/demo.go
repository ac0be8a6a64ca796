package command

import "github.com/spf13/cobra"

func (a *app) newDemo() *cobra.Command {
	return &cobra.Command{Use: "demo", Run: func(*cobra.Command, []string) {}}
}
