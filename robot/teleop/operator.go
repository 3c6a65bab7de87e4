package teleop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
)

// horizon is for how many control steps an operator's chunks reach ahead: what is left of
// the pressed keys, and rest after that.
const horizon = 8

// Operator is a person at a Keyboard, as a policy for the control loop. Unlike other
// policies it remembers: it serves one loop at a time, and Begin comes before each run.
// Press may be called from any goroutine.
type Operator struct {
	spec     actions.PolicySpec
	position []int // for each dimension of the action the state's that it moves; -1 for a speed

	mu       sync.Mutex
	keyboard *Keyboard
	pressed  []Key // since the newest prediction
	begun    bool
	at       time.Duration // of the newest prediction
}

var _ actions.Policy = (*Operator)(nil)

// NewOperator returns an operator of a robot. follows names, for each dimension of the
// action, the dimension of the state that it moves; nil where both have the same names.
// jog is as in Config. An action that no state tells the position of is an error: nobody
// could say where to begin.
func NewOperator(spec robot.Spec, follows []string, jog func([]float32, Motion) ([]float32, error)) (*Operator, error) {
	k, err := NewKeyboard(Config{Action: spec.Action, Rate: spec.Rate, Jog: jog})
	if err != nil {
		return nil, err
	}
	if follows == nil {
		follows = spec.Action.Names()
	}
	if len(follows) != len(spec.Action) {
		return nil, fmt.Errorf("keyboard: have %d positions of %d dimensions of the action", len(follows), len(spec.Action))
	}
	o := &Operator{keyboard: k, spec: actions.PolicySpec{
		Name: "keyboard", State: spec.State, Action: spec.Action,
		ObservationSteps: 1, Horizon: horizon, ExecuteSteps: 1, Rate: spec.Rate,
	}}
	for i, d := range spec.Action {
		at := spec.State.Index(follows[i])
		if at < 0 && !isSpeed(d) {
			return nil, fmt.Errorf("keyboard: the robot's state %v has no %s: nobody can say where %s begins", spec.State.Names(), follows[i], d.Name)
		}
		if isSpeed(d) {
			at = -1
		}
		o.position = append(o.position, at)
	}
	return o, nil
}

// Spec says what an operator's chunks are.
func (o *Operator) Spec() actions.PolicySpec { return o.spec }

// Begin makes the next prediction begin where the robot is then, with no key pressed.
func (o *Operator) Begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun, o.pressed = false, nil
}

// Press takes a key. Keys that move the robot wait for the next prediction.
func (o *Operator) Press(key Key) Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch key {
	case Enter, Backspace, EndOfInput:
		return o.keyboard.Press(key)
	}
	if len(o.pressed) < 64 { // a loop that does not ask is not moved later
		o.pressed = append(o.pressed, key)
	}
	return None
}

// Status returns how the keyboard stands.
func (o *Operator) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.keyboard.Status()
}

// Predict returns where the keys take the robot, shape [8][dim], the first action being
// the one in force at the observation. It waits for nothing.
func (o *Operator) Predict(_ context.Context, in actions.Input) (actions.Chunk, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := in.Window[len(in.Window)-1]
	step := time.Duration(float64(time.Second) / o.spec.Rate)
	if !o.begun {
		if err := o.begin(now.State); err != nil {
			return actions.Chunk{}, err
		}
		o.begun, o.at = true, now.Time
	}
	// What was played since the newest prediction is what that said would be.
	for steps := int((now.Time - o.at + step/2) / step); steps > 0; steps-- {
		o.keyboard.Step()
	}
	o.at = now.Time
	for _, key := range o.pressed {
		o.keyboard.Press(key)
	}
	o.pressed = o.pressed[:0]

	chunk := actions.NewChunk(now.Time, step, horizon, len(o.spec.Action))
	copy(chunk.At(0), o.keyboard.target)
	ahead := o.keyboard.ahead()
	for i := 1; i < horizon; i++ {
		copy(chunk.At(i), ahead.Step())
	}
	return chunk, nil
}

func (o *Operator) begin(state []float32) error {
	position := make([]float32, len(o.position))
	for i, at := range o.position {
		if at >= len(state) {
			return fmt.Errorf("keyboard: the state has %d dimensions, want %d", len(state), len(o.spec.State))
		}
		if at >= 0 {
			position[i] = state[at]
		}
	}
	return o.keyboard.Begin(position)
}
