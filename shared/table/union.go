package table

import "fmt"

// unionSchema returns the columns of all files, in the order they first appear.
func unionSchema(paths []string) (Schema, error) {
	var all Schema
	for _, path := range paths {
		s, _, err := ReadSchema(path)
		if err != nil {
			return nil, err
		}
		for _, c := range s {
			i := all.Index(c.Name)
			if i < 0 {
				all = append(all, c)
				continue
			}
			if all[i].Type != c.Type {
				return nil, &Unreadable{Column: c.Name, Reason: fmt.Sprintf("column %q is %s in one file and %s in another", c.Name, all[i].Type, c.Type)}
			}
		}
	}
	return all, nil
}

// unionReader reads a file as if it had all columns of a schema: those it lacks
// are null.
type unionReader struct {
	*Reader
	schema Schema
	from   []int // of each column: its place in the file, or -1
	nulls  []bool
	batch  Batch
}

func openAs(path string, schema Schema) (*unionReader, error) {
	have, _, err := ReadSchema(path)
	if err != nil {
		return nil, err
	}
	u := &unionReader{schema: schema}
	var names []string
	for _, c := range schema {
		if have.Index(c.Name) < 0 {
			u.from = append(u.from, -1)
			continue
		}
		u.from = append(u.from, len(names))
		names = append(names, c.Name)
	}
	u.Reader, err = Open(path, names)
	return u, err
}

// Next is Reader.Next with all columns of the schema.
func (u *unionReader) Next(n int) (*Batch, error) {
	b, err := u.Reader.Next(n)
	if err != nil {
		return nil, err
	}
	u.batch.Schema, u.batch.Rows, u.batch.Columns = u.schema, b.Rows, u.batch.Columns[:0]
	for i, from := range u.from {
		if from >= 0 {
			u.batch.Columns = append(u.batch.Columns, b.Columns[from])
			continue
		}
		u.batch.Columns = append(u.batch.Columns, u.missing(u.schema[i].Type, b.Rows))
	}
	return &u.batch, nil
}

func (u *unionReader) missing(typ Type, rows int) Vector {
	for len(u.nulls) < rows {
		u.nulls = append(u.nulls, true)
	}
	v := Vector{Nulls: u.nulls[:rows]}
	switch typ {
	case String:
		v.Strings = make([]string, rows)
	case Float:
		v.Floats = make([]float64, rows)
	case Bool:
		v.Bools = make([]bool, rows)
	default:
		v.Ints = make([]int64, rows)
	}
	return v
}
