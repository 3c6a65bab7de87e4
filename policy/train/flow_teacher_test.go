package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/compute"
	"govla/policy"
	"govla/policy/sampler"
)

// forkDataset has demonstrators who, in each of four states, go one of two ways, far apart.
func forkDataset(t testing.TB) string {
	var rows [][]row
	for e := range 32 {
		state := []float32{float32(e % 2), float32(e / 2 % 2)}
		action := []float32{5, 3}
		if e%8 >= 4 {
			action = []float32{-5, -3}
		}
		rows = append(rows, []row{{state, action}, {state, action}, {state, action}})
	}
	return writeDataset(t, rows)
}

// fork trains a teacher on forkDataset.
func fork(t testing.TB, steps int) Options {
	o := tinyOptions(t, "flow", forkDataset(t))
	o.Steps, o.Batch = steps, 64
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// student returns the options for a student of the policy that o trained.
func student(t testing.TB, o Options, steps int) Options {
	o.Teacher, o.TeacherSteps = o.Out, 10
	o.Out, o.Steps, o.LearningRate = t.TempDir(), steps, 1e-3
	return o
}

// astray is how far a policy's actions are from the nearest of the two ways, root mean
// square, and how many of them are nearer to the first.
func astray(t testing.TB, dir string, steps int) (distance, first float64) {
	p, err := policy.Load(dir, policy.Options{EulerSteps: steps})
	if err != nil {
		t.Fatal(err)
	}
	const asked = 200
	for seed := range uint64(asked) {
		state := []float32{float32(seed % 2), float32(seed / 2 % 2)}
		chunk, err := p.Predict(t.Context(), actions.Input{Window: []actions.Observation{{State: state}}, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for i := range chunk.Horizon() {
			a := chunk.At(i)
			up := math.Pow(float64(a[0])-5, 2) + math.Pow(float64(a[1])-3, 2)
			down := math.Pow(float64(a[0])+5, 2) + math.Pow(float64(a[1])+3, 2)
			distance += min(up, down) / asked / 3
			if up < down {
				first += 1.0 / asked / 3
			}
		}
	}
	return math.Sqrt(distance), first
}

// TestReflowTakesOneStep: where demonstrators went two ways, one Euler step of what they
// taught leads between the two, because the velocity at t=1 is a mean over both. A student of
// that policy goes one way or the other in one step, each about as often.
func TestReflowTakesOneStep(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	o := fork(t, 1500)
	many, first := astray(t, o.Out, 10)
	if many > 1 || first < 0.3 || first > 0.7 {
		t.Fatalf("the teacher is %.2f astray and goes the first way in %.2f, which makes it no teacher", many, first)
	}
	between, _ := astray(t, o.Out, 1)
	s := student(t, o, 1500)
	if err := Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	one, first := astray(t, s.Out, 1)
	t.Logf("astray: teacher %.2f in ten steps, %.2f in one; student %.2f in one", many, between, one)
	if between < 3 {
		t.Errorf("one step of the teacher is %.2f astray: there is nothing to learn", between)
	}
	if one > 0.4*between || first < 0.3 || first > 0.7 {
		t.Errorf("one step of the student is %.2f astray, of the teacher %.2f; it goes the first way in %.2f", one, between, first)
	}
}

// TestTeacherFills: the paths of a teacher with a constant velocity are known. It is so large
// that their times can be told from their points.
func TestTeacherFills(t *testing.T) {
	const velocity, batch = 1e4, 10
	o := tinyOptions(t, "flow", forkDataset(t))
	o.Steps = 1
	tr, err := start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.vm.Close()
	defer tr.metrics.close()
	var values [][]float32
	for _, p := range tr.graph.params {
		v := make([]float32, len(p.Value))
		for i := range v {
			if p.Name == "flow.out.bias" {
				v[i] = velocity
			}
		}
		values = append(values, v)
	}
	task, dir := tr.task.(*headTask), t.TempDir()
	if err := task.write(dir, values); err != nil {
		t.Fatal(err)
	}
	teacher, err := openTeacher(dir, 3, batch)
	if err != nil {
		t.Fatal(err)
	}
	frequencies := o.Network.TimeFrequencies
	observed, times := compute.NewMatrix(batch, 2), compute.NewMatrix(batch, 2*frequencies)
	path, target := compute.NewMatrix(batch, 6), compute.NewMatrix(batch, 6)
	seen := map[float32]bool{}
	for round := range uint64(5) {
		teacher.fill(task.examples, sampler.Flow{}, rand.New(rand.NewPCG(round, 0)), observed, times, path, target)
		for i := range batch {
			at := float32(math.Asin(float64(times.Row(i)[0]))) // the lowest frequency is 1
			seen[at] = true
			for j, v := range target.Row(i) {
				if math.Abs(float64(v)-velocity) > 0.01 {
					t.Errorf("row %d: velocity %v, want %v", i, v, velocity)
				}
				if noise := path.Row(i)[j] + (1-at)*velocity; math.Abs(float64(noise)) > 6 {
					t.Errorf("row %d: number %d at t=%v is %v, where only the noise %v leads", i, j, at, path.Row(i)[j], noise)
				}
			}
			for _, v := range observed.Row(i) {
				if v != 1 && v != -1 {
					t.Errorf("row %d: observation %v is none of the four states", i, observed.Row(i))
				}
			}
		}
	}
	if len(seen) != 5*batch {
		t.Errorf("%d times in %d examples", len(seen), 5*batch)
	}
}

// TestTeacherResumes to the same weights, and with no other teacher.
func TestTeacherResumes(t *testing.T) {
	o := fork(t, 40)
	alone := student(t, o, 60)
	alone.CheckpointEvery = 30
	if err := Run(t.Context(), alone); err != nil {
		t.Fatal(err)
	}
	halted := alone
	halted.Out = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	halted.ReportEvery = 20
	halted.OnProgress = func(Progress) { cancel() }
	if err := Run(ctx, halted); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want an interruption", err)
	}
	halted.OnProgress = nil
	halted.Resume = true
	for name, change := range map[string]func(o *Options){
		"another teacher":    func(o *Options) { o.Teacher = alone.Out },
		"other prediction":   func(o *Options) { o.Teacher, o.Prediction = "", sampler.Data },
		"fewer steps":        func(o *Options) { o.TeacherSteps = 5 },
		"no teacher":         func(o *Options) { o.Teacher = "" },
		"a teacher of a few": func(o *Options) { o.Teacher = fork(t, 3).Out },
	} {
		changed := halted
		change(&changed)
		if err := Run(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "other options") {
			t.Errorf("%s at the resumption: error %v", name, err)
		}
	}
	if err := Run(t.Context(), halted); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(alone.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(filepath.Join(halted.Out, "model.safetensors")); err != nil || !bytes.Equal(have, want) {
		t.Errorf("the interrupted run's weights differ from those of the one left alone (%v)", err)
	}
}

// TestStudentBeginsAsTheTeacher: after one step at a rate of almost nothing.
func TestStudentBeginsAsTheTeacher(t *testing.T) {
	o := fork(t, 40)
	s := student(t, o, 1)
	s.Seed, s.LearningRate = 99, 1e-12
	s.Network.HeadWidth, s.Network.HeadBlocks = 8, 0 // the teacher's count
	if err := Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(o.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(filepath.Join(s.Out, "model.safetensors")); err != nil || !bytes.Equal(have, want) {
		t.Errorf("the student's weights are not the teacher's (%v)", err)
	}
}

func TestTeacherRefuses(t *testing.T) {
	o := fork(t, 3)
	tokens := tinyOptions(t, "tokens", o.Data)
	tokens.Steps = 1
	if err := Run(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"nowhere":         {func(o *Options) { o.Teacher = filepath.Join(o.Out, "nowhere") }, "neither an embedded policy"},
		"tokens":          {func(o *Options) { o.Teacher = tokens.Out }, "Euler steps"},
		"no steps":        {func(o *Options) { o.TeacherSteps = 0 }, "teacher's Euler steps"},
		"a tokens head":   {func(o *Options) { o.Head, o.Network.Bins, o.Network.AttentionHeads = "tokens", 16, 2 }, "flow head"},
		"other data":      {func(o *Options) { o.Data = linearDataset(t, 12) }, "other numbers"},
		"mirrored":        {func(o *Options) { o.Augment = func(state, _ []float32) { state[0] = 9 } }, "other numbers"},
		"relative":        {func(o *Options) { o.RelativeTo = []string{"observation.state_0", "observation.state_1"} }, "relative to"},
		"longer horizon":  {func(o *Options) { o.Horizon = 4 }, "its network"},
		"two observation": {func(o *Options) { o.ObservationSteps = 2 }, "its network"},
	} {
		s := student(t, o, 1)
		c.change(&s)
		if err := Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if entries, err := os.ReadDir(s.Out); err != nil || len(entries) > 0 {
			t.Errorf("%s: left %v behind (%v)", name, entries, err)
		}
	}
}
