package command

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/demo"
	"millrace.dev/functions/gateway"
)

func (a *app) newDemo() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play a year of New York flights and see the whole chain work",
		Long: `Play a year of New York flights against a system of its own: January to March
make the first model, April's traffic drifts away from it, April's labels make
the second, which takes over as a canary under the live traffic of May. Broken
data and a model trained on shuffled labels are refused.

Each step is a line as it happens. The summary is left beside the folder, in
.millrace/demo.json by default; the exit code is 0 when every step went as it
should. The example's Python environment must be there: make examples.`,
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
			o.ShowWhy = func(w gateway.Why) { ShowWhy(a.out, w) }
			o.ShowModels = a.showModels
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Keep, "keep", false, "leave the system up at the end, until Ctrl-C")
	f.StringVar(&o.Dir, "dir", filepath.Join(".millrace", "demo"), "folder for the system and its data; made anew each time")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address of the system; port 0 chooses one")
	f.StringVar(&o.Example, "example", "", "folder of the flights example, if not config/examples/flights")
	return c
}

// findExample looks for the flights example in the tree that the working
// folder or the program is in.
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
	return "", fail(Failed, "there is no config/examples/flights above %s", wd).try("run it in the tree of Millrace, or name the folder with --example")
}
