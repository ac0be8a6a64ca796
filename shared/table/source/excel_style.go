package source

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/table/cell"
)

// excelStyle is what a number is by the format in which Excel shows it.
type excelStyle int

const (
	plainStyle excelStyle = iota
	dateStyle
	dateTimeStyle
	timeStyle     // of a day
	durationStyle // [h]:mm
	percentStyle
)

// stylesPart is the part with the formats.
type stylesPart struct {
	Formats []struct {
		ID   int    `xml:"numFmtId,attr"`
		Code string `xml:"formatCode,attr"`
	} `xml:"numFmts>numFmt"`
	Cells []struct {
		Format int `xml:"numFmtId,attr"`
	} `xml:"cellXfs>xf"`
}

// readStyles reads the part with the formats, if the workbook has one.
func (w *workbook) readStyles(name string) error {
	if name == "" || w.parts[name] == nil {
		return nil
	}
	var styles stylesPart
	if err := w.decode(name, &styles); err != nil {
		return err
	}
	custom := map[int]string{}
	for _, f := range styles.Formats {
		custom[f.ID] = f.Code
	}
	for _, c := range styles.Cells {
		style := builtinStyle(c.Format)
		if code, ok := custom[c.Format]; ok {
			style = styleOf(code)
		}
		w.styles = append(w.styles, style)
	}
	return nil
}

// builtinStyle is what the formats are that are in no file: ECMA-376 part 1,
// 18.8.30, with those of East Asian Excels.
func builtinStyle(id int) excelStyle {
	switch {
	case id == 9 || id == 10:
		return percentStyle
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return dateStyle
	case id == 22:
		return dateTimeStyle
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id == 45, id == 47, id == 55, id == 56:
		return timeStyle
	case id == 46:
		return durationStyle
	}
	return plainStyle
}

var (
	// literals are the parts of a format that are shown as they are, and conditions,
	// colours and locales.
	literals = regexp.MustCompile(`"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]?`)
	elapsed  = regexp.MustCompile(`\[(h+|m+|s+)\]`)
)

// styleOf is what the format is that a workbook has made, by its first section.
func styleOf(code string) excelStyle {
	code = strings.ToLower(code)
	duration := elapsed.MatchString(code)
	code, _, _ = strings.Cut(literals.ReplaceAllString(code, ""), ";")
	code = strings.NewReplacer("am/pm", "h", "a/p", "h", "general", "").Replace(code)
	clock := strings.ContainsAny(code, "hs")
	date := strings.ContainsAny(code, "yd") || strings.Contains(code, "m") && !clock && !duration
	switch {
	case date && clock:
		return dateTimeStyle
	case date:
		return dateStyle
	case duration:
		return durationStyle
	case clock:
		return timeStyle
	case strings.Contains(code, "%"):
		return percentStyle
	}
	return plainStyle
}

const dayMillis = 24 * 60 * 60 * 1000

// styled makes a number what its style says: a time, counted in days. Excel
// counts in doubles and shows milliseconds, to which it is rounded.
func (w *workbook) styled(v sheetCell, style excelStyle) sheetCell {
	if style == plainStyle {
		return v
	}
	if style == percentStyle {
		v.percent = true
		return v
	}
	days, err := strconv.ParseFloat(string(v.text), 64)
	if err != nil || math.Abs(days) > 1e7 {
		return v.refused("is shown as a time and is not one", "correct the value, or its format in Excel")
	}
	millis := int64(math.Round(days * dayMillis))
	if millis >= 0 && (style == durationStyle || style == timeStyle && millis <= dayMillis) {
		v.text = clockText(millis)
		return v
	}
	from := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	day := millis / dayMillis
	switch {
	case w.date1904:
		from = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case day == 60:
		return v.refused("is shown as 29 February 1900, a day that there never was", "correct the value")
	case day == 0:
		return v.refused("is shown as a date and is before the first, 1 January 1900", "correct the value, or its format in Excel")
	case day < 60:
		from = from.AddDate(0, 0, 1)
	}
	at := from.AddDate(0, 0, int(day)).Add(time.Duration(millis%dayMillis) * time.Millisecond)
	if millis < 0 || at.Year() > 9999 {
		return v.refused("is shown as a date and is outside of those that Excel knows", "correct the value, or its format in Excel")
	}
	v.kind, v.micros, v.date = timeCell, at.UnixMicro(), style == dateStyle && millis%dayMillis == 0
	v.text = []byte(cell.TimeText(v.micros, true, v.date))
	return v
}

// clockText writes a time of the day, or a length of time: 06:30:00, 26:00:00.5.
func clockText(millis int64) []byte {
	text := fmt.Sprintf("%02d:%02d:%02d", millis/3_600_000, millis/60_000%60, millis/1000%60)
	if rest := millis % 1000; rest > 0 {
		text += strings.TrimRight(fmt.Sprintf(".%03d", rest), "0")
	}
	return []byte(text)
}

// hundredfold writes a number times 100, exactly: of 0.05 shown as 5 %.
func hundredfold(text []byte) []byte {
	mantissa, exponent := string(text), 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		n, err := strconv.Atoi(strings.TrimPrefix(mantissa[i+1:], "+"))
		if err != nil {
			return text
		}
		mantissa, exponent = mantissa[:i], n
	}
	return fmt.Appendf(nil, "%se%d", mantissa, exponent+2)
}
