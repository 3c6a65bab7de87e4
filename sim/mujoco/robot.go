//go:build mujoco && cgo

package mujoco

// #include "guard.h"
import "C"

import (
	"context"
	"fmt"
	"image"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
)

// Robot is a scene in MJCF as a robot.Simulator that runs in lockstep. Its methods may be
// called from any goroutine.
//
// The state has the positions of the scene's hinges and slides, in rad or m, by the joints'
// names. The action has the controls of its actuators. A position servo's is called like the
// joint that it drives; any other's like the actuator, with _control behind it where a joint
// has that name.
//
// The cameras are those of the scene, and one called front that sees all of it from the side
// on which MuJoCo's own viewer begins, unless the scene has one of that name. There is no task: the reward is
// 0, and an episode is over after Config.MaxSteps.
type Robot struct {
	spec   robot.Spec
	config Config
	joints []stateJoint

	mu       sync.Mutex
	sim      *simulation
	painter  *painter
	pictures map[string]image.Image // of the present step, once they were asked for
	score    robot.Score
	failed   error // what the last Act came to, until Reset
	closed   bool
}

var _ robot.Simulator = (*Robot)(nil)

// stateJoint is a hinge or a slide.
type stateJoint struct {
	at        int // in MuJoCo's positions
	low, high float64
	limited   bool
}

// Load reads an MJCF file, with the meshes that it names, and returns its scene in its start
// state: that of the first keyframe, if there is one. The caller must Close it.
func Load(path string, config Config) (*Robot, error) {
	if config.Rate == 0 {
		config.Rate = 30
	}
	if config.Width == 0 && config.Height == 0 {
		config.Width, config.Height = 320, 240
	}
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	sim, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	if sim.warning != "" {
		slog.Warn("MuJoCo warns", "file", path, "message", sim.warning)
	}
	r := &Robot{config: config, sim: sim}
	if err := r.prepare(path); err != nil {
		sim.close()
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return r, nil
}

const (
	slowest = 0.01 // Hz
	largest = 8192 // pixels along a picture's side
)

func (c *Config) check() error {
	switch {
	case !(c.Rate >= slowest) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("rate is %v Hz, want at least %v", c.Rate, slowest)
	case c.Width < 1 || c.Height < 1 || c.Width > largest || c.Height > largest:
		return fmt.Errorf("pictures are %d by %d pixels, want 1 to %d", c.Width, c.Height, largest)
	case !(c.Scatter >= 0 && c.Scatter <= 1):
		return fmt.Errorf("scatter is %v, want 0 to 1", c.Scatter)
	case c.MaxSteps < 0:
		return fmt.Errorf("maximum number of steps is %d", c.MaxSteps)
	}
	return nil
}

func (r *Robot) prepare(path string) error {
	c := r.sim.model()
	if h := float64(c.opt.timestep); h*r.config.Rate > 1 {
		return fmt.Errorf("a time step is %v s, which is longer than a control step at %v Hz", h, r.config.Rate)
	}
	r.spec = robot.Spec{
		Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)),
		Rate: r.config.Rate,
	}
	if err := r.describeState(); err != nil {
		return err
	}
	if err := r.describeAction(); err != nil {
		return err
	}
	if err := r.sim.reset(); err != nil {
		return err
	}
	var err error
	if r.painter, err = newPainter(r.sim, r.config.Width, r.config.Height); err != nil {
		return err
	}
	all := r.painter.names()
	for _, name := range r.config.Cameras {
		if !slices.Contains(all, name) {
			return fmt.Errorf("camera %q is not known; choose from %v", name, all)
		}
	}
	if r.spec.Cameras = r.config.Cameras; r.spec.Cameras == nil {
		r.spec.Cameras = all
	}
	return nil
}

// unlimited is what a hinge without a range is taken to reach, in rad; a slide, 1 m.
const unlimited = 2 * math.Pi

