package table

import "strings"

// Type is the type of a column.
type Type string

// The types a column can have.
const (
	String    Type = "string"
	Int       Type = "int"   // 64 bit, signed
	Float     Type = "float" // 64 bit
	Bool      Type = "bool"
	Timestamp Type = "timestamp" // microseconds since 1970, UTC
)

// Column is the name and the type of one column.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// Schema is the columns of a table in their order.
type Schema []Column

// Index returns the position of the column called name, or -1.
func (s Schema) Index(name string) int {
	for i, c := range s {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// Names returns the names of the columns in their order.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, c := range s {
		names[i] = c.Name
	}
	return names
}

// String lists the columns as "name type, name type".
func (s Schema) String() string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.Name + " " + string(c.Type))
	}
	return b.String()
}

// ReadSchema returns the columns of the canonical Parquet file at path and its
// number of rows, from the file's footer alone. A file that is not a canonical
// table is an *[Unreadable].
func ReadSchema(path string) (Schema, int64, error) {
	t, err := openFile(path)
	if err != nil {
		return nil, 0, err
	}
	defer t.Close()
	return t.schema, t.pq.NumRows(), nil
}
