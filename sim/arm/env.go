package arm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/sim/physics"
	"govla/sim/render"
)

const (
	// ControlRate is the number of control steps a second.
	ControlRate = 30

	// MaxSteps is the number of control steps after which an episode is over.
	MaxSteps = 600
)

// Config is what can be chosen about an Env. Its zero value works.
type Config struct {
	Task    Task     // PickPlace unless set
	Split   Split    // Train unless set
	Cameras []string // whose pictures come with each observation; Front and Wrist if nil

	// Engine makes the physics of an episode; Builtin unless set.
	Engine func(*physics.Model) (Engine, error)
}

// Env is the arm and its table as a robot.Simulator that runs in lockstep. Its methods may
// be called from any goroutine.
//
// The state is the positions of the six joints in rad, followed by the poses of four
// things, each x, y, z in m and a quaternion w, x, y, z: target, goal, other_1 and other_2.
// A robot would not know these; recordings call them observation.environment_state. The
// action is the positions that the joints' servos are commanded to.
type Env struct {
	config Config
	spec   robot.Spec

	mu       sync.Mutex
	scene    *scene
	engine   Engine
	stage    *stage
	joints   [joints]physics.JointAddress
	target   physics.JointAddress   // of the body that is to be moved
	pictures map[string]image.Image // of the present step; drawn when they are asked for
	frame    *render.Frame
	score    robot.Score
	closed   bool
}

var _ robot.Simulator = (*Env)(nil)

// New returns an environment in the initial state of seed 0.
func New(c Config) (*Env, error) {
	c.Task = cmp.Or(c.Task, PickPlace)
	c.Split = cmp.Or(c.Split, Train)
	for _, camera := range c.Cameras {
		if !slices.Contains(Cameras(), camera) {
			return nil, fmt.Errorf("arm: camera %q is not known; choose from %v", camera, Cameras())
		}
	}
	if c.Engine == nil {
		c.Engine = Builtin
	}
	e := &Env{config: c, spec: Spec(c.Cameras), frame: render.NewFrame(CameraSize, CameraSize)}
	return e, e.reset(0)
}

// Spec describes an Env with those cameras; nil stands for Front and Wrist.
func Spec(cameras []string) robot.Spec {
	if cameras == nil {
		cameras = []string{Front, Wrist}
	}
	s := robot.Spec{Name: "arm", Cameras: cameras, Rate: ControlRate}
	for i, name := range jointNames {
		d := actions.Dimension{
			Name: name + ".pos", Unit: "rad", Min: float32(jointLimits[i][0]), Max: float32(jointLimits[i][1]), MaxRate: servoSpeed,
		}
		s.Action = append(s.Action, d)
		// Contacts and the compliance of the limits take a joint a little beyond.
		d.Min, d.Max, d.MaxRate = d.Min-0.1, d.Max+0.1, 0
		s.State = append(s.State, d)
	}
	for _, slot := range slotNames {
		for _, axis := range []string{"x", "y", "z"} {
			s.State = append(s.State, actions.Dimension{Name: slot + "." + axis, Unit: "m", Min: -2, Max: 2})
		}
		for _, axis := range []string{"qw", "qx", "qy", "qz"} {
			s.State = append(s.State, actions.Dimension{Name: slot + "." + axis, Min: -1, Max: 1})
		}
	}
	return s
}

// Spec implements robot.Robot.
func (e *Env) Spec() robot.Spec { return e.spec }

// Reset implements robot.Simulator. What it returns is the state.
func (e *Env) Reset(ctx context.Context, seed int64) ([]float64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "reset"); err != nil {
		return nil, err
	}
	if err := e.reset(seed); err != nil {
		return nil, err
	}
	return e.state(nil), nil
}

func (e *Env) reset(seed int64) error {
	s, err := newScene(e.config.Task, e.config.Split, seed)
	if err != nil {
		return err
	}
	engine, err := e.config.Engine(&s.model)
	if err != nil {
		return fmt.Errorf("arm: reset to seed %d: %w", seed, err)
	}
	if err := e.take(s, engine); err != nil { // what was before goes on
		return errors.Join(fmt.Errorf("arm: reset to seed %d: %w", seed, err), engine.Close())
	}
	return nil
}

// take makes the scene on the engine the one that is simulated.
func (e *Env) take(s *scene, engine Engine) error {
	st, err := newStage(s, engine)
	if err != nil {
		return err
	}
	var at [joints]physics.JointAddress
	for i, name := range jointNames {
		if at[i], err = engine.Joint(name); err != nil {
			return err
		}
	}
	target, err := engine.Joint(s.slots[0].body)
	if err != nil {
		return err
	}
	if e.engine != nil {
		if err := e.engine.Close(); err != nil {
			return err
		}
	}
	e.scene, e.engine, e.stage, e.joints, e.target, e.score = s, engine, st, at, target, robot.Score{}
	e.assess()
	return nil
}

