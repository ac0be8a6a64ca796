package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a pipeline file.
type Problem struct {
	// File, Line and Column are its position. Lines and columns count from 1; 0
	// means unknown.
	File         string
	Line, Column int
	// Field is the path of the field, such as spec.data.columns.hour.type, or
	// "" if the mistake is not in a field.
	Field string
	// Message says what is wrong, Hint what to do about it.
	Message, Hint string
	// Allowed lists the allowed values or names.
	Allowed []string
}

// String returns the problem on one line:
//
//	flights/pipeline.yaml:14:7: spec.data.columns.hour.type: "integer" is not a type; allowed: string, int (did you mean "int"?)
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if len(p.Allowed) > 0 {
		b.WriteString("; allowed: " + strings.Join(p.Allowed, ", "))
	}
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems lists all mistakes in a pipeline file, in the order of its lines.
// Load and ReadBundle return them as their error; errors.As finds them.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the list, for files that are not pipeline files at all.
const maxProblems = 100

// sorted returns the problems in the order of the file, nil if there are
// no problems.
func (ps Problems) sorted() error {
	if len(ps) == 0 {
		return nil
	}
	ps.Sort()
	return ps[:min(len(ps), maxProblems)]
}

// Sort puts the problems into the order of their lines; those without a line are
// first.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// didYouMean returns a hint for an unknown word, "" if no known word is similar.
func didYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// otherWords lists words of other systems for the known ones.
var otherWords = map[string][]string{
	"number": {"float"}, "double": {"float"}, "text": {"string"}, "category": {"string"}, "object": {"string"},
	"date": {"timestamp"}, "datetime": {"timestamp"}, "cut": {"holdout"}, "target": {"label", "target"},
	"auc": {"roc_auc"}, "logloss": {"log_loss"}, "classification": {TaskBinary},
	"csv": {"table"}, "parquet": {"table"}, "drop": {"ignore"}, "blue-green": {"direct"}, "kolmogorov": {"ks"},
}

// Nearest returns the known word with the smallest edit distance to the given
// one, for a "did you mean". It returns "" if every word differs in more
// letters than a third of the given word's and one. Words of other systems count as equal to the known words
// of the same meaning.
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return ""
	}
	for _, other := range otherWords[word] {
		if slices.Contains(known, other) {
			return other
		}
	}
	best, bestDistance := "", 2+len(word)/3
	for _, k := range known {
		d := editDistance(word, strings.ToLower(k))
		if len(k) >= 3 && len(word) >= 3 && (strings.HasPrefix(word, k) || strings.HasPrefix(k, word)) {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance returns the number of letters to insert, remove, replace or swap
// with a neighbour to turn a into b.
func editDistance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
