package teleop

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

func predict(t *testing.T, o *Operator, at time.Duration, state ...float32) actions.Chunk {
	t.Helper()
	chunk, err := o.Predict(t.Context(), actions.Input{Window: []actions.Observation{{Time: at, State: state}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := chunk.Validate(len(o.Spec().Action)); err != nil {
		t.Fatal(err)
	}
	return chunk
}

func newOperator(t *testing.T, rate float64) *Operator {
	t.Helper()
	joint := actions.Space{{Name: "x", Unit: "m", Min: -1, Max: 1, MaxRate: 2}}
	o, err := NewOperator(robot.Spec{Name: "r", State: joint, Action: joint, Rate: rate}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Chunks begin where the robot is, and each goes on where what was played of the one before
// ended, whichever ticks the loop asked in.
func TestChunksContinue(t *testing.T) {
	const step = 100 * time.Millisecond
	o := newOperator(t, 10)
	chunk := predict(t, o, 0, 0.5)
	for i := range chunk.Horizon() {
		if chunk.At(i)[0] != 0.5 {
			t.Fatalf("without keys: have %v, want 0.5", chunk.Values)
		}
	}
	var played float32 = 0.5 // at the tick of the newest observation
	for tick := 1; tick < 30; tick++ {
		if tick%4 == 1 {
			o.Press('q')
		}
		if tick%3 == 0 {
			played = chunk.At(tick % 3)[0]
			continue // the loop was late and did not ask
		}
		ahead := 1
		if tick > 3 && tick%3 == 1 {
			ahead = 2
		}
		want := chunk.At(ahead)[0]
		chunk = predict(t, o, time.Duration(tick)*step, played)
		if chunk.At(0)[0] != want {
			t.Fatalf("tick %d: have %v, want to go on from %v", tick, chunk.At(0), want)
		}
		played = want
	}
	if played <= 0.6 {
		t.Errorf("after all keys: have %v, want it to have moved", played)
	}
	o.Begin()
	if have := predict(t, o, 5*time.Second, -0.25).At(0)[0]; have != -0.25 {
		t.Errorf("after Begin: have %v, want where the robot is", have)
	}
}

// Keys that nobody asked for are not kept for later.
func TestUnaskedKeys(t *testing.T) {
	o := newOperator(t, 10)
	for range 10000 {
		o.Press('q')
	}
	o.Begin()
	if have := predict(t, o, 0, 0).At(7)[0]; have != 0 {
		t.Errorf("have %v, want keys before Begin to be forgotten", have)
	}
	if o.Press(Enter) != Next || o.Press(Backspace) != Discard || o.Press(EndOfInput) != Finish {
		t.Error("events do not wait for a prediction")
	}
}

func TestNewOperatorRefuses(t *testing.T) {
	joint := actions.Space{{Name: "x", Unit: "m", Min: -1, Max: 1}}
	wheel := actions.Space{{Name: "v", Unit: "m/s", Min: -1, Max: 1}}
	if _, err := NewOperator(robot.Spec{Action: joint, Rate: 10}, nil, nil); err == nil || !strings.Contains(err.Error(), "where x begins") {
		t.Errorf("a robot that does not tell its position: %v", err)
	}
	if _, err := NewOperator(robot.Spec{Action: joint, State: joint, Rate: 10}, []string{"x", "y"}, nil); err == nil {
		t.Error("two positions of one dimension are taken")
	}
	o, err := NewOperator(robot.Spec{Action: wheel, Rate: 10}, nil, nil)
	if err != nil {
		t.Fatalf("a wheel needs no position: %v", err)
	}
	if have := predict(t, o, 0).At(3)[0]; have != 0 {
		t.Errorf("a wheel begins at %v", have)
	}
	follower, err := NewOperator(robot.Spec{Action: joint, State: actions.Space{{Name: "a"}, {Name: "b"}}, Rate: 10}, []string{"b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if have := predict(t, follower, 0, 0.1, 0.2).At(0)[0]; have != 0.2 {
		t.Errorf("have %v, want the state that the action follows", have)
	}
}

// In the control loop a key moves the robot, within two ticks, as far as a tap is long, and
// the robot rests when nobody presses anything.
func TestOperatorInLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := fake.New(fake.Config{RealTime: true, Rate: 50, Gain: 100, Joints: actions.Space{{Name: "x", Unit: "m", Min: -1, Max: 1, MaxRate: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		o, err := NewOperator(r.Spec(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var first, last float32
		moved := -1
		loop := robot.Loop{Robot: r, Policy: o, Rate: 50, MaxSteps: 60, OnTick: func(tick *robot.Tick) {
			x := tick.Observation.State[0]
			switch {
			case tick.Number == 0:
				first = x
			case tick.Number == 10:
				o.Press('a')
			}
			if moved < 0 && tick.Action != nil && tick.Action[0] < first-1e-4 {
				moved = tick.Number
			}
			last = x
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result, err := loop.Run(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if moved < 11 || moved > 13 {
			t.Errorf("a key of tick 10 moves the robot in tick %d", moved)
		}
		if way := float64(last - first); math.Abs(way+0.4*0.15) > 1e-4 {
			t.Errorf("have it %v m further, want %v", way, -0.4*0.15)
		}
		if result.Limits != (actions.LimiterEvents{}) {
			t.Errorf("the loop had to limit what the keyboard had limited: %+v", result.Limits)
		}
	})
}

func ExampleKeyboard() {
	k, err := NewKeyboard(Config{Rate: 10, Action: actions.Space{{Name: "pan", Unit: "rad", Min: -2, Max: 2}}})
	if err != nil {
		panic(err)
	}
	if err := k.Begin([]float32{0.5}); err != nil {
		panic(err)
	}
	k.Press('q')
	for range 3 {
		fmt.Printf("%.2f ", k.Step()[0])
	}
	// Output: 0.58 0.62 0.62
}
