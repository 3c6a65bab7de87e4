package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"govla/internal/compute"
)

// Flow is flow matching on the straight path (Lipman et al., arXiv 2210.02747, eq. 22, and
// rectified flow, Liu et al., arXiv 2209.03003): x_t = (1-t)·x_0 + t·ε, whose velocity is
// dx/dt = ε − x_0.
type Flow struct {
	// Predicts is what a network answers: Velocity, for which nothing stands too, or Data.
	Predicts Prediction

	// Concentration c makes times have the density c·t^(c-1), that of Beta(c, 1): uniform at
	// 1, which 0 stands for, and nearer to noise above. pi0 and SmolVLA have 1.5.
	Concentration float64
}

// Prediction is what a flow network answers at a point. Either follows from the other, but a
// network errs differently: to answer the velocity it has to let the noise through as it is, and
// what it misses stays in the data, times the length of the step. In many steps that is
// little; in one or two it may be more than what is uncertain about the data. Answering the
// data needs no more than a regression does (Li and He, arXiv 2511.13720, for images).
type Prediction string

// The predictions.
const (
	Velocity Prediction = "velocity" // ε − x_0
	Data     Prediction = "data"     // x_0
)

// DrawTime draws from Beta(Concentration, 1).
func (f Flow) DrawTime(rng *rand.Rand) float64 {
	u := float64(rng.Float32()) // networks get it as a float32
	if f.Concentration == 0 || f.Concentration == 1 {
		return u
	}
	return math.Pow(u, 1/f.Concentration) // the inverse of t^c
}

// Scales returns 1-t and t.
func (Flow) Scales(t float64) (data, noise float64) { return 1 - t, t }

// Noise writes x_t, and its velocity or the data.
func (f Flow) Noise(x, target, data, noise []float32, t float64) {
	for i, e := range noise {
		d := data[i]
		x[i] = float32(1-t)*d + float32(t)*e
		if f.Predicts == Data {
			target[i] = d
		} else {
			target[i] = e - d
		}
	}
}

// Velocity turns a network's answer at the point x of time t into the velocity there, in place.
// For data it is (x−x_0)/t, so t must not be 0.
func (f Flow) Velocity(answer, x []float32, t float64) {
	if f.Predicts != Data {
		return
	}
	for i, d := range answer {
		answer[i] = (x[i] - d) / float32(t)
	}
}

// Solver is a method of integrating dx/dt = v over one step of time.
type Solver string

// The solvers. Of these, Euler asks the network once a step and has order 1; the others ask
// twice and have order 2.
const (
	Euler    Solver = "euler"    // the velocity where the step begins
	Midpoint Solver = "midpoint" // the velocity halfway, as Euler's method gets there
	Heun     Solver = "heun"     // the mean of those at the beginning and, as Euler gets there, at the end
)

// FlowSampler integrates a learned velocity from noise at t=1 to data at t=0.
type FlowSampler struct {
	solver Solver
	grid   []float64 // where steps begin and end, from 1 to 0
	times  []float64
	memory memory
}

// NewFlowSampler returns a sampler whose steps begin and end at the times of grid, which
// must fall from 1 to 0. See UniformGrid.
func NewFlowSampler(solver Solver, grid []float64) (*FlowSampler, error) {
	if len(grid) < 2 || grid[0] != 1 || grid[len(grid)-1] != 0 {
		return nil, fmt.Errorf("flow: times %v, want two or more from 1 to 0", grid)
	}
	s := &FlowSampler{solver: solver, grid: append([]float64(nil), grid...)}
	for i, from := range grid[:len(grid)-1] {
		to := grid[i+1]
		if !(to < from) {
			return nil, fmt.Errorf("flow: time %v follows %v, want times that fall from 1 to 0", to, from)
		}
		switch solver {
		case Euler:
			s.times = append(s.times, from)
		case Midpoint:
			s.times = append(s.times, from, (from+to)/2)
		case Heun:
			s.times = append(s.times, from, to)
		default:
			return nil, fmt.Errorf("flow: solver %q is not known; choose %s, %s or %s", solver, Euler, Midpoint, Heun)
		}
	}
	return s, nil
}

// UniformGrid returns the times of so many equal steps from 1 to 0.
func UniformGrid(steps int) []float64 {
	grid := make([]float64, max(0, steps)+1)
	for i := range grid {
		grid[i] = 1 - float64(i)/float64(steps)
	}
	return grid
}

// Times returns the times of the evaluations: one a step for Euler's method, else two.
func (s *FlowSampler) Times() []float64 { return s.times }

// Sample integrates from x, noise, which becomes data. It needs no rng.
func (s *FlowSampler) Sample(ctx context.Context, x []float32, _ *rand.Rand, evaluate Evaluate) error {
	vectors := s.memory.take(3, len(x))
	defer s.memory.pool.Put(vectors)
	n := len(x)
	v, w, there := (*vectors)[:n], (*vectors)[n:2*n], (*vectors)[2*n:]
	asked := 0
	ask := func(v, x []float32) error {
		asked++
		return evaluate.at(ctx, v, x, asked-1, len(s.times))
	}
	for i, t := range s.grid[:len(s.grid)-1] {
		dt := float32(s.grid[i+1] - t) // negative: towards the data
		if err := ask(v, x); err != nil {
			return fmt.Errorf("flow: %w", err)
		}
		if s.solver == Euler {
			compute.AddScaled(x, v, dt)
			continue
		}
		reach := dt
		if s.solver == Midpoint {
			reach = dt / 2
		}
		copy(there, x)
		compute.AddScaled(there, v, reach)
		if err := ask(w, there); err != nil {
			return fmt.Errorf("flow: %w", err)
		}
		if s.solver == Midpoint {
			compute.AddScaled(x, w, dt)
			continue
		}
		compute.AddScaled(x, v, dt/2)
		compute.AddScaled(x, w, dt/2)
	}
	return nil
}