func (r *Robot) describeState() error {
	c := r.sim.model()
	kinds, first, ranges := ints(c.jnt_type, c.njnt), ints(c.jnt_qposadr, c.njnt), floats(c.jnt_range, 2*c.njnt)
	for i, kind := range kinds {
		d := actions.Dimension{Name: r.sim.name(C.mjOBJ_JOINT, i), Unit: "rad", Min: -unlimited, Max: unlimited}
		switch kind {
		case C.mjJNT_HINGE:
		case C.mjJNT_SLIDE:
			d.Unit, d.Min, d.Max = "m", -1, 1
		default:
			continue
		}
		j := stateJoint{at: int(first[i]), low: ranges[2*i], high: ranges[2*i+1], limited: r.sim.limited(i)}
		if j.limited {
			d.Min, d.Max = float32(j.low), float32(j.high)
		}
		r.joints = append(r.joints, j)
		r.spec.State = append(r.spec.State, d)
	}
	if err := r.spec.State.Validate(); err != nil {
		return fmt.Errorf("joints: %w", err)
	}
	return nil
}

func (r *Robot) describeAction() error {
	c := r.sim.model()
	if c.nu == 0 {
		return fmt.Errorf("the scene has no actuators")
	}
	ctrl, joints := floats(c.actuator_ctrlrange, 2*c.nu), floats(c.jnt_range, 2*c.njnt)
	for i := range int(c.nu) {
		d := actions.Dimension{Name: r.sim.name(C.mjOBJ_ACTUATOR, i)}
		joint, servo := r.sim.servo(i)
		if servo {
			d.Name = r.sim.name(C.mjOBJ_JOINT, joint)
			d.Unit = r.spec.State[r.spec.State.Index(d.Name)].Unit
		} else if r.spec.State.Index(d.Name) >= 0 {
			d.Name += "_control" // it is no position to go to
		}
		switch {
		case r.sim.controlLimited(i):
			d.Min, d.Max = float32(ctrl[2*i]), float32(ctrl[2*i+1])
		case servo && r.sim.limited(joint):
			d.Min, d.Max = float32(joints[2*joint]), float32(joints[2*joint+1])
		default:
			return fmt.Errorf("actuator %q has no ctrlrange, so that nobody knows what it may be told", r.sim.name(C.mjOBJ_ACTUATOR, i))
		}
		r.spec.Action = append(r.spec.Action, d)
	}
	if err := r.spec.Action.Validate(); err != nil {
		return fmt.Errorf("actuators: %w", err)
	}
	return nil
}

// limited says whether a joint has a range.
func (s *simulation) limited(joint int) bool {
	return *at(s.model().jnt_limited, joint) != 0
}

// controlLimited says whether an actuator has a control range.
func (s *simulation) controlLimited(actuator int) bool {
	return *at(s.model().actuator_ctrllimited, actuator) != 0
}

// servo returns the hinge or slide that an actuator drives to the position that it is told,
// and whether it is of that kind.
func (s *simulation) servo(actuator int) (joint int, ok bool) {
	m := s.model()
	if *at(m.actuator_trntype, actuator) != C.mjTRN_JOINT {
		return 0, false
	}
	joint = int(*at(m.actuator_trnid, 2*actuator))
	kind := *at(m.jnt_type, joint)
	gain := *at(m.actuator_gainprm, C.mjNGAIN*actuator)
	ok = (kind == C.mjJNT_HINGE || kind == C.mjJNT_SLIDE) &&
		*at(m.actuator_gear, 6*actuator) == 1 &&
		*at(m.actuator_dyntype, actuator) != C.mjDYN_INTEGRATOR &&
		*at(m.actuator_gaintype, actuator) == C.mjGAIN_FIXED && gain > 0 &&
		*at(m.actuator_biastype, actuator) == C.mjBIAS_AFFINE &&
		*at(m.actuator_biasprm, C.mjNBIAS*actuator+1) == -gain
	return joint, ok
}

// Spec implements robot.Robot.
func (r *Robot) Spec() robot.Spec { return r.spec }

