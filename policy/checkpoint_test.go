package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy/sampler"
)

// TestReadCheckpoint: what was written is read again, whatever the head.
func TestReadCheckpoint(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		want := fixture(t, kind)
		have, err := ReadCheckpoint(write(t, want))
		if err != nil {
			t.Fatal(err)
		}
		byName := func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) }
		slices.SortFunc(have.Tensors, byName)
		slices.SortFunc(want.Tensors, byName)
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s: read %+v, want %+v", kind, have, want)
		}
	}
	if _, err := ReadCheckpoint("nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v, want one that names the policy", err)
	}
	c := fixture(t, "flow")
	c.Stats["action"] = actions.Stats{}
	if have, err := ReadCheckpoint(write(t, c)); err != nil || have.Stats["action"].Min != nil {
		t.Errorf("a checkpoint without statistics of its actions: %v, %v", have, err)
	}
}

// TestPrediction: a network of zeros that predicts the actions predicts the middle of their
// range, whatever the noise. One that predicts velocities leaves the noise as it is.
func TestPrediction(t *testing.T) {
	for prediction, noisy := range map[sampler.Prediction]bool{"": true, sampler.Velocity: true, sampler.Data: false} {
		c := fixture(t, "flow")
		c.Config.Prediction = prediction
		for _, tensor := range c.Tensors {
			clear(tensor.Data)
		}
		p, err := Load(write(t, c), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(3) {
			chunk, err := p.Predict(t.Context(), window(seed))
			if err != nil {
				t.Fatal(err)
			}
			if middle := chunk.At(1)[0] == 15 && chunk.At(1)[1] == 0; middle == noisy {
				t.Errorf("prediction %q: action %v; the middle is [15 0]", prediction, chunk.At(1))
			}
		}
	}
	c := fixture(t, "flow")
	c.Config.Prediction = "noise"
	if _, err := Load(write(t, c), Options{}); err == nil || !strings.Contains(err.Error(), `"noise"`) {
		t.Errorf("error %v, want one that names the prediction", err)
	}
}
