package teleop

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"govla/actions"
)

// Hold is for how long a key moves the robot: longer than a terminal takes from one
// repetition of a held key to the next, and short enough to stop in time.
const Hold = 150 * time.Millisecond

// Motion is a displacement of a robot's hand in the world, in m and rad.
type Motion struct {
	X, Y, Z     float64
	Pitch, Roll float64 // of the hand: towards the ground, and about its own axis
}

// Config says what a Keyboard moves.
type Config struct {
	Action actions.Space
	Rate   float64 // control steps a second

	// Jog returns the action that moves the hand by a small motion from where the given
	// action holds it, or an error where the hand cannot go there. Nil where there is no
	// hand: the keys move joints alone.
	Jog func(action []float32, m Motion) ([]float32, error)
}

// Event is what a key asks of whoever records.
type Event int

// The events.
const (
	None    Event = iota
	Next          // Enter: begin an episode, or end and keep the one in progress
	Discard       // Backspace: forget the episode in progress
	Finish        // Ctrl-D: no more episodes
)

// Speeds of a hand, and how far the speed keys go from the usual speed.
const (
	handSpeed              = 0.1 // m/s
	turnSpeed              = 1.0 // rad/s
	jointSpeed             = 0.2 // of a joint's range a second
	slowest, fastest, gear = 0.125, 4.0, 1.25
)

// Keyboard turns keys into actions, one control step after the other. A dimension whose
// unit ends in "/s" is a speed: it has a value as long as its key is held, and is 0
// otherwise. All others are positions, which keys push on. It knows neither clocks nor
// terminals, and is not safe for concurrent use.
type Keyboard struct {
	config  Config
	limiter *actions.Limiter
	gripper int // dimension, or -1
	dt      float64

	target  []float32
	joints  []push
	hand    [len(axes)]push
	byHand  bool
	speed   float64 // 1 is the usual one
	blocked error   // why the hand did not move
}

// push is what a key does to a joint, or to the hand along one axis.
type push struct {
	direction float64
	left      float64 // s
}

// NewKeyboard returns a keyboard that moves the hand if there is one, and joints otherwise.
func NewKeyboard(c Config) (*Keyboard, error) {
	limiter, err := actions.NewLimiter(c.Action, c.Rate)
	if err != nil {
		return nil, fmt.Errorf("keyboard: %w", err)
	}
	if len(c.Action) == 0 || len(c.Action) > len(jointKeys) {
		return nil, fmt.Errorf("keyboard: have %d dimensions of the action, want 1 to %d: there are no more keys", len(c.Action), len(jointKeys))
	}
	k := &Keyboard{
		config: c, limiter: limiter, dt: 1 / c.Rate, speed: 1, byHand: c.Jog != nil,
		target: make([]float32, len(c.Action)), joints: make([]push, len(c.Action)), gripper: gripper(c.Action),
	}
	return k, nil
}

// gripper returns the dimension of a gripper, or -1.
func gripper(space actions.Space) int {
	return slices.IndexFunc(space, func(d actions.Dimension) bool { return strings.HasPrefix(d.Name, "gripper") })
}

// Begin says where the robot is, in the action's dimensions; speeds are 0 there.
func (k *Keyboard) Begin(position []float32) error {
	if err := k.limiter.Start(position); err != nil {
		return fmt.Errorf("keyboard: %w", err)
	}
	for i, d := range k.config.Action {
		k.target[i] = min(max(position[i], d.Min), d.Max)
	}
	k.still()
	return nil
}

// still lets go of all keys.
func (k *Keyboard) still() {
	clear(k.joints)
	clear(k.hand[:])
	k.blocked = nil
}

// Press takes a key. The motion that it stands for begins with the next Step.
func (k *Keyboard) Press(key Key) Event {
	switch key {
	case Enter:
		return Next
	case Backspace:
		return Discard
	case EndOfInput:
		return Finish
	case Tab:
		if k.config.Jog != nil {
			k.still()
			k.byHand = !k.byHand
		}
	case ' ':
		k.still()
	case '+', '=':
		k.speed = min(k.speed*gear, fastest)
	case '-', '_':
		k.speed = max(k.speed/gear, slowest)
	default:
		if p := k.pushed(key); p != nil {
			p.left = Hold.Seconds()
		}
	}
	return None
}

// Step returns the action of the next control step, good until the next call: where the
// keys take the robot, within the limits and rates of its action space.
func (k *Keyboard) Step() []float32 {
	next := slices.Clone(k.target)
	for i, d := range k.config.Action {
		seconds := k.joints[i].take(k.dt)
		if speed := k.jointSpeed(d); isSpeed(d) {
			next[i] = float32(seconds / k.dt * speed)
		} else {
			next[i] += float32(seconds * speed)
		}
	}
	if moved, err := k.jog(next); err != nil {
		k.blocked = err
	} else {
		next = moved
	}
	if k.limiter.Start(k.target) == nil {
		if safe, ok := k.limiter.Limit(next); ok {
			copy(k.target, safe)
		}
	}
	return k.target
}

// jog moves the hand as its keys say.
func (k *Keyboard) jog(from []float32) ([]float32, error) {
	var way [len(axes)]float64
	moves := false
	for i := range k.hand {
		way[i] = k.hand[i].take(k.dt) * axes[i].speed * k.speed
		moves = moves || way[i] != 0
	}
	if !moves {
		return from, nil
	}
	k.blocked = nil
	to, err := k.config.Jog(from, Motion{X: way[0], Y: way[1], Z: way[2], Pitch: way[3], Roll: way[4]})
	if err == nil && len(to) != len(from) {
		err = errors.New("jog: have an action of another width")
	}
	return to, err
}

// take returns for how long the key pushes during the next dt seconds, negative in the
// negative direction.
func (p *push) take(dt float64) float64 {
	seconds := min(p.left, dt)
	p.left -= seconds
	return p.direction * seconds
}

// jointSpeed is how fast a key moves a dimension, in its unit a second; for a dimension
// that is a speed itself, its value.
func (k *Keyboard) jointSpeed(d actions.Dimension) float64 {
	share := jointSpeed * k.speed
	speed := share * (float64(d.Max) - float64(d.Min))
	if !isSpeed(d) && d.MaxRate > 0 {
		speed = min(speed, float64(d.MaxRate))
	}
	return speed
}

func isSpeed(d actions.Dimension) bool { return strings.HasSuffix(d.Unit, "/s") }

// Status is how a keyboard stands.
type Status struct {
	Hand    bool    // keys move the hand, and not joints
	Speed   float64 // 1 is the usual one
	Blocked error   // why the hand did not move; nil if it did
}

// Status returns how the keyboard stands.
func (k *Keyboard) Status() Status {
	return Status{Hand: k.byHand, Speed: math.Round(k.speed*100) / 100, Blocked: k.blocked}
}

// ahead returns a copy that can be stepped without changing k.
func (k *Keyboard) ahead() *Keyboard {
	copied := *k
	copied.target = slices.Clone(k.target)
	copied.joints = slices.Clone(k.joints)
	return &copied // the limiter may be shared: each Step starts it anew
}
