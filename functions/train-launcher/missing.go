package trainlauncher

import (
	"errors"
	"fmt"
	"io"

	"millrace.dev/config"
	"millrace.dev/shared/table"
)

// writeMissing replaces the missing strings in the features of the files by what
// they are for the model (model.missing). So the trainer reads the value that
// the model gets at evaluation and in requests. The profile is that of the files
// as they were.
func writeMissing(c *config.Pipeline, profile *table.Profile, files []string) error {
	var columns []string
	for _, f := range c.Features() {
		if f.Type != config.TypeString || c.Spec.Model.Missing[f.Name] == config.MissingNaN {
			continue
		}
		if p := profile.Column(f.Name); p != nil && p.Nulls > 0 {
			columns = append(columns, f.Name)
		}
	}
	if columns == nil {
		return nil
	}
	for _, file := range files {
		if err := fillMissing(file, columns, c.Spec.Model.Missing); err != nil {
			return fmt.Errorf("write the missing values of the train part: %w", err)
		}
	}
	return nil
}

// fillMissing writes a file again with texts in the place of the nulls of columns.
func fillMissing(path string, columns []string, missing map[string]string) (err error) {
	r, err := table.Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := table.Create(path, r.Schema())
	if err != nil {
		return err
	}
	defer w.Abort()
	for {
		b, err := r.Next(batchRows)
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err != nil {
			return err
		}
		for _, name := range columns {
			v := b.Column(name)
			if v == nil || v.Nulls == nil {
				continue
			}
			text := missing[name]
			for i, null := range v.Nulls {
				if null {
					v.Strings[i] = text
				}
			}
			v.Nulls = nil
		}
		if err := w.Write(b); err != nil {
			return err
		}
	}
}
