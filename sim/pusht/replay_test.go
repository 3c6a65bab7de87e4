package pusht

import (
	"math"
	"slices"
	"testing"

	"govla/internal/testenv"
)

// frame is one row of a recorded episode.
type frame struct {
	state            State
	targetX, targetY float64
	contacts         int
}

// recordedEpisodes reads the human demonstrations with the state of the simulator that
// they were recorded in (pymunk), as float32.
func recordedEpisodes(t testing.TB) [][]frame {
	t.Helper()
	var episodes [][]frame
	for _, row := range readTable(t, testenv.Shared(t, "data/pusht/replay.csv"),
		"episode", "frame", "agent_x", "agent_y", "block_x", "block_y", "block_angle",
		"action_x", "action_y", "n_contacts") {
		if int(row[0]) == len(episodes) {
			episodes = append(episodes, nil)
		}
		last := len(episodes) - 1
		episodes[last] = append(episodes[last], frame{
			state:   State{row[2], row[3], row[4], row[5], row[6]},
			targetX: row[7], targetY: row[8], contacts: int(row[9]),
		})
	}
	return episodes
}

// Episode n was recorded from seed n: Reset has to put everything where the recording
// starts.
func TestResetStartsWhereTheRecordingsDo(t *testing.T) {
	for seed, episode := range recordedEpisodes(t) {
		world := &World{}
		world.Reset(InitialState(int64(seed)))
		if d := distance(world.State(), episode[0].state); d.agent > 1e-4 || d.block > 1e-4 || d.angle > 1e-6 {
			t.Errorf("seed %d starts at %v, want %v", seed, world.State(), episode[0].state)
		}
	}
}

// Open loop, the recorded actions from the first state on: an error anywhere in the
// physics would grow over the episode.
func TestReplayFollowsTheRecordings(t *testing.T) {
	episodes := recordedEpisodes(t)
	if len(episodes) != 206 {
		t.Fatalf("have %d episodes, want 206", len(episodes))
	}
	if testing.Short() {
		episodes = episodes[:40]
	}
	for name, start := range map[string]func(seed int, first State) *World{
		"from the seed": func(seed int, _ State) *World {
			world := &World{}
			world.Reset(InitialState(int64(seed)))
			return world
		},
		"from the first state": func(_ int, first State) *World { return NewWorld(first) },
	} {
		t.Run(name, func(t *testing.T) { replay(t, episodes, start) })
	}
}

func replay(t *testing.T, episodes [][]frame, start func(seed int, first State) *World) {
	var agentWorst float64
	var steps, contactMisses, astray int
	block := map[int][]float64{1: nil, 5: nil, 20: nil, 50: nil, 100: nil}
	for seed, episode := range episodes {
		world := start(seed, episode[0].state)
		blockWorst := 0.0
		for i, recorded := range episode {
			d := distance(world.State(), recorded.state)
			agentWorst, blockWorst = max(agentWorst, d.agent), max(blockWorst, d.block)
			if _, asked := block[i]; asked {
				block[i] = append(block[i], d.block)
			}
			if i > 0 {
				steps++
				if world.Contacts() != recorded.contacts {
					contactMisses++
				}
			}
			world.Step(recorded.targetX, recorded.targetY)
		}
		if blockWorst > 0.01 {
			astray++
		}
	}
	t.Logf("agent: largest distance %.3g px over %d steps; block: within 0.01 px all the time in %d of %d episodes",
		agentWorst, steps, len(episodes)-astray, len(episodes))
	if agentWorst > 0.01 {
		t.Errorf("the agent strays by %v px, want at most 0.01", agentWorst)
	}
	for _, after := range []int{1, 5, 20, 50, 100} {
		errors := block[after]
		slices.Sort(errors)
		median, most := errors[len(errors)/2], errors[len(errors)*9/10]
		t.Logf("block after %3d steps: median %.6f px, 90 %% %.6f px, largest %.3f px (%d episodes)",
			after, median, most, errors[len(errors)-1], len(errors))
		if median > 0.001 || most > 0.01 {
			t.Errorf("block after %d steps: median error %v px, 90 %% %v px, want at most 0.001 and 0.01", after, median, most)
		}
	}
	// The recordings counted contacts at another moment of the step, so that they begin
	// and end a step apart.
	t.Logf("contacts: differ in %d steps of %d", contactMisses, steps)
	if contactMisses*20 > steps {
		t.Errorf("contacts differ in %d steps of %d, want at most 5 %%", contactMisses, steps)
	}
}

type distances struct{ agent, block, angle float64 }

// distance compares two states; angles that are a full turn apart are the same.
func distance(a, b State) distances {
	return distances{
		agent: math.Hypot(a.AgentX-b.AgentX, a.AgentY-b.AgentY),
		block: math.Hypot(a.BlockX-b.BlockX, a.BlockY-b.BlockY),
		angle: math.Abs(math.Remainder(a.BlockAngle-b.BlockAngle, 2*math.Pi)),
	}
}
