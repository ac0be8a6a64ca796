package command

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

func (a *app) newWhy() *cobra.Command {
	var pipeline string
	c := &cobra.Command{
		Use:   "why ID",
		Short: "Show the causes and the effects of something",
		Long: `Show the chain of causes of something, back to the uploads, drift and requests
it started with, and its effects, with every verdict on the way.

ID is a version (v2, or flights/v2), a run, an event, a snapshot or partition
(its digest), or the key of an upload. An unambiguous prefix is enough.`,
		Example: "  millrace why flights/v2\n  millrace why 3f9c0a1b\n  millrace why flights/2013-01.parquet",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			query := url.Values{}
			if pipeline != "" {
				query.Set("pipeline", pipeline)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			body, err := cl.JSON(c.Context(), query, "api/why", args[0])
			if err != nil {
				return err
			}
			if a.json() {
				return a.print(body)
			}
			var w api.Why
			if err := json.Unmarshal(body, &w); err != nil {
				return err
			}
			ShowWhy(a.out, w)
			return nil
		},
	}
	c.Flags().StringVar(&pipeline, "pipeline", "", "only in this pipeline")
	return c
}

// ShowWhy prints the tree of causes, the inputs of the training run behind the
// event, and the tree of effects.
func ShowWhy(s *terminal.Screen, w api.Why) {
	root := whyNode(s, &w.Event)
	for _, c := range w.Event.Causes {
		root.Nodes = append(root.Nodes, whyBranch(s, c, func(n *api.WhyNode) []*api.WhyNode { return n.Causes }))
	}
	s.Tree(root)
	if w.Lineage != nil {
		s.Line()
		showLineage(s, *w.Lineage)
	}
	if len(w.Event.Effects) > 0 {
		s.Line()
		after := &terminal.Node{Head: s.Styled(terminal.Strong, "effects")}
		for _, e := range told(w.Event.Effects) {
			after.Nodes = append(after.Nodes, whyBranch(s, e, func(n *api.WhyNode) []*api.WhyNode { return told(n.Effects) }))
		}
		s.Tree(after)
	}
	if w.Truncated {
		s.Line()
		s.Line(s.Styled(terminal.Warn, "the tree is cut off here; run millrace why with one of the events above"))
	}
}

// told drops the records of functions that did nothing if other events remain.
func told(nodes []*api.WhyNode) []*api.WhyNode {
	nothing := func(n *api.WhyNode) bool { return n.Type == (events.EventHandled{}).EventType() }
	if some := slices.DeleteFunc(slices.Clone(nodes), nothing); len(some) > 0 {
		return some
	}
	return nodes
}

// whyBranch returns a node and its subtree; next yields a node's children.
func whyBranch(s *terminal.Screen, n *api.WhyNode, next func(*api.WhyNode) []*api.WhyNode) *terminal.Node {
	out := whyNode(s, n)
	for _, child := range next(n) {
		out.Nodes = append(out.Nodes, whyBranch(s, child, next))
	}
	return out
}

// whyNode shows one event on one line, with its verdicts below.
func whyNode(s *terminal.Screen, n *api.WhyNode) *terminal.Node {
	tone := terminal.Plain
	if t, ok := events.Lookup(n.Type); ok {
		tone = toneOf(t.Zero)
	}
	head := s.Styled(terminal.Faint, s.Clock(n.Time)+"  ") + s.Styled(tone, typeWords(n.Type)) + "  "
	if n.Repeated {
		return &terminal.Node{Head: head + s.Styled(terminal.Faint, shortly(n.Summary)+" (elsewhere in the tree)")}
	}
	if len(n.Verdicts) > 0 {
		n.Summary = verdictHead(n)
	}
	out := &terminal.Node{Head: head + s.Styled(terminal.Plain, n.Summary)}
	for _, v := range n.Verdicts {
		mark, tone := "✓ ", terminal.Good
		if !v.Passed {
			mark, tone = "✗ ", terminal.Bad
		}
		out.Below = append(out.Below, s.Styled(tone, mark)+s.Styled(terminal.Plain, fmt.Sprintf("%s: %s  ", gateOf(v), humanize.Metric(v.Value)))+s.Styled(terminal.Faint, v.Reason))
	}
	return out
}

// verdictHead sums up an evaluation whose verdicts are listed below it.
func verdictHead(n *api.WhyNode) string {
	failed := 0
	for _, v := range n.Verdicts {
		failed += 1 - passed(v)
	}
	version := path.Base(n.Subject)
	if failed == 0 {
		return fmt.Sprintf("%s passed %s", version, humanize.Count(len(n.Verdicts), "gate"))
	}
	return fmt.Sprintf("%s failed %d of %s", version, failed, humanize.Count(len(n.Verdicts), "gate"))
}

// shortly returns the beginning of a summary that is shown elsewhere in full.
func shortly(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func showLineage(s *terminal.Screen, l api.Lineage) {
	s.Line(s.Styled(terminal.Strong, "made of"))
	line := func(noun, text string) {
		if text != "" {
			s.Line("  ", s.Styled(terminal.Faint, fmt.Sprintf("%-9s", noun)), s.Styled(terminal.Plain, text))
		}
	}
	line("run", l.Run)
	line("config", terminal.Short(l.Config)+optional(", commit ", l.Commit))
	line("trainer", terminal.Short(l.Code))
	var params []string
	for _, k := range slices.Sorted(maps.Keys(l.Params)) {
		params = append(params, fmt.Sprintf("%s=%v", k, l.Params[k]))
	}
	line("params", strings.Join(params, ", "))
	line("snapshot", terminal.Short(l.Snapshot)+", "+humanize.Count(len(l.Partitions), "partition"))
	t := [][]terminal.Cell{}
	for _, p := range l.Partitions {
		t = append(t, []terminal.Cell{
			terminal.Text(p.Object), terminal.Text(terminal.Short(p.Digest)), terminal.Text(humanize.Int(p.Rows)), terminal.Text(s.Ago(p.Time)),
		})
	}
	s.IndentedTable("           ", []terminal.Column{terminal.Left("OBJECT"), terminal.Left("PARTITION"), terminal.Right("ROWS"), terminal.Left("UPLOADED")}, t)
}
