// Package sim lists the simulated environments by name. Each is a robot with a reset and
// a score; the packages below it hold them, and eval measures policies on them.
package sim

import (
	"cmp"
	"fmt"
	"image"
	"slices"
	"strings"

	"govla/actions"
	"govla/robot"
	"govla/sim/arm"
	"govla/sim/mujoco"
	"govla/sim/physics"
	"govla/sim/pusht"
)

// Options choose among the worlds of an environment.
type Options struct {
	Task   string // one of Environment.Tasks; the first unless set
	Split  string // one of Environment.Splits; the first unless set
	Engine string // one of Environment.Engines; the first unless set
	MJCF   string // file of a robot of the user's own, instead of an environment by name

	// Cameras are those whose pictures come with each observation; nil for the environment's
	// usual ones.
	Cameras []string
}

// Environment is a kind of simulated world.
type Environment struct {
	Name    string
	Task    string   // what the robot is to do
	Tasks   []string // all that it can be asked to do; empty where there is one thing only
	Splits  []string // kinds of episodes, by what training has not met; empty where there is one only
	Engines []string // that can simulate it; empty where there is one only
	Spec    robot.Spec

	// RobotState is how many of the state's dimensions, the first ones, a robot's own
	// sensors would measure. The others describe its surroundings (LeRobot's
	// observation.environment_state).
	RobotState int

	Cameras []string // all that it has; Spec has those that were chosen

	Substeps int // physics steps in a control step

	// Open returns a new world of its own, in lockstep.
	Open func() (robot.Simulator, error)

	// Model returns the physics of the episode with that seed; nil where it is not one of
	// package physics.
	Model func(seed int64) (*physics.Model, error)

	// Jog returns the action, in memory of its own, that moves the robot's hand by a small
	// motion from where the given action holds it; nil where the robot has no hand.
	Jog func(action []float32, m Motion) ([]float32, error)

	Policy string // the embedded policy, or "expert", that is run unless another one is named

	// Expert returns a scripted policy that solves the task; nil where there is none.
	Expert func() (actions.Policy, error)

	// NewPainter returns a function that draws an observation of an episode with that seed,
	// with the action that it is pursuing unless that is nil. One painter serves one
	// goroutine. Where NewPainter is nil, the pictures of the robot's cameras show what
	// happens.
	NewPainter func(seed int64) func(dst *image.RGBA, state, action []float32)

	// Path names the action's dimensions that make a path in the plane, and the state's
	// dimensions that follow them; it is what a plot of an episode shows. Where it is nil
	// the plot shows every dimension over time.
	Path *Path

	// RelativeTo names, for each action dimension, the state dimension that it moves.
	RelativeTo []string

	// Mirror turns a recorded row into its mirror image, another valid one, in place; nil
	// where the world has no such symmetry.
	Mirror func(state, action []float32)
}

// Motion is a displacement of a hand in the world, in m and rad.
type Motion struct {
	X, Y, Z     float64
	Pitch, Roll float64 // of the hand: towards the ground, and about its own axis
}

// Path names two dimensions of the action and the two of the state that follow them.
type Path struct{ Commanded, Achieved [2]int }

// Names returns the known environments' names.
func Names() []string { return []string{"pusht", "arm"} }

// Lookup returns the environment called name.
func Lookup(name string, o Options) (Environment, error) {
	if o.MJCF != "" {
		return mjcf(o)
	}
	var env Environment
	switch name {
	case "pusht":
		env = pushT(o)
	case "arm":
		env = armTable(o)
	default:
		return Environment{}, fmt.Errorf("environment %q is not known; choose one of %s", name, strings.Join(Names(), ", "))
	}
	if err := oneOf("task", name, o.Task, env.Tasks); err != nil {
		return Environment{}, err
	}
	if err := oneOf("split", name, o.Split, env.Splits); err != nil {
		return Environment{}, err
	}
	if err := oneOf("engine", name, o.Engine, env.Engines); err != nil {
		return Environment{}, err
	}
	if o.Engine == mujocoEngine && !mujoco.Available {
		return Environment{}, mujoco.ErrAbsent
	}
	for _, camera := range o.Cameras {
		if err := oneOf("camera", name, camera, env.Cameras); err != nil {
			return Environment{}, err
		}
	}
	return env, nil
}

