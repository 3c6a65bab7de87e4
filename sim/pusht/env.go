package pusht

import (
	"context"
	"fmt"
	"image"
	"math"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
)

const (
	// MaxSteps is the number of control steps after which an episode is over.
	MaxSteps = 300

	// Camera is the name of the picture from above, and CameraSize its width and height.
	Camera     = "image"
	CameraSize = 96

	stepTime = time.Second / ControlRate
)

// Config is what can be chosen about an Env.
type Config struct {
	// Image adds the picture of the world to each observation, as Camera. A policy that
	// works from the keypoints is served much faster without.
	Image bool
}

// Env is PushT as a robot.Simulator that runs in lockstep. Its methods may be called from
// any goroutine.
//
// The state has 18 dimensions in px, the agent's position and the 16 numbers of
// State.Keypoints; the action is the position that the agent is to be pulled to. The
// reward is the coverage as a part of SuccessCoverage, and an episode is over once it was
// solved or after MaxSteps; from then on its Score only counts the steps.
type Env struct {
	spec robot.Spec

	mu               sync.Mutex
	world            *World
	renderer         *Renderer   // nil until a picture is asked for
	picture          image.Image // of the present step; nil until it is asked for
	targetX, targetY float64     // what the agent is pulled to
	score            robot.Score
	closed           bool
}

var _ robot.Simulator = (*Env)(nil)

// New returns an environment in the initial state of seed 0.
func New(config Config) *Env {
	e := &Env{spec: spec(config), world: &World{}}
	e.reset(InitialState(0))
	return e
}

func spec(config Config) robot.Spec {
	s := robot.Spec{
		Name: "pusht",
		State: actions.Space{
			{Name: "agent_x", Unit: "px", Min: 0, Max: Size},
			{Name: "agent_y", Unit: "px", Min: 0, Max: Size},
		},
		Action: actions.Space{
			{Name: "action_x", Unit: "px", Min: 0, Max: Size},
			{Name: "action_y", Unit: "px", Min: 0, Max: Size},
		},
		Rate: ControlRate,
	}
	for i := range tee {
		for _, axis := range []string{"x", "y"} {
			// A block that starts in a wall sticks out of the world with its stem.
			s.State = append(s.State, actions.Dimension{
				Name: fmt.Sprintf("keypoint_%d_%s", i, axis), Unit: "px", Min: -100, Max: Size + 100,
			})
		}
	}
	if config.Image {
		s.Cameras = []string{Camera}
	}
	return s
}

// Spec implements robot.Robot. The state is agent_x, agent_y, keypoint_0_x,
// keypoint_0_y to keypoint_7_y; the action action_x, action_y.
func (e *Env) Spec() robot.Spec { return e.spec }

// Reset implements robot.Simulator. A seed is one of NumPy's, 0 to 2³²-1, and what is
// returned is InitialState(seed) as agent_x, agent_y, block_x, block_y, block_angle;
// World.Reset says where that puts the block.
func (e *Env) Reset(ctx context.Context, seed int64) ([]float64, error) {
	if seed < 0 || seed > math.MaxUint32 {
		return nil, fmt.Errorf("pusht: reset: seed %d, want 0 to %d", seed, int64(math.MaxUint32))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "reset"); err != nil {
		return nil, err
	}
	s := InitialState(seed)
	e.reset(s)
	return []float64{s.AgentX, s.AgentY, s.BlockX, s.BlockY, s.BlockAngle}, nil
}

func (e *Env) reset(s State) {
	e.world.Reset(s)
	e.targetX, e.targetY = s.AgentX, s.AgentY
	e.score = robot.Score{}
	e.assess()
}

// Observe implements robot.Robot.
func (e *Env) Observe(ctx context.Context, obs *actions.Observation) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "observe"); err != nil {
		return err
	}
	s := e.world.State()
	obs.Time = time.Duration(e.score.Step) * stepTime
	obs.Instruction = ""
	obs.State = append(obs.State[:0], float32(s.AgentX), float32(s.AgentY))
	for _, v := range s.Keypoints() {
		obs.State = append(obs.State, float32(v))
	}
	clear(obs.Images)
	for _, camera := range e.spec.Cameras {
		if obs.Images == nil {
			obs.Images = make(map[string]image.Image, 1)
		}
		obs.Images[camera] = e.pictureNow(s)
	}
	return nil
}

// pictureNow returns the picture of s, the present state, which is drawn once a step.
func (e *Env) pictureNow(s State) image.Image {
	if e.picture == nil {
		picture := image.NewRGBA(image.Rect(0, 0, CameraSize, CameraSize))
		e.drawer().Draw(picture, s)
		e.picture = picture
	}
	return e.picture
}

// drawer returns the renderer, which is large, and few environments need one.
func (e *Env) drawer() *Renderer {
	if e.renderer == nil {
		e.renderer = NewRenderer()
	}
	return e.renderer
}

// Act implements robot.Robot: it pulls the agent towards action for one control step. A
// target beyond the table is taken for the nearest point on it.
func (e *Env) Act(ctx context.Context, action []float32) error {
	if len(action) != len(e.spec.Action) {
		return fmt.Errorf("pusht: act: action has width %d, want %d", len(action), len(e.spec.Action))
	}
	x, y := float64(action[0]), float64(action[1])
	if x-x != 0 || y-y != 0 {
		return fmt.Errorf("pusht: act: target (%v, %v) is not finite", x, y)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(ctx, "act"); err != nil {
		return err
	}
	e.targetX, e.targetY = x, y
	e.world.Step(x, y)
	e.score.Step++
	e.assess()
	return nil
}

// assess scores the world as it now is. The score of an episode that is over stays as it
// was then: in real time the world goes on, and who missed that step still learns how the
// episode ended.
func (e *Env) assess() {
	e.picture = nil
	if e.score.Done {
		return
	}
	s := e.world.State()
	e.score.Reward = s.Reward()
	e.score.Success = s.Coverage() > SuccessCoverage
	e.score.Done = e.score.Success || e.score.Step >= MaxSteps
}

// Score implements robot.Simulator.
func (e *Env) Score() robot.Score {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.score
}

// State returns where everything is, more exactly than an observation.
func (e *Env) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.world.State()
}

// Frame draws the present state into dst, which may have any size, with a red cross where
// the agent is being pulled to. It is meant for people: the cross is in no observation.
func (e *Env) Frame(dst *image.RGBA) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drawer().DrawTarget(dst, e.world.State(), e.targetX, e.targetY)
}

// Stop implements robot.Robot: the agent's own position becomes its target. Time stands
// still until the next Act, so nothing moves.
func (e *Env) Stop(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.world.State()
	e.targetX, e.targetY = s.AgentX, s.AgentY
	return nil
}

// Close implements robot.Robot. State and Score still answer afterwards.
func (e *Env) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

func (e *Env) usable(ctx context.Context, verb string) error {
	if e.closed {
		return fmt.Errorf("pusht: %s: %w", verb, robot.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("pusht: %s: %w", verb, err)
	}
	return nil
}
