package source

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// Layout is where the table is in an Excel workbook. The zero value is the first
// sheet with one header row.
type Layout struct {
	Sheet  string // its name; empty: the first
	Skip   int    // rows of the sheet before the header
	Header int    // header rows, the first with the names; 0: 1
}

// What a part of a workbook may have. Excel itself has a million rows of 16384
// columns, and 32767 characters in a cell.
const (
	maxExcelRow  = 1 << 20
	maxPartBytes = 16 << 20 // of the parts that are not streamed
	maxXMLDepth  = 64
)

const saveWorkbook = "open it in Excel or LibreOffice, and save it again as .xlsx"

// workbook is an Excel workbook that is being read.
type workbook struct {
	in       *input
	ctx      context.Context
	zip      *zip.ReadCloser
	parts    map[string]*zip.File
	read     int64 // bytes of all parts so far, uncompressed
	strings  *sharedStrings
	styles   []excelStyle
	date1904 bool
	sheet    string // the part that is the sheet
}

// relationships is what other parts a part of the workbook names.
type relationships struct {
	List []struct {
		ID     string `xml:"Id,attr"`
		Type   string `xml:"Type,attr"`
		Target string `xml:"Target,attr"`
	} `xml:"Relationship"`
}

// workbookPart is the part that lists the sheets.
type workbookPart struct {
	Properties struct {
		Date1904 string `xml:"date1904,attr"`
	} `xml:"workbookPr"`
	Sheets []sheetEntry `xml:"sheets>sheet"`
}

type sheetEntry struct {
	Name  string     `xml:"name,attr"`
	State string     `xml:"state,attr"`
	Attrs []xml.Attr `xml:",any,attr"` // r:id, in one of two name spaces
}

// openExcel opens the workbook and finds the sheet.
func (in *input) openExcel(ctx context.Context) (*workbook, error) {
	if in.compression != "" {
		return nil, in.reject("an Excel workbook is compressed already, and its name says "+in.compression, "upload the .xlsx itself")
	}
	z, err := zip.OpenReader(in.src.Path)
	if err != nil {
		return nil, in.notExcel(err)
	}
	w := &workbook{in: in, ctx: ctx, zip: z, parts: map[string]*zip.File{}}
	for _, f := range z.File {
		w.parts[strings.TrimPrefix(f.Name, "/")] = f
	}
	if err := w.inspect(); err != nil {
		return nil, errors.Join(err, z.Close())
	}
	return w, nil
}

func (w *workbook) Close() error { return w.zip.Close() }

// notExcel says what a file is that is no zip archive.
func (in *input) notExcel(cause error) error {
	head, err := in.head()
	if err != nil {
		return err
	}
	switch is := misnamed(head); {
	case strings.HasPrefix(string(head), zipMagic):
	case strings.HasPrefix(string(head), oleMagic):
		return in.reject("it is an .xls of old Excel, or has a password", "save it as .xlsx without a password")
	case is != "":
		return in.reject("its name says Excel, but it is "+is, "")
	}
	return in.reject(fmt.Sprintf("it is not an Excel workbook, or is cut off (%v)", cause), saveWorkbook)
}

// head returns the first bytes of the file.
func (in *input) head() ([]byte, error) {
	f, err := os.Open(in.src.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 16))
	return head, err
}

// inspect reads what the workbook says about its sheets, styles and texts.
func (w *workbook) inspect() error {
	const first = "_rels/.rels"
	if w.parts[first] == nil {
		return w.in.reject("it is a zip archive and no Excel workbook", "name an archive .zip, or "+saveWorkbook)
	}
	main, err := w.related("")
	if err != nil {
		return err
	}
	name := main.of("/officeDocument")
	if name == "" || w.parts[name] == nil {
		return w.in.reject("it is no Excel workbook: it lists no sheets", saveWorkbook)
	}
	var book workbookPart
	if err := w.decode(name, &book); err != nil {
		return err
	}
	w.date1904 = book.Properties.Date1904 == "1" || book.Properties.Date1904 == "true"
	parts, err := w.related(name)
	if err != nil {
		return err
	}
	if err := w.findSheet(book.Sheets, parts); err != nil {
		return err
	}
	if err := w.readStyles(parts.of("/styles")); err != nil {
		return err
	}
	return w.readStrings(parts.of("/sharedStrings"))
}

// related returns the parts that a part names: its targets by id and by type.
func (w *workbook) related(name string) (*relatedParts, error) {
	dir, base := path.Split(name)
	rels := dir + "_rels/" + base + ".rels"
	found := &relatedParts{byID: map[string]string{}, byType: map[string]string{}}
	if w.parts[rels] == nil {
		return found, nil
	}
	var all relationships
	if err := w.decode(rels, &all); err != nil {
		return nil, err
	}
	for _, r := range all.List {
		target := strings.TrimPrefix(r.Target, "/")
		if target == r.Target {
			target = path.Join(dir, target)
		}
		found.byID[r.ID] = target
		if _, ok := found.byType[r.Type]; !ok {
			found.byType[r.Type] = target
		}
	}
	return found, nil
}

type relatedParts struct{ byID, byType map[string]string }

