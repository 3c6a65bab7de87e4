package recording

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Defect is what a recording does not keep: where, what was found and what was expected.
// It is the error behind every complaint of this package about a file's content.
type Defect struct {
	File     string `json:"file"`              // relative to the dataset's folder, with slashes
	Column   string `json:"column,omitempty"`  // feature or column; empty where the whole file is meant
	Episode  *int   `json:"episode,omitempty"` // episode_index
	Row      *int   `json:"row,omitempty"`     // within File, counted from 0
	Found    string `json:"found"`
	Expected string `json:"expected"`

	cause error
}

// Error says everything in one line.
func (d *Defect) Error() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Column != "" {
		fmt.Fprintf(&b, ": column %s", d.Column)
	}
	if d.Episode != nil {
		fmt.Fprintf(&b, ": episode %d", *d.Episode)
	}
	if d.Row != nil {
		fmt.Fprintf(&b, ": row %d", *d.Row)
	}
	fmt.Fprintf(&b, ": have %s, want %s", d.Found, d.Expected)
	return b.String()
}

// Unwrap returns the error that revealed the defect, if there was one.
func (d *Defect) Unwrap() error { return d.cause }

// unreadable turns an error met while reading file into a Defect.
func unreadable(file string, err error, expected string) *Defect {
	var known *Defect
	if errors.As(err, &known) {
		return known
	}
	return &Defect{File: filepath.ToSlash(file), Found: err.Error(), Expected: expected, cause: err}
}
