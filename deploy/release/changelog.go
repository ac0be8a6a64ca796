package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// heading is the line that begins an entry: "## [0.1.0] - 2026-12-01".
var heading = regexp.MustCompile(`(?m)^## \[?([^\]\s]+)\]?(?: - (\S+))?[ \t]*$`)

// entry returns the text of a version's entry in a changelog that has the
// format of Keep a Changelog, without its heading. The error says what is
// missing: the entry, its date, or a text.
func entry(page, version string) (string, error) {
	if err := checkVersion(version); err != nil {
		return "", err
	}
	name := strings.TrimPrefix(version, "v")
	headings := heading.FindAllStringSubmatchIndex(page, -1)
	for i, h := range headings {
		if page[h[2]:h[3]] != name {
			continue
		}
		if h[4] < 0 {
			return "", fmt.Errorf("the entry of %s in CHANGELOG.md has no date; write: ## [%s] - 2026-12-01", version, name)
		}
		if date := page[h[4]:h[5]]; !isDate(date) {
			return "", fmt.Errorf("the entry of %s in CHANGELOG.md has the date %q, which is not a date such as 2026-12-01", version, date)
		}
		end := len(page)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		text := strings.TrimSpace(page[h[1]:end])
		if text == "" {
			return "", fmt.Errorf("the entry of %s in CHANGELOG.md is empty", version)
		}
		return text + "\n", nil
	}
	return "", fmt.Errorf("CHANGELOG.md has no entry of %s; write one under the heading: ## [%s] - 2026-12-01", version, name)
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// checkVersion accepts what Go accepts as a module's version: v0.1.0, v0.1.0-rc.1.
// From v2 on the module paths would have to end in /v2.
func checkVersion(version string) error {
	if semver.Canonical(version) != version || semver.Build(version) != "" {
		return fmt.Errorf("%q is not a version such as v0.1.0 or v0.1.0-rc.1", version)
	}
	if major := semver.Major(version); major != "v0" && major != "v1" {
		return fmt.Errorf("%s cannot be released: Go wants module paths that end in /%s from there on", version, major)
	}
	return nil
}
