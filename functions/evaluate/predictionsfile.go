package evaluate

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// predictionsFile is the file that a trainer leaves with its own answers.
	predictionsFile = "predictions.parquet"
	// Its columns.
	rowColumn         = "row"
	predictionColumn  = "prediction"
	probabilityPrefix = "probability_"

	// maxPredictions bounds the file in bytes, maxPredicted its rows, maxCompared
	// the rows that are compared: of more, an even sample. comparedValues bounds
	// their answers, so that there are fewer rows of a model with many classes.
	maxPredictions = 256 << 20
	maxPredicted   = 50_000_000
	maxCompared    = 20_000
	comparedValues = 2_000_000
)

// left are the answers that a trainer left for some of its rows, by ascending
// number of the row.
type left struct {
	rows []leftRow
	// classes are the places of the answers' classes in the model's; of a
	// regression 0.
	classes []int
	// names are the columns of the answers.
	names []string
}

type leftRow struct {
	row     int64
	answers []float64
}

// readPredictions reads the answers to at most maxCompared rows. What is wrong
// with the file is a refusal.
func readPredictions(path string, classes []string) (l *left, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPredictions {
		return nil, refuse("%s has %d bytes; at most %d are read: leave the answers to fewer rows, %d are compared", predictionsFile, info.Size(), maxPredictions, maxCompared)
	}
	// parquet-go may panic on malformed input; report that as a damaged file.
	defer func() {
		if r := recover(); r != nil {
			err = refuse("%s is not a whole Parquet file (%v)", predictionsFile, r)
		}
	}()
	pq, err := parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, refuse("%s is not a whole Parquet file (%v)", predictionsFile, err)
	}
	l = &left{}
	columns, err := l.columns(pq.Root(), classes)
	if err != nil {
		return nil, err
	}
	most := min(maxCompared, max(1, comparedValues/int64(len(l.names))))
	switch n := pq.NumRows(); {
	case n == 0:
		return nil, refuse("%s has no rows", predictionsFile)
	case n > maxPredicted:
		return nil, refuse("%s has %d rows; at most %d are read: leave the answers to fewer rows, %d are compared", predictionsFile, n, maxPredicted, most)
	}
	step := (pq.NumRows() + most - 1) / most
	answers := make([][]float64, len(l.names))
	rows, err := sampled(pq, columns[0], step)
	if err != nil {
		return nil, err
	}
	for i, c := range columns[1:] {
		if answers[i], err = sampled(pq, c, step); err != nil {
			return nil, err
		}
	}
	for i, number := range rows {
		if number != math.Trunc(number) || number < 0 || number >= 1<<53 {
			return nil, refuse("the column %s of %s has %v, which is not the number of a row: count the rows of the train part from 0, over all files in the order of their names",
				rowColumn, predictionsFile, number)
		}
		r := leftRow{row: int64(number)}
		for _, values := range answers {
			r.answers = append(r.answers, values[i])
		}
		l.rows = append(l.rows, r)
	}
	slices.SortStableFunc(l.rows, func(a, b leftRow) int { return int(min(1, max(-1, a.row-b.row))) })
	return l, nil
}

// columns finds the columns of the file: the row's, then those of the answers.
func (l *left) columns(root *parquet.Column, classes []string) (columns []*parquet.Column, err error) {
	var row *parquet.Column
	var wrong []string
	for _, c := range root.Columns() {
		class, isProbability := strings.CutPrefix(c.Name(), probabilityPrefix)
		place := 0
		switch {
		case c.Name() == rowColumn:
			row = c
		case len(classes) == 0 && c.Name() == predictionColumn:
		case len(classes) > 0 && isProbability:
			if place = placeOf(classes, class); place < 0 {
				wrong = append(wrong, fmt.Sprintf("%s is of no class; the classes are %s", c.Name(), strings.Join(classes, ", ")))
				continue
			}
		default:
			continue // it is not compared
		}
		if !isNumber(c) {
			wrong = append(wrong, fmt.Sprintf("%s is not a column of numbers (int32, int64, float or double)", c.Name()))
			continue
		}
		if c == row {
			continue
		}
		columns, l.names, l.classes = append(columns, c), append(l.names, c.Name()), append(l.classes, place)
	}
	if row == nil {
		wrong = append(wrong, "it has no column "+rowColumn)
	}
	if columns == nil && wrong == nil {
		want := predictionColumn
		if len(classes) > 0 {
			want = probabilityPrefix + classes[len(classes)-1]
		}
		wrong = append(wrong, "it has no answers: the column "+want+" is missing")
	}
	if wrong != nil {
		return nil, refuse("%s cannot be compared: %s", predictionsFile, strings.Join(wrong, "; "))
	}
	return append([]*parquet.Column{row}, columns...), nil
}

// placeOf returns the place of a class, -1 without a match. Python writes a bool
// as True.
func placeOf(classes []string, class string) int {
	if i := slices.Index(classes, class); i >= 0 {
		return i
	}
	return slices.IndexFunc(classes, func(c string) bool { return strings.EqualFold(c, class) })
}

func isNumber(c *parquet.Column) bool {
	if !c.Leaf() || c.Repeated() {
		return false
	}
	whole := true
	if l := c.Type().LogicalType(); l != nil && l.Value != nil {
		_, whole = l.Value.(*format.IntType)
	}
	switch c.Type().Kind() {
	case parquet.Int32, parquet.Int64:
		return whole
	case parquet.Float, parquet.Double:
		return true
	}
	return false
}

// sampled reads every step-th value of a column, NaN for null.
func sampled(pq *parquet.File, c *parquet.Column, step int64) (values []float64, err error) {
	buffer := make([]parquet.Value, 4096)
	at := int64(0)
	for _, group := range pq.RowGroups() {
		pages := group.ColumnChunks()[c.Index()].Pages()
		for {
			page, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, errors.Join(refuse("%s cannot be read: column %s: %v", predictionsFile, c.Name(), err), pages.Close())
			}
			reader := page.Values()
			for {
				n, err := reader.ReadValues(buffer)
				for _, v := range buffer[:n] {
					if at%step == 0 {
						values = append(values, numberOf(v))
					}
					at++
				}
				if err != nil || n == 0 {
					break
				}
			}
			parquet.Release(page)
		}
		if err := pages.Close(); err != nil {
			return nil, err
		}
	}
	if at != pq.NumRows() {
		return nil, refuse("%s is not a whole Parquet file: column %s has %d values of %d", predictionsFile, c.Name(), at, pq.NumRows())
	}
	return values, nil
}

func numberOf(v parquet.Value) float64 {
	switch v.Kind() {
	case parquet.Int32:
		return float64(v.Int32())
	case parquet.Int64:
		return float64(v.Int64())
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	return math.NaN() // null
}
