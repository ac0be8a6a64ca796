package command

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/demo"
	"millrace.dev/functions/gateway/api"
)

func (a *app) newDemo() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the demo: a year of New York flights through the whole chain",
		Long: `Run a year of New York flights on a system of its own. A first model is trained on
January to March; April's traffic drifts away from it; April's labels train a
second one, which takes over as a canary under the live traffic of May. Broken
data and a model trained on shuffled labels are rejected.

Each step is printed as it happens. The summary is written beside the folder, by
default to .millrace/demo.json; the exit code is 0 if every step succeeded. The
trainer needs Python 3.11 or newer. In the repository its environment must exist
(make examples); elsewhere the demo writes the examples to .millrace/examples and
creates the environment, with uv or else with pip.`,
		Example: "  millrace demo\n  millrace demo --keep",
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			if o.Example == "" {
				if o.Example, err = findExample(program); err != nil {
					return err
				}
			}
			o.Program, o.Token, o.Out = program, a.Token, a.out
			o.ShowWhy = func(w api.Why) { ShowWhy(a.out, w) }
			o.ShowModels = a.showModels
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Keep, "keep", false, "keep the system running at the end, until Ctrl-C")
	f.StringVar(&o.Dir, "dir", filepath.Join(".millrace", "demo"), "folder for the system and its data; created from scratch each time")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address of the system; port 0 chooses one")
	f.StringVar(&o.Example, "example", "", "folder of the flights example; by default the repository's, else the one in this program")
	return c
}

// findExample looks for the flights example in the tree that the working
// folder or the program is in. It returns "" when they are in no tree of
// Millrace.
func findExample(program string) (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, from := range []string{wd, filepath.Dir(program)} {
		for dir := from; ; dir = filepath.Dir(dir) {
			example := filepath.Join(dir, "config", "examples", "flights")
			if _, err := os.Stat(filepath.Join(example, "pipeline.yaml")); err == nil {
				return example, nil
			} else if !errors.Is(err, os.ErrNotExist) {
				return "", err
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", nil
}
