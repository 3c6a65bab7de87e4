package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"govla/internal/safetensors"
	"govla/policy/smolvla"
)

// initialise sets the graph's parameters to those of the checkpoint in the folder dir: of the
// same head all of them, of another vision tower and language model.
func initialise(g *Graph, dir string, head smolvla.Head) error {
	theirs, err := smolvla.HeadOf(os.DirFS(dir))
	if err != nil {
		return err
	}
	file, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return err
	}
	defer file.Close()
	for _, p := range g.params {
		if !saved(p) || head != theirs && !strings.HasPrefix(p.Name, vlmName) {
			continue
		}
		t, err := file.Lookup(p.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(t.Shape, p.Shape) {
			return fmt.Errorf("tensor %s has shape %v, and the network to train %v: give the network the checkpoint's sizes", p.Name, t.Shape, p.Shape)
		}
		values, err := t.Float32s()
		if err != nil {
			return err
		}
		copy(p.Value, values)
	}
	return nil
}
