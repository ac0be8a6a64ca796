package terminal

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

// Node is a line of a tree with its children.
type Node struct {
	// Head is the node's line; Below are further lines beneath it.
	Head  string
	Below []string
	Nodes []*Node
}

// Tree writes a node and its subtree with box-drawing characters.
func (s *Screen) Tree(n *Node) {
	s.branch(n, "", "")
}

func (s *Screen) branch(n *Node, first, rest string) {
	trunk := "   "
	if len(n.Nodes) > 0 {
		trunk = "│  "
	}
	prefix := first
	for _, text := range append([]string{n.Head}, n.Below...) {
		for _, line := range s.wrapped(text, lipgloss.Width(rest+trunk)) {
			s.Line(s.Styled(Faint, prefix), line)
			prefix = rest + trunk
		}
	}
	for i, child := range n.Nodes {
		if i == len(n.Nodes)-1 {
			s.branch(child, rest+"└─ ", rest+"   ")
		} else {
			s.branch(child, rest+"├─ ", rest+"│  ")
		}
	}
}

// wrapped breaks a text, indented by before columns, to the terminal's width.
func (s *Screen) wrapped(text string, before int) []string {
	const least = 30
	if s.width == 0 || before+lipgloss.Width(text) <= s.width {
		return []string{text}
	}
	return strings.Split(ansi.Wrap(text, max(s.width-before, least), ""), "\n")
}