// of returns the part whose type ends so: types have two name spaces.
func (r *relatedParts) of(suffix string) string {
	for _, typ := range slices.Sorted(maps.Keys(r.byType)) {
		if strings.HasSuffix(typ, suffix) {
			return r.byType[typ]
		}
	}
	return ""
}

// findSheet finds the sheet that the layout names, or the first.
func (w *workbook) findSheet(sheets []sheetEntry, parts *relatedParts) error {
	var names []string
	for _, s := range sheets {
		names = append(names, fmt.Sprintf("%q", s.Name))
	}
	wanted := w.in.opts.Excel.Sheet
	i := 0
	if wanted != "" {
		i = slices.IndexFunc(sheets, func(s sheetEntry) bool { return s.Name == wanted })
	}
	switch {
	case len(sheets) == 0:
		return w.in.reject("the workbook has no sheets", saveWorkbook)
	case i < 0:
		return w.in.reject(fmt.Sprintf("the workbook has no sheet %q; it has %s", wanted, strings.Join(names, ", ")), "correct data.xlsx.sheet, or the name of the sheet")
	case wanted == "" && sheets[0].State != "" && sheets[0].State != "visible":
		return w.in.reject(fmt.Sprintf("the first sheet, %q, is hidden; the sheets are %s", sheets[0].Name, strings.Join(names, ", ")), "name the sheet in data.xlsx.sheet")
	}
	for _, a := range sheets[i].Attrs {
		if a.Name.Local == "id" {
			w.sheet = parts.byID[a.Value]
		}
	}
	if w.parts[w.sheet] == nil {
		return w.in.reject(fmt.Sprintf("the sheet %q is not in the workbook", sheets[i].Name), saveWorkbook)
	}
	return nil
}

// decode reads a small part.
func (w *workbook) decode(name string, into any) error {
	p, err := w.open(name, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	p.plain.most = maxPartBytes
	return p.fault(p.xml.Decode(into))
}

// part is one XML file of the workbook that is being read.
type part struct {
	w     *workbook
	name  string
	file  io.ReadCloser
	plain *guarded
	xml   *xml.Decoder
	depth int
}

// open opens a part. What is read of it is written to tee, too, if it is there.
func (w *workbook) open(name string, tee io.Writer) (*part, error) {
	f, err := w.parts[name].Open()
	if err != nil {
		return nil, w.in.reject(fmt.Sprintf("its part %s cannot be read (%v)", name, err), saveWorkbook)
	}
	p := &part{w: w, name: name, file: f}
	p.plain = &guarded{w: w, r: f, tee: tee}
	p.xml = xml.NewDecoder(p.plain)
	return p, nil
}

func (p *part) Close() error { return p.file.Close() }

// next returns the next token.
func (p *part) next() (xml.Token, error) {
	t, err := p.xml.Token()
	switch t.(type) {
	case xml.StartElement:
		p.depth++
	case xml.EndElement:
		p.depth--
	}
	if p.depth > maxXMLDepth {
		return nil, p.w.in.reject(fmt.Sprintf("its part %s has elements inside of elements %d times", p.name, p.depth), saveWorkbook)
	}
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return t, p.fault(err)
}

// rest reads what is left of the part, whose checksum is at the end.
func (p *part) rest() error {
	_, err := io.Copy(io.Discard, p.plain)
	return p.fault(err)
}

// fault makes what is wrong with a part an answer about the file.
func (p *part) fault(err error) error {
	if err == nil || errors.As(err, new(*table.Unreadable)) || p.w.ctx.Err() != nil {
		return err
	}
	return p.w.in.reject(fmt.Sprintf("its part %s is damaged (%v)", p.name, err), saveWorkbook)
}

// guarded reads a part within the limits: of all bytes of the workbook, and of
// one piece of XML, which the decoder keeps in memory.
type guarded struct {
	w     *workbook
	r     io.Reader
	tee   io.Writer
	most  int64 // bytes of the part; 0: as many as of the workbook
	read  int64
	piece int64
	open  bool // the last byte was <
}

func (g *guarded) Read(b []byte) (int, error) {
	if g.w.ctx.Err() != nil {
		return 0, context.Cause(g.w.ctx)
	}
	n, err := g.r.Read(b)
	g.w.read += int64(n)
	g.read += int64(n)
	in := g.w.in
	switch {
	case g.most > 0 && g.read > g.most:
		return 0, in.reject(fmt.Sprintf("a part of it that is no sheet has more than the %s that are allowed", size(g.most)), saveWorkbook)
	case g.w.read > in.lim.Bytes:
		return 0, in.reject(fmt.Sprintf("uncompressed it has more than the %s that are allowed", size(in.lim.Bytes)), "split it")
	}
	for i, c := range b[:n] {
		begins := g.read-int64(n-i) < 8 // <?xml stands there
		if g.open && (c == '!' || c == '?' && !begins) {
			return 0, in.reject("it has comments or declarations inside its XML, which Excel does not write", saveWorkbook)
		}
		if g.open = c == '<'; g.open {
			g.piece = 0
		}
		if g.piece++; g.piece > in.lim.LineBytes {
			return 0, in.reject(fmt.Sprintf("a cell is longer than the %s that are allowed", size(in.lim.LineBytes)), "shorten it")
		}
	}
	if g.tee != nil {
		if _, err := g.tee.Write(b[:n]); err != nil {
			return 0, err
		}
	}
	return n, err
}