// Reset implements robot.Simulator: the scene's first keyframe, or where it has none its
// reference positions, with joints moved by Config.Scatter. It returns the state's
// positions. Joints are not kept from touching something where they are put.
func (r *Robot) Reset(ctx context.Context, seed int64) ([]float64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = nil
	if err := r.usable(ctx, "reset"); err != nil {
		return nil, err
	}
	if err := r.sim.reset(); err != nil {
		return nil, fmt.Errorf("mujoco: reset: %w", err)
	}
	r.score, r.pictures = robot.Score{}, nil
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	pos := floats(r.sim.data().qpos, r.sim.model().nq)
	initial := make([]float64, len(r.joints))
	for i, j := range r.joints {
		if share := 2*random.Float64() - 1; j.limited && r.config.Scatter > 0 {
			pos[j.at] = min(max(pos[j.at]+share*r.config.Scatter*(j.high-j.low), j.low), j.high)
		}
		initial[i] = pos[j.at]
	}
	if err := r.sim.forward(); err != nil {
		return nil, fmt.Errorf("mujoco: reset: %w", err)
	}
	return initial, nil
}

// Observe implements robot.Robot.
func (r *Robot) Observe(ctx context.Context, obs *actions.Observation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(ctx, "observe"); err != nil {
		return err
	}
	obs.Time = time.Duration(float64(r.score.Step) / r.config.Rate * float64(time.Second))
	obs.Instruction = ""
	pos := floats(r.sim.data().qpos, r.sim.model().nq)
	obs.State = obs.State[:0]
	for _, j := range r.joints {
		obs.State = append(obs.State, float32(pos[j.at]))
	}
	if r.pictures == nil {
		pictures, err := r.painter.pictures(r.spec.Cameras)
		if err != nil {
			return fmt.Errorf("mujoco: observe: %w", err)
		}
		r.pictures = pictures
	}
	if obs.Images == nil {
		obs.Images = make(map[string]image.Image, len(r.pictures))
	}
	clear(obs.Images)
	for name, picture := range r.pictures {
		obs.Images[name] = picture
	}
	return nil
}

// Act implements robot.Robot: it gives the action to the actuators and lets one control step
// pass. A control step that is no multiple of the time step is as many steps as bring the
// scene's time nearest to where it should be. After a simulation that diverged, which the
// error says, nothing but Reset and Close works.
func (r *Robot) Act(ctx context.Context, action []float32) error {
	if len(action) != len(r.spec.Action) {
		return fmt.Errorf("mujoco: act: action has width %d, want %d", len(action), len(r.spec.Action))
	}
	for i, v := range action {
		if v-v != 0 {
			return fmt.Errorf("mujoco: act: %s is %v", r.spec.Action[i].Name, v)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(ctx, "act"); err != nil {
		return err
	}
	ctrl := floats(r.sim.data().ctrl, r.sim.model().nu)
	for i, v := range action {
		d := r.spec.Action[i]
		ctrl[i] = float64(min(max(v, d.Min), d.Max))
	}
	r.pictures = nil
	if err := r.sim.step(r.stepsUntil(r.score.Step+1) - r.stepsUntil(r.score.Step)); err != nil {
		r.failed = fmt.Errorf("mujoco: act: %w", err)
		return r.failed
	}
	r.score.Step++
	r.score.Done = r.config.MaxSteps > 0 && r.score.Step >= r.config.MaxSteps
	return nil
}

// stepsUntil returns how many time steps belong to that many control steps.
func (r *Robot) stepsUntil(controlStep int) int {
	return int(math.Round(float64(controlStep) / r.config.Rate / float64(r.sim.model().opt.timestep)))
}

// Score implements robot.Simulator.
func (r *Robot) Score() robot.Score {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.score
}

// Stop implements robot.Robot. Time stands still until the next Act, so nothing moves.
func (r *Robot) Stop(context.Context) error { return nil }

// Close implements robot.Robot. It frees what MuJoCo holds. Score still answers.
func (r *Robot) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.sim.close()
	return nil
}

func (r *Robot) usable(ctx context.Context, verb string) error {
	if r.closed {
		return fmt.Errorf("mujoco: %s: %w", verb, robot.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mujoco: %s: %w", verb, err)
	}
	return r.failed
}
