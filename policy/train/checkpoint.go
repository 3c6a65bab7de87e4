package train

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"govla/internal/safetensors"
)

// checkpointFolder holds the newest checkpoint inside a run's folder, as LeRobot names it.
const checkpointFolder = "checkpoints/last"

const trainingStateFile = "training_state.safetensors"

// checkpoint saves the policy as it is and everything that the run needs to go on. The
// new checkpoint takes the old one's place in two steps; start goes on from the old one,
// which lies aside, where only the first was taken.
func (t *trainer) checkpoint() error {
	last := filepath.Join(t.Out, checkpointFolder)
	next := last + ".new"
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := t.writePolicy(filepath.Join(next, "pretrained_model")); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var tensors []safetensors.Tensor
	for i, p := range t.graph.params {
		for kind, values := range t.parts(i) {
			tensor, err := safetensors.FromFloat32s(kind+"."+p.Name, safetensors.F32, values, p.Shape...)
			if err != nil {
				return fmt.Errorf("checkpoint: %w", err)
			}
			tensors = append(tensors, tensor)
		}
	}
	metadata := map[string]string{"step": strconv.Itoa(t.step), "options": t.task.fingerprint()}
	if t.lossCount > 0 {
		metadata["unreported"] = fmt.Sprint(t.lossSum, " ", t.lossCount)
	}
	if err := safetensors.WriteFile(filepath.Join(next, trainingStateFile), tensors, metadata); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	old := last + ".old"
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.Rename(last, old); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.Rename(next, last); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return os.RemoveAll(old)
}

func (t *trainer) parts(i int) map[string][]float32 {
	s := t.state[i]
	return map[string][]float32{"weight": t.graph.params[i].Value, "first": s.first, "second": s.second, "average": s.average}
}

func (t *trainer) restore(dir string) error {
	file, err := safetensors.Open(filepath.Join(dir, trainingStateFile))
	if err != nil {
		return err
	}
	defer file.Close()
	if was := file.Metadata["options"]; was != t.task.fingerprint() {
		return fmt.Errorf("the run was started with other options: %s, now %s", was, t.task.fingerprint())
	}
	if t.step, err = strconv.Atoi(file.Metadata["step"]); err != nil {
		return fmt.Errorf("step: %w", err)
	}
	if unreported, ok := file.Metadata["unreported"]; ok {
		if _, err := fmt.Sscan(unreported, &t.lossSum, &t.lossCount); err != nil {
			return fmt.Errorf("unreported losses %q: %w", unreported, err)
		}
	}
	for i, p := range t.graph.params {
		for kind, values := range t.parts(i) {
			saved, err := file.Float32(kind+"."+p.Name, p.Shape...)
			if err != nil {
				return err
			}
			copy(values, saved)
		}
	}
	return nil
}
