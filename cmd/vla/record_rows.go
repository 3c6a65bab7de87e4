package main

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"maps"
	"slices"
	"time"

	"govla/actions"
	"govla/actions/recording"
	"govla/robot"
	"govla/sim"
)

// The features of a recording that vla record makes, called as LeRobot calls them. Seed is
// ours: the seed of the row's episode. It stands in the rows, and not in the metadata,
// because there it survives merging and splitting, by LeRobot as by vla. Stray, ours too, says
// that an expert errs on purpose.
const (
	stateFeature       = "observation.state"
	environmentFeature = "observation.environment_state"
	cameraPrefix       = "observation.images."
	actionFeature      = "action"
	rewardFeature      = "next.reward"
	successFeature     = "next.success"
	doneFeature        = "next.done"
	seedFeature        = "seed"
	strayFeature       = "action_is_stray"
)

// layout is how the ticks of a robot become rows.
type layout struct {
	robot      string
	rate       float64
	task       string            // where an observation has no instruction
	robotState int               // dimensions of the state that the robot itself measures
	cameras    map[string]string // the feature of each
	scored     bool              // the robot is a simulator
	features   map[string]recording.Feature
}

// layoutOf looks at a robot: what it offers, and how large its pictures are.
func layoutOf(ctx context.Context, r robot.Robot, env sim.Environment) (*layout, error) {
	spec := env.Spec
	_, scored := r.(robot.Simulator)
	l := &layout{
		robot: spec.Name, rate: spec.Rate, task: cmp.Or(env.Task, env.Name), robotState: env.RobotState,
		cameras: make(map[string]string), scored: scored,
	}
	obs, err := firstSight(ctx, r, spec.Cameras)
	if err != nil {
		return nil, err
	}
	vector := func(s actions.Space) recording.Feature {
		return recording.Feature{DType: "float32", Shape: []int{len(s)}, Names: s.Names()}
	}
	number := func(dtype string) recording.Feature { return recording.Feature{DType: dtype, Shape: []int{1}} }
	l.features = map[string]recording.Feature{stateFeature: vector(spec.State[:l.robotState]), actionFeature: vector(spec.Action)}
	if around := spec.State[l.robotState:]; len(around) > 0 {
		l.features[environmentFeature] = vector(around)
	}
	for _, camera := range spec.Cameras {
		size := obs.Images[camera].Bounds().Size()
		l.cameras[camera] = cameraPrefix + camera
		l.features[l.cameras[camera]] = recording.Feature{DType: "video", Shape: []int{size.Y, size.X, 3}}
	}
	if l.scored {
		l.features[rewardFeature], l.features[successFeature], l.features[doneFeature] = number("float32"), number("bool"), number("bool")
		l.features[seedFeature] = number("int64")
	}
	return l, nil
}

// firstSight observes a robot, and waits some seconds for the pictures of cameras that
// have only begun to send.
func firstSight(ctx context.Context, r robot.Robot, cameras []string) (*actions.Observation, error) {
	const patience, pause = 5 * time.Second, 20 * time.Millisecond
	obs := new(actions.Observation)
	for began := time.Now(); ; {
		if err := r.Observe(ctx, obs); err != nil {
			return nil, fmt.Errorf("observe robot %s: %w", r.Spec().Name, err)
		}
		missing := slices.IndexFunc(cameras, func(name string) bool { return obs.Images[name] == nil })
		if missing < 0 {
			return obs, nil
		}
		if time.Since(began) > patience {
			return nil, fmt.Errorf("robot %s: no picture of camera %q in %v", r.Spec().Name, cameras[missing], patience)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// sameAs reports in what a recording differs from what would be added to it.
func (l *layout) sameAs(info *recording.Info) error {
	if info.Robot != l.robot {
		return fmt.Errorf("have robot %q, want %q", info.Robot, l.robot)
	}
	if info.FPS != l.rate {
		return fmt.Errorf("have %v rows a second, want %v", info.FPS, l.rate)
	}
	for _, name := range slices.Sorted(maps.Keys(l.features)) {
		have, ok := info.Features[name]
		want := l.features[name]
		switch {
		case !ok:
			return fmt.Errorf("have no feature %s", name)
		case !slices.Equal(have.Shape, want.Shape):
			return fmt.Errorf("feature %s: have shape %v, want %v", name, have.Shape, want.Shape)
		case len(want.Names) > 0 && !slices.Equal(have.Names, want.Names):
			return fmt.Errorf("feature %s: have %v, want %v", name, have.Names, want.Names)
		case have.Camera() != want.Camera():
			return fmt.Errorf("feature %s: have dtype %s, want %s", name, have.DType, want.DType)
		}
	}
	for _, name := range info.FeatureNames() {
		if _, ok := l.features[name]; !ok && (info.Features[name].Camera() || slices.Contains(info.NumericFeatures(), name)) {
			return fmt.Errorf("feature %s: the robot has none", name)
		}
	}
	return nil
}

// rows makes frames of an episode's ticks and gives each to put, one tick late: the reward
// of a row is what its action led to. A row is the observation, and the action sent after it.
type rows struct {
	layout *layout
	strays bool                        // the tick's action is of a chunk that does
	put    func(recording.Frame) error // copies what it keeps of a frame, but its images

	frame   recording.Frame // the newest, whose reward is not known yet
	waiting bool            // there is one
	count   int             // frames put
	err     error           // of the first put that failed
}

func newRows(l *layout, seed int64, put func(recording.Frame) error) *rows {
	r := &rows{layout: l, put: put, frame: recording.Frame{
		Values: make(map[string][]float32), Images: make(map[string]image.Image),
	}}
	if l.scored {
		for _, name := range []string{rewardFeature, successFeature, doneFeature} {
			r.frame.Values[name] = make([]float32, 1)
		}
		r.frame.Values[seedFeature] = []float32{float32(seed)}
	}
	return r
}

// add takes a tick; it fits robot.Loop's OnTick. A tick in which the robot was not
// observed has the observation before once more.
func (r *rows) add(t *robot.Tick) {
	if r.waiting && r.err == nil {
		r.finish(t)
	}
	r.waiting = t.Action != nil
	if !r.waiting {
		return
	}
	values := r.frame.Values
	values[actionFeature] = append(values[actionFeature][:0], t.Action...)
	if _, ok := r.layout.features[strayFeature]; ok {
		values[strayFeature] = append(values[strayFeature][:0], truth(r.strays))
	}
	if t.Observation == nil {
		return
	}
	state, split := t.Observation.State, r.layout.robotState
	values[stateFeature] = append(values[stateFeature][:0], state[:split]...)
	if len(state) > split {
		values[environmentFeature] = append(values[environmentFeature][:0], state[split:]...)
	}
	for camera, feature := range r.layout.cameras {
		if picture := t.Observation.Images[camera]; picture != nil {
			r.frame.Images[feature] = picture
		}
	}
}

// finish completes the frame that waits with what a tick says of its action.
func (r *rows) finish(t *robot.Tick) {
	if r.layout.scored {
		values := r.frame.Values
		values[rewardFeature][0] = float32(t.Score.Reward)
		values[successFeature][0], values[doneFeature][0] = truth(t.Score.Success), truth(t.Score.Done)
	}
	if r.err = r.put(r.frame); r.err == nil {
		r.count++
	}
}

func truth(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// copyFrame returns a frame with values of its own. Images are never written, so they are
// shared.
func copyFrame(f recording.Frame) recording.Frame {
	f.Values, f.Images = maps.Clone(f.Values), maps.Clone(f.Images)
	for name, values := range f.Values {
		f.Values[name] = slices.Clone(values)
	}
	return f
}
