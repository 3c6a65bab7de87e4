package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"govla/actions"
	"govla/policy"
	"govla/policy/sampler"
)

// TestDataAreNearInOneStep: where actions follow from the state, a flow head that predicts the
// data finds them in one step. One that predicts velocities has to let the noise through its
// network to take it away again, of which much remains in one step, and some in ten.
func TestDataAreNearInOneStep(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	recorded := linearDataset(t, 150)
	errors := map[sampler.Prediction][2]float64{} // in one step and in ten
	for _, predicts := range []sampler.Prediction{sampler.Velocity, sampler.Data} {
		o := tinyOptions(t, "flow", recorded)
		o.Steps, o.Prediction = 500, predicts
		if err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		errors[predicts] = [2]float64{linearError(t, o.Out, 1), linearError(t, o.Out, 10)}
	}
	velocity, data := errors[sampler.Velocity], errors[sampler.Data]
	t.Logf("root mean square errors, of the range, in one step and in ten: velocity %.4f, data %.4f", velocity, data)
	if data[0] > 0.3*velocity[0] || data[0] > velocity[1] || data[1] > velocity[1] {
		t.Errorf("in one step and in ten, predictions of the data are %.4f off, of the velocity %.4f", data, velocity)
	}
}

// linearError is the root mean square error of a policy in dir, on states that linearDataset
// does not have, of its actions' range.
func linearError(t *testing.T, dir string, steps int) float64 {
	t.Helper()
	p, err := policy.Load(dir, policy.Options{EulerSteps: steps})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	sum, n := 0.0, 0
	for seed := range uint64(60) {
		state := []float32{1 + 8*rng.Float32(), 0.1 + 0.8*rng.Float32()}
		chunk, err := p.Predict(t.Context(), actions.Input{Window: []actions.Observation{{State: state}}, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		want := linearAction(state)
		for i := range chunk.Horizon() {
			for j, v := range chunk.At(i) {
				d := float64(v-want[j]) / []float64{31, 20}[j] // their ranges
				sum += d * d
				n++
			}
		}
	}
	return math.Sqrt(sum / float64(n))
}
