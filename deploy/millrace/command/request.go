package command

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
)

func (a *app) newRetrain() *cobra.Command {
	var w waiting
	var params []string
	var d events.TrainingRequested
	c := &cobra.Command{
		Use:   "retrain PIPELINE",
		Short: "Request a training",
		Long: `Request a training on the newest snapshot, or on an earlier one. The same
snapshot, parameters and trainer are not trained twice: the earlier result
is used.`,
		Example: `  millrace retrain flights --wait
  millrace retrain flights --param trees=200 --param learning_rate=0.02 --reason "more trees"`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if d.Params, err = parseParams(params); err != nil {
				return err
			}
			d.By = me()
			return a.request(c.Context(), args[0], "training of "+args[0], wait.Served, w, func(ctx context.Context, cl *client.Client) (client.Asked, error) {
				return cl.Retrain(ctx, args[0], d)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&params, "param", nil, "k=v, replaces one of train.params; v is JSON or else text; may be repeated")
	f.StringVar(&d.Snapshot, "snapshot", "", "train on this earlier snapshot (its digest, or a prefix)")
	f.StringVar(&d.Reason, "reason", "", "reason to record in the log")
	w.flags(c, "wait for the model")
	return c
}

// parseParams parses k=v, where v is JSON or else text.
func parseParams(params []string) (map[string]any, error) {
	if len(params) == 0 {
		return nil, nil
	}
	out := map[string]any{}
	for _, p := range params {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fail(Usage, "--param %s is not k=v", p).try("write --param trees=200")
		}
		if _, twice := out[k]; twice {
			return nil, fail(Usage, "--param %s is given twice", k)
		}
		var value any
		if json.Unmarshal([]byte(v), &value) != nil {
			value = v
		}
		out[k] = value
	}
	return out, nil
}

func (a *app) newRegister() *cobra.Command {
	var w waiting
	var name string
	c := &cobra.Command{
		Use:     "register PIPELINE MODEL.onnx",
		Short:   "Register a model that was trained elsewhere",
		Long:    "Register a model that was trained elsewhere. It becomes the next version, and is evaluated and rolled out like any other.",
		Example: "  millrace register flights model.onnx --name experiment-12 --wait",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if name == "" {
				name = filepath.Base(args[1])
			}
			r, err := cl.Register(c.Context(), args[0], name, args[1], me())
			if err != nil {
				return err
			}
			if w.wait {
				return a.waitFor(c.Context(), cl, args[0], r.Event, "model "+name, wait.Served, w.timeout)
			}
			if a.json() {
				return a.print(r)
			}
			text := "registered"
			if r.Duplicate {
				text = "registered before"
			}
			version := optional(" as ", terminal.Version(r.Version))
			a.out.Line(a.out.Styled(terminal.Good, text), a.out.Styled(terminal.Plain, fmt.Sprintf("  %s%s, %s", name, version, humanize.Bytes(r.Size))), a.out.Styled(terminal.Faint, "  "+r.Event))
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the model; the file's name by default")
	w.flags(c, "wait until the model is evaluated and has all traffic")
	return c
}

func (a *app) newEvaluate() *cobra.Command {
	var w waiting
	c := &cobra.Command{
		Use:     "evaluate PIPELINE [VERSION]",
		Short:   "Evaluate a version again, under the current gates",
		Example: "  millrace evaluate flights v3 --wait",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := versionArg(args)
			if err != nil {
				return err
			}
			what := "evaluation of " + strings.TrimSpace(args[0]+" "+terminal.Version(version))
			return a.request(c.Context(), args[0], what, wait.Judged, w, func(ctx context.Context, cl *client.Client) (client.Asked, error) {
				return cl.Evaluate(ctx, args[0], events.EvaluationRequested{Version: version, By: me()})
			})
		},
	}
	w.flags(c, "wait for the verdict")
	return c
}

// versionArg returns the version of PIPELINE [VERSION], 0 if it is absent.
func versionArg(args []string) (int, error) {
	if len(args) < 2 {
		return 0, nil
	}
	return parseVersion(args[1])
}

// parseVersion parses a version as people write it: 2 or v2.
func parseVersion(text string) (int, error) {
	v, err := strconv.Atoi(strings.TrimPrefix(strings.ToLower(text), "v"))
	if err != nil || v < 1 {
		return 0, fail(Usage, "%q is not a version", text).try("write 2 or v2; millrace models lists them")
	}
	return v, nil
}

func (a *app) newPromote() *cobra.Command {
	var w waiting
	var reason string
	c := &cobra.Command{
		Use:   "promote PIPELINE VERSION",
		Short: "Approve a version or its next step, or restore an archived one",
		Long: `Approve a version: one that waits for approval, the next step of its rollout, or
one that was archived. An approval does not override a gate: a rejected version
is not promoted.`,
		Example: "  millrace promote flights v2 --reason \"checked by hand\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := parseVersion(args[1])
			if err != nil {
				return err
			}
			return a.decided(c.Context(), args[0], "promotion of v"+strconv.Itoa(version), w, func(ctx context.Context, cl *client.Client) (client.Asked, error) {
				return cl.Promote(ctx, args[0], events.PromotionApproved{Version: version, By: me(), Reason: reason})
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "reason to record in the log")
	w.flags(c, "wait until the version has all traffic")
	return c
}

func (a *app) newRollback() *cobra.Command {
	var to, reason string
	c := &cobra.Command{
		Use:     "rollback PIPELINE",
		Short:   "Abort the current rollout, or return to the previous champion",
		Example: "  millrace rollback flights\n  millrace rollback flights --to v1 --reason \"complaints\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d := events.RollbackRequested{By: me(), Reason: reason}
			if to != "" {
				var err error
				if d.To, err = parseVersion(to); err != nil {
					return err
				}
			}
			return a.decided(c.Context(), args[0], "rollback of "+args[0], waiting{}, func(ctx context.Context, cl *client.Client) (client.Asked, error) {
				return cl.Rollback(ctx, args[0], d)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "version to return to; the previous champion by default")
	c.Flags().StringVar(&reason, "reason", "", "reason to record in the log")
	return c
}

type asking func(context.Context, *client.Client) (client.Asked, error)

// request sends a request that takes time, and waits for its outcome with
// --wait.
func (a *app) request(ctx context.Context, pipeline, what string, until wait.Until, w waiting, ask asking) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	asked, err := ask(ctx, c)
	if err != nil {
		return err
	}
	if w.wait {
		return a.waitFor(ctx, c, pipeline, asked.Event, what, until, w.timeout)
	}
	if a.json() {
		return a.print(asked)
	}
	a.out.Line(a.out.Styled(terminal.Good, "requested"), a.out.Styled(terminal.Plain, "  "+what), a.out.Styled(terminal.Faint, "  "+asked.Event))
	a.out.Line(a.out.Styled(terminal.Faint, "see   "), "millrace why "+asked.Event)
	return nil
}

// decided sends a request that is decided at once, and waits for the decision;
// with --wait also for the outcome.
func (a *app) decided(ctx context.Context, pipeline, what string, w waiting, ask asking) error {
	until, timeout := wait.Answered, answerWithin
	if w.wait {
		until, timeout = wait.Served, w.timeout
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	asked, err := ask(ctx, c)
	if err != nil {
		return err
	}
	return a.waitFor(ctx, c, pipeline, asked.Event, what, until, timeout)
}

func (a *app) waitFor(ctx context.Context, c *client.Client, pipeline, event, what string, until wait.Until, timeout time.Duration) error {
	from, err := c.Sequence(ctx, pipeline, event)
	if err != nil {
		return err
	}
	targets := []target{{what: what, pipeline: pipeline, event: event, chain: wait.New(event, until)}}
	if err := a.watch(ctx, c, from, targets, timeout); err != nil {
		return err
	}
	return a.conclude(targets)
}
