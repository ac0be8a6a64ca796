package terminal

import (
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

// Column is the heading and the layout of a column.
type Column struct {
	Title string
	// Right aligns numbers.
	Right bool
	// Rest allows the column to be cut so that the table fits the terminal.
	Rest bool
}

// Left returns a left-aligned column, for text.
func Left(title string) Column { return Column{Title: title} }

// Right returns a right-aligned column, for numbers.
func Right(title string) Column { return Column{Title: title, Right: true} }

// Rest returns a left-aligned column that may be cut.
func Rest(title string) Column { return Column{Title: title, Rest: true} }

// Cell is one value of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Text returns a plain cell.
func Text(text string) Cell { return Cell{Text: text} }

// Toned returns a cell with a tone.
func Toned(t Tone, text string) Cell { return Cell{text, t} }

const gap = "  "

// Table writes rows under the column headings, if there are any. A column
// without values is left out.
func (s *Screen) Table(columns []Column, rows [][]Cell) {
	s.IndentedTable("", columns, rows)
}

// IndentedTable is Table with a prefix before each line.
func (s *Screen) IndentedTable(indent string, columns []Column, rows [][]Cell) {
	columns, rows = filled(columns, rows)
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = lipgloss.Width(c.Title)
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(Clean(row[i].Text)))
		}
	}
	s.fit(columns, widths, lipgloss.Width(indent))
	head := make([]Cell, len(columns))
	for i, c := range columns {
		head[i] = Toned(Faint, c.Title)
	}
	titled := func(c Column) bool { return c.Title != "" }
	if slices.ContainsFunc(columns, titled) {
		rows = append([][]Cell{head}, rows...)
	}
	for _, row := range rows {
		var b strings.Builder
		b.WriteString(indent)
		for i, cell := range row {
			if i > 0 {
				b.WriteString(gap)
			}
			text := cut(Clean(cell.Text), widths[i])
			space := strings.Repeat(" ", widths[i]-lipgloss.Width(text))
			if columns[i].Right {
				b.WriteString(space + s.Styled(cell.Tone, text))
			} else {
				b.WriteString(s.Styled(cell.Tone, text) + space)
			}
		}
		s.Line(b.String())
	}
}

// filled leaves out the columns in which every cell is empty.
func filled(columns []Column, rows [][]Cell) ([]Column, [][]Cell) {
	var keep []int
	for i := range columns {
		for _, row := range rows {
			if row[i].Text != "" {
				keep = append(keep, i)
				break
			}
		}
	}
	heads := make([]Column, len(keep))
	out := make([][]Cell, len(rows))
	for k, i := range keep {
		heads[k] = columns[i]
		for r, row := range rows {
			out[r] = append(out[r], row[i])
		}
	}
	return heads, out
}

// fit narrows the columns that may be cut until the table fits the terminal.
func (s *Screen) fit(columns []Column, widths []int, indent int) {
	if s.width == 0 {
		return
	}
	over := indent + len(gap)*(len(widths)-1) - s.width
	for _, w := range widths {
		over += w
	}
	const least = 12
	for i := len(columns) - 1; i >= 0 && over > 0; i-- {
		if less := min(over, widths[i]-least); columns[i].Rest && less > 0 {
			widths[i] -= less
			over -= less
		}
	}
}

// cut shortens a text to a width and marks that with an ellipsis.
func cut(text string, width int) string { return ansi.Truncate(text, max(width, 1), "…") }
