package source

import (
	"fmt"
	"slices"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// builder gathers rows and writes them as a table.
type builder struct {
	in      *input
	out     string
	columns []*outColumn
	w       *table.Writer
	rows    int64
	pending int
	batch   int // rows that are written at once
	faults  faults
	aside   *aside             // of rows that do not fit; nil if they are not set aside
	raw     func(i int) string // the text of row i of those that end now, for aside
}

// outColumn is one column of the table.
type outColumn struct {
	name     string
	cell     *cell.Column
	contract *Column // nil for a column that the contract does not list
	missing  bool    // the file does not have it
	folder   *string // its value, if a folder of the file's name has it
}

// plan decides what becomes of the columns of a file. It returns for each the
// index of its column in the table, -1 if it is left out. types are those of
// columns that the contract does not list; without them they are text.
func (b *builder) plan(names []string, types func(i int) table.Type) ([]int, error) {
	index := make(map[string]int, len(names))
	for i, name := range names {
		index[name] = i
	}
	slots := make([]int, len(names))
	for i := range slots {
		slots[i] = -1
	}
	opts := b.in.opts
	taken := make(map[string]bool, len(opts.Columns))
	if err := opts.Missing(b.in.src.Name, names); err != nil {
		return nil, err
	}
	for i := range opts.Columns {
		c := &opts.Columns[i]
		taken[c.Name] = true
		at, err := b.find(c, index)
		switch {
		case err != nil:
			return nil, err
		case at >= 0:
			slots[at] = len(b.columns)
		}
		column := &outColumn{name: c.Name, cell: cell.New(b.in.rule(c.Rule)), contract: c, missing: at < 0}
		if value, null, ok := c.folderValue(b.in.src.Name); ok && at < 0 {
			column.folder = &value
			if null {
				column.contract = nil // without a default
				column.folder = nil
			}
		} else if at < 0 && opts.Partial {
			continue
		}
		b.columns = append(b.columns, column)
	}
	for i, name := range names {
		if slots[i] >= 0 || opts.Extra == Drop && len(opts.Columns) > 0 || taken[name] {
			continue
		}
		typ := table.String
		if types != nil {
			typ = types(i)
		}
		slots[i] = len(b.columns)
		b.columns = append(b.columns, &outColumn{name: name, cell: cell.New(cell.Rule{Type: typ, Nulls: opts.Nulls})})
	}
	if opts.Partial {
		b.orderAsFile(slots)
	}
	return slots, b.create()
}

// Missing returns the *[table.Unreadable] for columns of the contract that a
// file with columns of these names lacks, nil if it has all, or its name has.
func (o Options) Missing(file string, names []string) error {
	if o.Partial {
		return nil
	}
	have := make(map[string]bool, len(names))
	for _, name := range names {
		have[name] = true
	}
	var missing []string
	for _, c := range o.Columns {
		if c.Optional || have[c.Name] || slices.ContainsFunc(c.From, func(name string) bool { return have[name] }) {
			continue
		}
		if _, _, ok := c.folderValue(file); !ok {
			missing = append(missing, c.Name)
		}
	}
	if missing == nil {
		return nil
	}
	return table.MissingColumns(file, missing, names)
}

// find returns where a column of the contract is in the file, -1 if it is not.
func (b *builder) find(c *Column, index map[string]int) (int, error) {
	at, found := -1, ""
	for _, name := range append([]string{c.Name}, c.From...) {
		i, ok := index[name]
		if !ok || i == at {
			continue
		}
		if at >= 0 {
			return 0, b.in.reject(fmt.Sprintf("%q and %q are both the column %q of the contract", found, name, c.Name), "leave one of them out")
		}
		at, found = i, name
	}
	return at, nil
}

// orderAsFile puts the columns into the order of the file.
func (b *builder) orderAsFile(slots []int) {
	var ordered []*outColumn
	for i, slot := range slots {
		if slot >= 0 {
			slots[i] = len(ordered)
			ordered = append(ordered, b.columns[slot])
		}
	}
	for _, c := range b.columns {
		if c.missing {
			ordered = append(ordered, c)
		}
	}
	b.columns = ordered
}

// rule returns the rule by which the values of the file are read: marks of
// numbers are how CSV writes them.
func (in *input) rule(r cell.Rule) cell.Rule {
	if in.format != CSV && in.format != TSV {
		r.Decimal, r.Thousands = 0, 0
	}
	return r
}

func (b *builder) schema() table.Schema {
	s := make(table.Schema, len(b.columns))
	for i, c := range b.columns {
		s[i] = table.Column{Name: c.name, Type: c.cell.Type()}
	}
	return s
}

func (b *builder) create() (err error) {
	if len(b.columns) == 0 {
		return b.in.reject("it has no columns", "check what was uploaded")
	}
	b.batch = min(8192, max(64, 1<<19/len(b.columns)))
	if b.w, err = table.Create(b.out, b.schema()); err != nil {
		return err
	}
	return b.openAside()
}

// endRow ends a row to which every column was added that the file has.
func (b *builder) endRow(line int64) error {
	for i, c := range b.columns {
		if c.missing {
			b.addDefault(i, c, b.rows, line)
		}
	}
	return b.endRows(1, line)
}

// endRows ends rows to which every column was added, the first of them on that
// line.
func (b *builder) endRows(n int, line int64) error {
	if b.aside != nil {
		if err := b.setAside(n, line); err != nil {
			return err
		}
	}
	b.rows += int64(n)
	b.pending += n
	if err := b.in.rowsAllowed(b.rows); err != nil {
		return err
	}
	if b.pending < b.batch {
		return nil
	}
	return b.flush()
}

// addDefault adds the value of a column that the file does not have.
func (b *builder) addDefault(i int, c *outColumn, row, line int64) {
	var text []byte
	switch {
	case c.folder != nil:
		text = []byte(*c.folder)
	case c.contract == nil || c.contract.Default == "":
		c.cell.AddNull()
		return
	default:
		text = []byte(c.contract.Default)
	}
	if r := c.cell.AddText(text, true); r != nil {
		b.fault(i, row, line, text, r)
	}
}

// flush writes the pending rows without those that are set aside; nothing if
// something is wrong with any row so far and none are set aside.
func (b *builder) flush() error {
	if b.pending == 0 {
		return nil
	}
	batch := &table.Batch{Schema: b.schema(), Rows: b.pending}
	if b.aside != nil || !b.faults.any() {
		for _, c := range b.columns {
			batch.Columns = append(batch.Columns, c.cell.Vector())
		}
		b.leaveOut(batch)
		if err := b.w.Write(batch); err != nil {
			return err
		}
	}
	for _, c := range b.columns {
		c.cell.Reset()
	}
	b.pending = 0
	return nil
}

// leaveOut takes the rows out of a batch that are set aside.
func (b *builder) leaveOut(batch *table.Batch) {
	if b.aside == nil || len(b.aside.drop) == 0 {
		return
	}
	for i, v := range batch.Columns {
		batch.Columns[i] = without(v, b.aside.drop)
	}
	batch.Rows -= len(b.aside.drop)
	b.aside.drop = b.aside.drop[:0]
}

// finish writes what is left and puts the table in its place.
func (b *builder) finish() (*Result, error) {
	if err := b.flush(); err != nil {
		return nil, err
	}
	if b.aside == nil && b.faults.any() {
		return nil, b.faults.err(b)
	}
	if b.rows == 0 {
		return nil, b.in.reject("it has no rows", "add at least one row")
	}
	result := &Result{Schema: b.schema(), Rows: b.rows}
	if b.aside != nil {
		var err error
		if result.Aside, err = b.aside.finish(b); err != nil {
			return nil, err
		}
		result.Rows -= result.Aside.Rows
	}
	if b.w.Rows() != result.Rows {
		return nil, fmt.Errorf("%s: %d of %d rows were written", b.in.src.Name, b.w.Rows(), result.Rows)
	}
	return result, b.w.Close()
}

func (b *builder) abort() {
	if b.aside != nil {
		b.aside.abort()
	}
	if b.w != nil {
		b.w.Abort()
	}
}
