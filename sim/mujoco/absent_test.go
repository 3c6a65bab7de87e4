//go:build !(mujoco && cgo)

package mujoco

import (
	"errors"
	"testing"
)

func TestWithoutMuJoCo(t *testing.T) {
	if _, err := New(so101()); !errors.Is(err, ErrAbsent) {
		t.Errorf("new: %v, want ErrAbsent", err)
	}
	if _, err := Load("scene.xml", Config{}); !errors.Is(err, ErrAbsent) {
		t.Errorf("load: %v, want ErrAbsent", err)
	}
}
