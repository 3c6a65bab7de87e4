package pusht

import (
	"math"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestBlockAtRestStays(t *testing.T) {
	s := State{AgentX: 100, AgentY: 100, BlockX: 300, BlockY: 300, BlockAngle: 1}
	world := NewWorld(s)
	for range 100 {
		world.Step(100, 100)
	}
	if have := world.State(); have != s {
		t.Errorf("state became %v, want %v", have, s)
	}
	if world.Contacts() != 0 {
		t.Errorf("%d contacts, want none", world.Contacts())
	}
}

// The PD law sampled every 0.01 s is a linear recurrence, far from everything else.
func TestAgentFollowsThePDLaw(t *testing.T) {
	world := NewWorld(State{AgentX: 100, AgentY: 100, BlockX: 400, BlockY: 380})
	x, v := 100.0, 0.0
	for step := range 30 {
		world.Step(250, 100)
		for range 10 {
			v += (100*(250-x) - 20*v) / 100
			x += v / 100
		}
		if have := world.State(); math.Abs(have.AgentX-x) > 1e-9 || math.Abs(have.AgentY-100) > 1e-9 {
			t.Fatalf("step %d: agent at (%v, %v), want (%v, 100)", step, have.AgentX, have.AgentY, x)
		}
	}
	if math.Abs(x-250) > 0.1 {
		t.Errorf("after 3 s the agent is at %v, want 250", x)
	}
}

// anyState draws a state with the block inside the walls or a little in them.
func anyState(t *rapid.T) State {
	coordinate := rapid.Float64Range(20, 490)
	return State{
		AgentX: coordinate.Draw(t, "agent x"), AgentY: coordinate.Draw(t, "agent y"),
		BlockX: coordinate.Draw(t, "block x"), BlockY: coordinate.Draw(t, "block y"),
		BlockAngle: rapid.Float64Range(-7, 7).Draw(t, "block angle"),
	}
}

// mirrored reflects a state across the goal's axis.
func mirrored(s State) State {
	return State{
		AgentX: Size - s.AgentY, AgentY: Size - s.AgentX,
		BlockX: Size - s.BlockY, BlockY: Size - s.BlockX,
		BlockAngle: math.Pi/2 - s.BlockAngle,
	}
}

func TestCoverageProperties(t *testing.T) {
	home := State{BlockX: 256, BlockY: 256, BlockAngle: math.Pi / 4}
	if have := home.Coverage(); math.Abs(have-1) > 1e-12 {
		t.Errorf("at the goal the coverage is %v, want 1", have)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := anyState(t)
		coverage := s.Coverage()
		if coverage < 0 || coverage > 1+1e-12 {
			t.Errorf("coverage %v, want 0 to 1", coverage)
		}
		if have := mirrored(s).Coverage(); math.Abs(have-coverage) > 1e-9 {
			t.Errorf("mirrored, the coverage %v is %v", coverage, have)
		}
		s.BlockAngle += 2 * math.Pi
		if have := s.Coverage(); math.Abs(have-coverage) > 1e-9 {
			t.Errorf("a turn later, the coverage %v is %v", coverage, have)
		}
		// Sliding along the goal's axis to or from the goal, the bars overlap by a strip.
		d := rapid.Float64Range(0, 29).Draw(t, "slide")
		slid := goal.toWorld(point{0, -d})
		want := 1 - (120*d)/6300 // what is lost: a strip as wide as the bar, as the stem still covers its own
		if have := (State{BlockX: slid.x, BlockY: slid.y, BlockAngle: math.Pi / 4}).Coverage(); math.Abs(have-want) > 1e-9 {
			t.Errorf("%v px from the goal the coverage is %v, want %v", d, have, want)
		}
	})
}

// Whatever is commanded, numbers stay finite and the agent on the table.
func TestWorldStandsAnyTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := &World{}
		world.Reset(anyState(t))
		for range 40 {
			world.Step(rapid.Float64().Draw(t, "x"), rapid.Float64().Draw(t, "y"))
			s := world.State()
			for _, v := range []float64{s.AgentX, s.AgentY, s.BlockX, s.BlockY, s.BlockAngle} {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("state became %v", s)
				}
			}
			if min(s.AgentX, s.AgentY) < 0 || max(s.AgentX, s.AgentY) > Size {
				t.Fatalf("the agent left the table: %v", s)
			}
		}
	})
}

// The table is its own mirror image up to the walls, which stand a pixel off.
func TestMirroredWorldMovesAlike(t *testing.T) {
	for _, s := range []State{
		{AgentX: 180, AgentY: 250, BlockX: 256, BlockY: 230, BlockAngle: 0.3},
		{AgentX: 330, AgentY: 300, BlockX: 250, BlockY: 260, BlockAngle: 2},
		{AgentX: 250, AgentY: 170, BlockX: 230, BlockY: 270, BlockAngle: -1.2},
	} {
		world, mirror := NewWorld(s), NewWorld(mirrored(s))
		moved := false
		for step := range 20 {
			angle := float64(step) / 5
			x, y := 256+60*math.Cos(angle), 256+60*math.Sin(angle)
			world.Step(x, y)
			mirror.Step(Size-y, Size-x)
			have, want := mirror.State(), mirrored(world.State())
			if math.Hypot(have.BlockX-want.BlockX, have.BlockY-want.BlockY) > 1e-6 || math.Abs(have.BlockAngle-want.BlockAngle) > 1e-6 {
				t.Fatalf("%v, step %d: mirrored block at %v, want %v", s, step, have, want)
			}
			moved = moved || world.State().BlockAngle != s.BlockAngle
		}
		if !moved {
			t.Errorf("%v: the block was never touched", s)
		}
	}
}

// Worlds have nothing in common: many at once do what one does alone.
func TestWorldsAreIndependent(t *testing.T) {
	run := func(seed int64) State {
		world := &World{}
		world.Reset(InitialState(seed))
		for range 50 {
			s := world.State()
			world.Step(s.BlockX, s.BlockY)
		}
		return world.State()
	}
	var together [8]State
	var wait sync.WaitGroup
	for seed := range together {
		wait.Go(func() { together[seed] = run(int64(seed)) })
	}
	wait.Wait()
	for seed, have := range together {
		if want := run(int64(seed)); have != want {
			t.Errorf("seed %d: %v among others, %v alone", seed, have, want)
		}
	}
}

// Physics allocates while shapes overlap (cp's collision records), and nothing else does.
func TestStepAllocatesOnlyForContacts(t *testing.T) {
	free := NewWorld(State{AgentX: 100, AgentY: 100, BlockX: 400, BlockY: 380})
	touching := NewWorld(State{AgentX: 256, AgentY: 220, BlockX: 256, BlockY: 240})
	for name, c := range map[string]struct {
		world *World
		most  float64
	}{"free": {free, 0}, "touching": {touching, 50}} {
		allocations := testing.AllocsPerRun(100, func() {
			s := c.world.State()
			c.world.Step(s.AgentX, s.AgentY+1)
		})
		t.Logf("%s: %v allocations a control step", name, allocations)
		if allocations > c.most {
			t.Errorf("%s: %v allocations a control step, want at most %v", name, allocations, c.most)
		}
	}
}
