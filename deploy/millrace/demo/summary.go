package demo

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"millrace.dev/functions/gateway/api"
)

// Summary is the content of the JSON file that a demo writes beside its folder.
type Summary struct {
	OK      bool         `json:"ok"`
	Seconds float64      `json:"seconds"`
	Steps   []StepResult `json:"steps"`
	// Models are the versions at the end.
	Models []api.ModelRow `json:"models"`
}

// StepResult is the result of one step.
type StepResult struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	// Detail says what happened, or what went wrong.
	Detail string `json:"detail"`
}

func (s Summary) save(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
