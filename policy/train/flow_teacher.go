package train

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"govla/actions"
	"govla/actions/recording"
	"govla/internal/compute"
	"govla/policy"
	"govla/policy/head"
	"govla/policy/sampler"
)

// teacher is a trained flow policy that says which chunk it makes of a noise. A student that
// regresses the velocity between the two learns paths that are nearly straight, so that few
// Euler steps follow them: reflow (Liu et al., rectified flow, arXiv 2209.03003, section 2.2).
// Recorded chunks go with any noise, so paths to them cross, and a velocity that is the mean
// of several only leads to the data in many steps.
type teacher struct {
	checkpoint *policy.Checkpoint
	predicts   sampler.Prediction
	flow       *head.Flow
	session    *head.Session
	digest     uint64 // of its weights

	observations, noise, chunks compute.Matrix // a row for each pair in a batch
}

// timesPerPair is on how many points of a path between a noise and the teacher's chunk the
// student is trained in one step. A chunk takes the teacher as long as that many points take
// the student.
const timesPerPair = 4

// openTeacher reads the flow policy that name stands for, as policy.Load does, to make chunks
// in so many Euler steps for batches of the given size.
func openTeacher(name string, steps, batch int) (*teacher, error) {
	// Load finds out whether the weights fit.
	if _, err := policy.Load(name, policy.Options{EulerSteps: steps}); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	checkpoint, err := policy.ReadCheckpoint(name)
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	weights, err := head.LoadWeights(checkpoint.Tensors)
	if err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	a := checkpoint.Config.Network
	t := &teacher{checkpoint: checkpoint, session: head.NewSession(weights)}
	t.predicts = cmp.Or(checkpoint.Config.Prediction, sampler.Velocity)
	if t.flow, err = head.NewFlow(a, t.predicts, steps); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	hash := fnv.New64a()
	for _, tensor := range checkpoint.Tensors {
		_, _ = hash.Write(tensor.Data) // a hash takes everything
	}
	t.digest = hash.Sum64()
	pairs := (batch + timesPerPair - 1) / timesPerPair
	t.observations = compute.NewMatrix(pairs, a.ObservationDim)
	t.noise = compute.NewMatrix(pairs, a.Horizon*a.ActionDim)
	t.chunks = compute.NewMatrix(pairs, a.Horizon*a.ActionDim)
	return t, nil
}

// check reports a student whose numbers mean something else than the teacher's.
func (t *teacher) check(student policy.Config, stats map[string]actions.Stats) error {
	c := t.checkpoint.Config
	if c.Network != student.Network || fmt.Sprint(c.RelativeTo) != fmt.Sprint(student.RelativeTo) {
		return fmt.Errorf("teacher: its network is %+v with actions relative to %v, the student's would be %+v and %v",
			c.Network, c.RelativeTo, student.Network, student.RelativeTo)
	}
	for feature, s := range stats {
		was := t.checkpoint.Stats[feature]
		for _, pair := range [][2][]float32{{s.Min, was.Min}, {s.Max, was.Max}, {s.Mean, was.Mean}, {s.Std, was.Std}} {
			if !near(pair[0], pair[1]) {
				return fmt.Errorf("teacher: it was trained on other numbers: %s has statistics %v there and %v here; use its recording and its options", feature, was, s)
			}
		}
	}
	return nil
}

// near says whether two vectors are the same but for rounding.
func near(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4*(math.Abs(float64(a[i]))+math.Abs(float64(b[i]))) {
			return false
		}
	}
	return true
}

// start gives the student the teacher's weights to begin with.
func (t *teacher) start(student []*Parameter) error {
	for _, tensor := range t.checkpoint.Tensors {
		values, err := tensor.Float32s()
		if err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
		for _, p := range student {
			if p.Name == tensor.Name {
				copy(p.Value, values)
			}
		}
	}
	return nil
}

// fill draws observations and noise, and writes for each of the batch's rows the observation,
// the features of a time, the point there between the noise and the teacher's chunk,
// and what the student should answer there.
func (t *teacher) fill(e *examples, process sampler.Flow, rng *rand.Rand, observed, times, path, target compute.Matrix) {
	var w recording.Window
	for i := range t.noise.Rows {
		e.at(rng.IntN(e.state.Rows), &w, t.observations.Row(i), t.chunks.Row(i))
	}
	sampler.Gaussian(t.noise.Data, rng)
	copy(t.chunks.Data, t.noise.Data)
	t.session.Reset()
	condition := head.Encode[compute.Matrix](t.session, t.checkpoint.Config.Network, t.observations)
	if _, err := t.flow.Integrate(context.Background(), t.session, condition, t.chunks); err != nil {
		panic(fmt.Sprintf("train: teacher: %v", err)) // openTeacher has seen that the weights fit
	}
	for i := range observed.Rows {
		pair := i % t.noise.Rows
		copy(observed.Row(i), t.observations.Row(pair))
		at := process.DrawTime(rng)
		head.TimeFeatures(times.Row(i), float32(at))
		process.Noise(path.Row(i), target.Row(i), t.chunks.Row(pair), t.noise.Row(pair), at)
	}
}
