package actions

import (
	"fmt"
	"slices"
)

// Dimension is one named number of a state or action vector.
type Dimension struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit,omitempty"`     // "rad", "m", "px"; empty for a plain number
	Min     float32 `json:"min"`                // smallest allowed value, in Unit
	Max     float32 `json:"max"`                // largest allowed value, in Unit
	MaxRate float32 `json:"max_rate,omitempty"` // largest change in Unit/s; 0 means no limit
}

// Space names the dimensions of a state or action vector, in order.
type Space []Dimension

// Names returns the dimensions' names in order.
func (s Space) Names() []string {
	names := make([]string, len(s))
	for i, d := range s {
		names[i] = d.Name
	}
	return names
}

// Index returns the position of the dimension called name, or -1.
func (s Space) Index(name string) int {
	return slices.IndexFunc(s, func(d Dimension) bool { return d.Name == name })
}

// Validate reports a dimension without a name, a repeated name, or limits that are
// empty or not finite.
func (s Space) Validate() error {
	seen := make(map[string]bool, len(s))
	for i, d := range s {
		switch {
		case d.Name == "":
			return fmt.Errorf("space: dimension %d has no name", i)
		case seen[d.Name]:
			return fmt.Errorf("space: dimension %q appears twice", d.Name)
		case !finite(d.Min) || !finite(d.Max) || d.Min >= d.Max:
			return fmt.Errorf("space: dimension %q has limits [%v, %v], want a finite minimum below a finite maximum", d.Name, d.Min, d.Max)
		case !finite(d.MaxRate) || d.MaxRate < 0:
			return fmt.Errorf("space: dimension %q has maximum rate %v, want a finite rate of at least 0", d.Name, d.MaxRate)
		}
		seen[d.Name] = true
	}
	return nil
}

// SameNames reports, as an error that names the first difference, whether two spaces
// have different dimensions. Units and limits may differ.
func (s Space) SameNames(other Space) error {
	if len(s) != len(other) {
		return fmt.Errorf("have %d dimensions %v, want %d %v", len(s), s.Names(), len(other), other.Names())
	}
	for i := range s {
		if s[i].Name != other[i].Name {
			return fmt.Errorf("dimension %d is %q, want %q", i, s[i].Name, other[i].Name)
		}
	}
	return nil
}

func finite(v float32) bool { return v-v == 0 }
