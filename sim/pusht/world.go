package pusht

import (
	"sync"

	"github.com/jakecoffman/cp"
)

const (
	// ControlRate is the number of control steps, calls of World.Step, a second.
	ControlRate = 10

	// Substeps is the number of physics steps in a control step.
	Substeps    = 10
	substepTime = 1.0 / (ControlRate * Substeps)

	// The PD law that pulls the agent, of unit mass, to its target.
	stiffness = 100 // 1/s²
	friction  = 20  // 1/s

	agentRadius = 15 // px
	wallLow     = 5  // px, the walls' middle line at the left and the top
	wallHigh    = 506
	wallRadius  = 2 // px
)

// World is the table with the agent and the block on it. Restore or Reset comes before
// anything else. It is not safe for concurrent use.
type World struct {
	space        *cp.Space
	agent, block *cp.Body
	contacts     int // contact points, summed over the substeps of a control step
}

// NewWorld returns a world that was Restored to s.
func NewWorld(s State) *World {
	w := &World{}
	w.Restore(s)
	return w
}

// Restore puts the world into exactly state s, at rest: State returns s until the next
// Step. It is how a recorded episode is taken up.
func (w *World) Restore(s State) {
	w.build()
	w.agent.SetPosition(cp.Vector{X: s.AgentX, Y: s.AgentY})
	w.block.SetAngle(s.BlockAngle)
	w.block.SetPosition(cp.Vector{X: s.BlockX, Y: s.BlockY})
	w.settle()
}

// Reset puts the world into the state that gym-pusht, and so every published result, has
// at the start of an episode that is given s: the block is put at its position first and
// turned afterwards, about its centre of gravity, which takes its origin elsewhere (by up
// to 90 px). State returns where.
func (w *World) Reset(s State) {
	w.build()
	w.agent.SetPosition(cp.Vector{X: s.AgentX, Y: s.AgentY})
	w.block.SetPosition(cp.Vector{X: s.BlockX, Y: s.BlockY})
	w.block.SetAngle(s.BlockAngle)
	w.settle()
}

// settle makes the one physics step that gym-pusht makes before an episode. Nothing moves
// in it, but an agent that stands on the block is noticed, and the next step starts to
// push the two apart.
func (w *World) settle() { w.space.Step(substepTime) }

// Step pulls the agent towards (targetX, targetY), in px, for one control step of
// 1/ControlRate seconds. The target has to be finite; it is moved to the nearest point of
// the table, as a target far outside would fling the agent at the block.
func (w *World) Step(targetX, targetY float64) {
	targetX, targetY = max(0, min(targetX, Size)), max(0, min(targetY, Size))
	w.contacts = 0
	for range Substeps {
		p, v := w.agent.Position(), w.agent.Velocity()
		w.agent.SetVelocity(
			v.X+(stiffness*(targetX-p.X)-friction*v.X)*substepTime,
			v.Y+(stiffness*(targetY-p.Y)-friction*v.Y)*substepTime,
		)
		w.space.Step(substepTime)
		w.block.EachArbiter(w.countContacts)
	}
}

// State returns where everything is.
func (w *World) State() State {
	agent, block := w.agent.Position(), w.block.Position()
	return State{
		AgentX: agent.X, AgentY: agent.Y,
		BlockX: block.X, BlockY: block.Y, BlockAngle: w.block.Angle(),
	}
}

// Contacts returns the mean number of points at which the block was touched during the
// last control step, rounded up, as gym-pusht's "n_contacts".
func (w *World) Contacts() int { return (w.contacts + Substeps - 1) / Substeps }

func (w *World) countContacts(arbiter *cp.Arbiter) { w.contacts += arbiter.Count() }

// building keeps cp's constructors apart: they number bodies with a variable of their
// package, and worlds are made by many goroutines at once.
var building sync.Mutex

// build makes a new space, as contacts of the old one would otherwise live on. The order
// in which shapes are added decides in which order contacts are solved, and so what
// happens when the agent starts on top of the block. This one follows the recordings.
func (w *World) build() {
	building.Lock()
	defer building.Unlock()
	w.contacts = 0
	w.space = cp.NewSpace()
	w.space.SetDamping(0) // the table's friction: whatever moves stops within a substep

	corners := [4]cp.Vector{{X: wallLow, Y: wallHigh}, {X: wallLow, Y: wallLow}, {X: wallHigh, Y: wallLow}, {X: wallHigh, Y: wallHigh}}
	for i, from := range corners {
		w.space.AddShape(cp.NewSegment(w.space.StaticBody, from, corners[(i+1)%4], wallRadius))
	}

	// The benchmark's T has mass 1, for a moment of inertia twice that of the bar, and as
	// its centre of gravity the middle between the bar's and the stem's. cp derives the
	// centre from the shapes: equal masses put it there, and the moment is set last.
	barVectors, stemVectors := vectors(bar), vectors(stem)
	moment := 2 * cp.MomentForPoly(1, len(barVectors), barVectors, cp.Vector{}, 0)
	w.block = w.space.AddBody(cp.NewBody(1, moment))
	for _, part := range [][]cp.Vector{barVectors, stemVectors} {
		shape := cp.NewPolyShape(w.block, len(part), part, cp.NewTransformIdentity(), 0)
		w.space.AddShape(shape).SetMass(0.5)
	}
	w.block.SetMoment(moment)

	w.agent = w.space.AddBody(cp.NewKinematicBody())
	w.space.AddShape(cp.NewCircle(w.agent, agentRadius, cp.Vector{}))
}

func vectors(corners [4]point) []cp.Vector {
	v := make([]cp.Vector, len(corners))
	for i, c := range corners {
		v[i] = cp.Vector{X: c.x, Y: c.y}
	}
	return v
}
