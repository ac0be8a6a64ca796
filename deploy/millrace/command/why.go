package command

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
)

func (a *app) newWhy() *cobra.Command {
	var pipeline string
	c := &cobra.Command{
		Use:   "why ID",
		Short: "How something came about, and what came of it",
		Long: `The chain of causes of something, back to the uploads, drift and people it
started with, and what came of it; with every verdict on the way.

ID is a version (v2, or flights/v2), a run, an event, a snapshot or partition
(its digest), or the key of an upload. Beginnings are enough.`,
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
			var w gateway.Why
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

// ShowWhy prints the tree of causes, what the run behind it was made of, and
// the tree of effects.
func ShowWhy(s *terminal.Screen, w gateway.Why) {
	root := whyNode(s, &w.Event)
	for _, c := range w.Event.Causes {
		root.Nodes = append(root.Nodes, whyBranch(s, c, func(n *gateway.WhyNode) []*gateway.WhyNode { return n.Causes }))
	}
	s.Tree(root)
	if w.Lineage != nil {
		s.Line()
		showLineage(s, *w.Lineage)
	}
	if len(w.Event.Effects) > 0 {
		s.Line()
		after := &terminal.Node{Head: s.Styled(terminal.Strong, "what came of it")}
		for _, e := range told(w.Event.Effects) {
			after.Nodes = append(after.Nodes, whyBranch(s, e, func(n *gateway.WhyNode) []*gateway.WhyNode { return told(n.Effects) }))
		}
		s.Tree(after)
	}
	if w.Truncated {
		s.Line()
		s.Line(s.Styled(terminal.Warn, "there is more than is shown here; ask about one of the events above"))
	}
}

// told leaves out that functions did nothing, where something else was done.
func told(nodes []*gateway.WhyNode) []*gateway.WhyNode {
	nothing := func(n *gateway.WhyNode) bool { return n.Type == (events.EventHandled{}).EventType() }
	if some := slices.DeleteFunc(slices.Clone(nodes), nothing); len(some) > 0 {
		return some
	}
	return nodes
}

// whyBranch is the node with what lies behind it.
func whyBranch(s *terminal.Screen, n *gateway.WhyNode, next func(*gateway.WhyNode) []*gateway.WhyNode) *terminal.Node {
	out := whyNode(s, n)
	for _, child := range next(n) {
		out.Nodes = append(out.Nodes, whyBranch(s, child, next))
	}
	return out
}

// whyNode is one event on one line, and its verdicts.
func whyNode(s *terminal.Screen, n *gateway.WhyNode) *terminal.Node {
	tone := terminal.Plain
	if t, ok := events.Lookup(n.Type); ok {
		tone = toneOf(t.Zero)
	}
	head := s.Styled(terminal.Faint, s.Clock(n.Time)+"  ") + s.Styled(tone, typeWords(n.Type)) + "  "
	if n.Repeated {
		return &terminal.Node{Head: head + s.Styled(terminal.Faint, shortly(n.Summary)+" (see above)")}
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
		out.Below = append(out.Below, s.Styled(tone, mark)+s.Styled(terminal.Plain, fmt.Sprintf("%s: %s  ", gateOf(v), strconv.FormatFloat(v.Value, 'f', 4, 64)))+s.Styled(terminal.Faint, v.Reason))
	}
	return out
}

// verdictHead sums up an evaluation whose verdicts stand below.
func verdictHead(n *gateway.WhyNode) string {
	failed := 0
	for _, v := range n.Verdicts {
		failed += 1 - passed(v)
	}
	version := path.Base(n.Subject)
	if failed == 0 {
		return fmt.Sprintf("%s passed %s", version, terminal.Count(len(n.Verdicts), "gate"))
	}
	return fmt.Sprintf("%s failed %d of %s", version, failed, terminal.Count(len(n.Verdicts), "gate"))
}

// shortly is the beginning of a summary that stands elsewhere in full.
func shortly(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func showLineage(s *terminal.Screen, l gateway.Lineage) {
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
	line("snapshot", terminal.Short(l.Snapshot)+", "+terminal.Count(len(l.Partitions), "partition"))
	t := [][]terminal.Cell{}
	for _, p := range l.Partitions {
		t = append(t, []terminal.Cell{
			terminal.Text(p.Object), terminal.Text(terminal.Short(p.Digest)), terminal.Text(terminal.Number(p.Rows)), terminal.Text(s.Ago(p.Time)),
		})
	}
	s.IndentedTable("           ", []terminal.Column{terminal.Left("OBJECT"), terminal.Left("PARTITION"), terminal.Right("ROWS"), terminal.Left("UPLOADED")}, t)
}
