package arm

import (
	"strings"
	"testing"
)

// TestUnknownNames: a task or split that is not there is an error of whatever lays out a
// scene, not only of New.
func TestUnknownNames(t *testing.T) {
	for want, lay := range map[string]func() error{
		`task "fly"`:    func() error { _, err := Model("fly", Train, 0); return err },
		`split "night"`: func() error { _, err := NewPainter(Reach, "night", 0); return err },
		`task "swim"`:   func() error { _, err := New(Config{Task: "swim"}); return err },
		`task "sing"`:   func() error { _, err := NewExpert("sing"); return err },
	} {
		if err := lay(); err == nil || !strings.Contains(err.Error(), want+" is not known; choose one of") {
			t.Errorf("have error %v, want one about %s", err, want)
		}
	}
}