func oneOf(what, env, have string, known []string) error {
	switch {
	case have == "" || slices.Contains(known, have):
		return nil
	case len(known) == 0:
		return fmt.Errorf("environment %s has no choice of %ss, so not %q", env, what, have)
	default:
		return fmt.Errorf("environment %s has no %s %q; choose one of %s", env, what, have, strings.Join(known, ", "))
	}
}

func pushT(o Options) Environment {
	config := pusht.Config{Image: slices.Contains(o.Cameras, pusht.Camera)}
	return Environment{
		Name:       "pusht",
		Policy:     "pusht-flow",
		Spec:       pusht.New(config).Spec(),
		RobotState: 2,
		Cameras:    []string{pusht.Camera},
		Substeps:   pusht.Substeps,
		Open:       func() (robot.Simulator, error) { return pusht.New(config), nil },
		NewPainter: func(int64) func(*image.RGBA, []float32, []float32) {
			r := pusht.NewRenderer()
			return func(dst *image.RGBA, state, action []float32) {
				s, err := pusht.StateFromObservation(state)
				switch {
				case err != nil:
					return // a picture can wait for the next good observation
				case action == nil:
					r.Draw(dst, s)
				default:
					r.DrawTarget(dst, s, float64(action[0]), float64(action[1]))
				}
			}
		},
		Path:       &Path{Commanded: [2]int{0, 1}, Achieved: [2]int{0, 1}},
		RelativeTo: []string{"agent_x", "agent_y"},
		Mirror:     pusht.MirrorExample,
	}
}

func armTable(o Options) Environment {
	config := arm.Config{
		Task:    cmp.Or(arm.Task(o.Task), arm.Tasks()[0]),
		Split:   cmp.Or(arm.Split(o.Split), arm.Splits()[0]),
		Cameras: o.Cameras,
	}
	if o.Engine == mujocoEngine {
		config.Engine = func(m *physics.Model) (arm.Engine, error) { return mujoco.New(m) }
	}
	return Environment{
		Name:       "arm",
		Policy:     "expert",
		Task:       string(config.Task),
		Tasks:      names(arm.Tasks()),
		Splits:     names(arm.Splits()),
		Engines:    []string{"builtin", mujocoEngine},
		Spec:       arm.Spec(config.Cameras),
		RobotState: len(arm.Spec(nil).Action),
		Cameras:    arm.Cameras(),
		Substeps:   arm.Substeps,
		Open:       func() (robot.Simulator, error) { return arm.New(config) },
		Model:      func(seed int64) (*physics.Model, error) { return arm.Model(config.Task, config.Split, seed) },
		Jog: func(action []float32, m Motion) ([]float32, error) {
			return arm.Jog(action, physics.Vec3{X: m.X, Y: m.Y, Z: m.Z}, m.Pitch, m.Roll)
		},
		Expert: func() (actions.Policy, error) { return arm.NewExpert(config.Task) },
		NewPainter: func(seed int64) func(*image.RGBA, []float32, []float32) {
			p, err := arm.NewPainter(config.Task, config.Split, seed)
			return func(dst *image.RGBA, state, _ []float32) {
				if err == nil {
					p.Paint(dst, state) // a picture can wait for the next good state
				}
			}
		},
	}
}

// mujocoEngine is the name of the engine that is there only in programs built with it.
const mujocoEngine = "mujoco"

// mjcf returns the environment that a MuJoCo model in a file makes: a robot without a task.
func mjcf(o Options) (Environment, error) {
	if o.Task != "" || o.Split != "" {
		return Environment{}, fmt.Errorf("the robot in %s has no tasks: leave out task and split", o.MJCF)
	}
	if o.Engine != "" && o.Engine != mujocoEngine {
		return Environment{}, fmt.Errorf("%s needs the engine mujoco, not %q", o.MJCF, o.Engine)
	}
	open := func() (robot.Simulator, error) { return mujoco.Load(o.MJCF, mujoco.Config{Cameras: o.Cameras}) }
	first, err := open()
	if err != nil {
		return Environment{}, err
	}
	defer first.Close()
	spec := first.Spec()
	return Environment{
		Name: spec.Name, Engines: []string{mujocoEngine}, Spec: spec, RobotState: len(spec.State), Cameras: spec.Cameras, Open: open,
	}, nil
}

func names[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return out
}