// state appends the state to dst.
func (e *Env) state(dst []float64) []float64 {
	positions := e.engine.Positions()
	for _, j := range e.joints {
		dst = append(dst, positions[j.Pos])
	}
	for _, slot := range e.scene.slots {
		p := e.stage.pose(slot.body, slot.pose)
		dst = append(dst, p.Pos.X, p.Pos.Y, p.Pos.Z, p.Quat.W, p.Quat.X, p.Quat.Y, p.Quat.Z)
	}
	return dst
}

// Observe implements robot.Robot.
func (e *Env) Observe(ctx context.Context, obs *actions.Observation) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "observe"); err != nil {
		return err
	}
	obs.Time = time.Duration(e.score.Step) * time.Second / ControlRate
	obs.Instruction = e.scene.instruction
	var state [joints + 7*slots]float64
	obs.State = obs.State[:0]
	for _, v := range e.state(state[:0]) {
		obs.State = append(obs.State, float32(v))
	}
	if obs.Images == nil {
		obs.Images = make(map[string]image.Image, len(e.spec.Cameras))
	}
	clear(obs.Images)
	for _, camera := range e.spec.Cameras {
		picture, err := e.picture(camera)
		if err != nil {
			return err
		}
		obs.Images[camera] = picture
	}
	return nil
}

// picture returns what a camera sees now, drawn once a step.
func (e *Env) picture(camera string) (image.Image, error) {
	if p, ok := e.pictures[camera]; ok {
		return p, nil
	}
	e.frame.Color = image.NewRGBA(image.Rect(0, 0, CameraSize, CameraSize)) // it leaves with the observation
	if err := e.stage.draw(e.frame, camera); err != nil {
		return nil, fmt.Errorf("arm: camera %s: %w", camera, err)
	}
	e.pictures[camera] = e.frame.Color
	return e.frame.Color, nil
}

// Look draws what a camera sees into frame, of any size, with depth and segmentation: the
// numbers there tell the bodies apart.
func (e *Env) Look(frame *render.Frame, camera string) error {
	if !slices.Contains(Cameras(), camera) {
		return fmt.Errorf("arm: camera %q is not known; choose from %v", camera, Cameras())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("arm: look: %w", robot.ErrClosed)
	}
	return e.stage.draw(frame, camera)
}

// Act implements robot.Robot: it commands the servos for one control step.
func (e *Env) Act(ctx context.Context, action []float32) error {
	if len(action) != joints {
		return fmt.Errorf("arm: act: action has width %d, want %d", len(action), joints)
	}
	for i, v := range action {
		if v-v != 0 {
			return fmt.Errorf("arm: act: %s is %v, which is not finite", e.spec.Action[i].Name, v)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "act"); err != nil {
		return err
	}
	controls := e.engine.Controls()
	var before [joints]float64
	copy(before[:], controls)
	for k := range Substeps { // a servo does not jump to a command
		share := float64(k+1) / Substeps
		for i, v := range action {
			controls[i] = before[i] + share*(float64(v)-before[i])
		}
		if err := e.engine.Step(); err != nil {
			return fmt.Errorf("arm: act: %w", err)
		}
	}
	e.score.Step++
	e.assess()
	return nil
}

// assess scores the world as it now is.
func (e *Env) assess() {
	e.pictures = make(map[string]image.Image, len(e.spec.Cameras))
	if e.score.Done { // how an episode ended does not change any more
		return
	}
	v := e.engine.Velocities()[e.target.Vel:]
	s := situation{
		hand:   e.stage.pose("gripper", handInGripper),
		target: e.stage.pose(e.scene.slots[0].body, e.scene.slots[0].pose),
		goal:   e.stage.pose(e.scene.slots[1].body, e.scene.slots[1].pose),
	}
	if e.config.Task != Drawer { // whose target slides
		s.speed = vec(v[0], v[1], v[2]).Norm()
	}
	e.score.Reward, e.score.Success = e.config.Task.score(s)
	e.score.Done = e.score.Success || e.score.Step >= MaxSteps
}

// Score implements robot.Simulator.
func (e *Env) Score() robot.Score {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.score
}

// Stop implements robot.Robot: the servos are commanded to where the joints are. Time
// stands still until the next Act, so nothing moves.
func (e *Env) Stop(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	positions, controls := e.engine.Positions(), e.engine.Controls()
	for i, j := range e.joints {
		controls[i] = positions[j.Pos]
	}
	return nil
}

// Close implements robot.Robot. Score still answers afterwards.
func (e *Env) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	return e.engine.Close()
}

func (e *Env) usable(ctx context.Context, verb string) error {
	if e.closed {
		return fmt.Errorf("arm: %s: %w", verb, robot.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("arm: %s: %w", verb, err)
	}
	return nil
}
