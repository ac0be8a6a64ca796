package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/shared/table/duck"
)

// rowNumber orders the rows of a file of labels within a statement.
const rowNumber = "_millrace_row"

// onceSQL leaves the last row of each key, in the order of the file.
func onceSQL(l *labelTable) string {
	var given []string
	for _, name := range append(slices.Clone(l.key), l.label) {
		given = append(given, quoted(name)+" IS NOT NULL")
	}
	return fmt.Sprintf(`
SELECT * EXCLUDE (%[1]s)
FROM (SELECT *, row_number() OVER () AS %[1]s FROM upload)
WHERE %[2]s
QUALIFY row_number() OVER (PARTITION BY %[3]s ORDER BY %[1]s DESC) = 1
ORDER BY %[1]s`, quoted(rowNumber), strings.Join(given, " AND "), columnList("", l.key))
}

// joinSQL gives, for each label that has one, the newest prediction with the
// label beside it, in the order of the labels. What was logged stands first;
// of the labels' columns those follow that were not logged.
func joinSQL(l *labelTable, logged []string) string {
	own := slices.DeleteFunc(slices.Clone(l.schema.Names()), func(name string) bool {
		return name != l.label && slices.Contains(logged, name)
	})
	logged = slices.DeleteFunc(slices.Clone(logged), func(name string) bool { return name == l.label })
	on := make([]string, len(l.key))
	for i, name := range l.key {
		on[i] = "l." + quoted(name) + " = p." + quoted(name)
	}
	return fmt.Sprintf(`
SELECT %[1]s, %[2]s
FROM (SELECT *, row_number() OVER () AS %[3]s FROM upload) AS l
JOIN (
	SELECT * FROM dataset
	QUALIFY row_number() OVER (PARTITION BY %[4]s ORDER BY "time" DESC, "version" DESC, "request_id" DESC, "row" DESC) = 1
) AS p ON %[5]s
ORDER BY l.%[3]s`, columnList("p.", logged), columnList("l.", own), quoted(rowNumber), columnList("", l.key), strings.Join(on, " AND "))
}

// join writes the labels that have a prediction in one of the batches, with it
// beside them, to out and stores the file.
func (f *F) join(ctx context.Context, l *labelTable, batches []batch, out string) (stored, error) {
	in := &duck.PrepareInput{}
	var logged []string
	for _, b := range batches {
		in.Dataset = append(in.Dataset, b.path)
		for _, c := range b.schema {
			if !slices.Contains(logged, c.Name) {
				logged = append(logged, c.Name)
			}
		}
	}
	in.SQL = joinSQL(l, logged)
	t, err := f.convert(ctx, duck.Source{Path: l.path, Name: "labels.parquet"}, in, out)
	if err != nil {
		return stored{}, fmt.Errorf("join labels with predictions: %w", err)
	}
	return t, nil
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func columnList(prefix string, names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = prefix + quoted(name)
	}
	return strings.Join(list, ", ")
}
