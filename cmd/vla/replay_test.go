package main

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"govla/actions"
	"govla/actions/recording"
	"govla/internal/testenv"
	"govla/robot"
	"govla/robot/fake"
	"govla/robot/natsbus"
)

// replayReply is what vla replay --json says.
type replayReply struct {
	Robot    string
	Seed     *int64
	Rate     float64
	Rows     int
	Played   int
	Approach int `json:"approach_steps"`
	Drift    *struct {
		RMS, Max, Final float64
		Dimensions      []struct {
			Name, Unit      string
			RMS, Max, Final float64
		}
	}
	Commands *struct {
		Sent, Arrived int
		MaxError      float64 `json:"max_error"`
	}
	Jitter  map[string]float64 `json:"tick_jitter_ms"`
	Missed  int                `json:"missed_ticks"`
	Success *bool
}

func parseReplay(t *testing.T, p *process) (r replayReply) {
	t.Helper()
	p.succeed(t)
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatalf("%v: %v in %s", p, err, &p.stdout)
	}
	return r
}

// What was recorded in lockstep comes out the same when it is played again, to the last bit
// over NATS, and to MAVLink's resolution over MAVLink.
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := recorded(t, 3, "--seed", "40")
	for name, test := range map[string]struct {
		arguments []string
		drift     float64
	}{
		"direct":  {nil, 0},
		"NATS":    {[]string{"--transport", "nats"}, 0},
		"MAVLink": {[]string{"--transport", "mavlink"}, 1e-4},
		"named":   {[]string{"--env", "pusht", "--seed", "42"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := vla(t, "", append([]string{"replay", dir, "--episode", "2", "--json"}, test.arguments...)...)
			r := parseReplay(t, p)
			if r.Rows == 0 || r.Played != r.Rows || r.Rate != 0 || r.Seed == nil || *r.Seed != 42 || r.Approach != 0 || r.Success == nil {
				t.Errorf("have %+v", r)
			}
			if r.Drift == nil || len(r.Drift.Dimensions) != 18 || r.Drift.Max > test.drift {
				t.Errorf("have drift %+v, want at most %v", r.Drift, test.drift)
			}
			checkPlot(t, filepath.Join(p.command.Dir, "replay.png"))
		})
	}
	t.Run("another world", func(t *testing.T) {
		r := parseReplay(t, vla(t, "", "replay", dir, "--episode", "2", "--seed", "1", "--json", "--png", "sub/other.png"))
		if r.Drift == nil || r.Drift.Max < 0.05 || r.Drift.RMS <= 0 || r.Drift.RMS > r.Drift.Max || r.Drift.Final > r.Drift.Max {
			t.Errorf("have drift %+v, want it to be seen", r.Drift)
		}
	})
	t.Run("in real time", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes half a minute")
		}
		r := parseReplay(t, vla(t, "", "replay", dir, "--episode", "2", "--rate", "10", "--json"))
		if r.Jitter["count"] < 200 || r.Played+r.Missed < r.Rows {
			t.Errorf("have %+v", r)
		}
		if r.Missed == 0 && r.Drift.Max != 0 {
			t.Errorf("no tick was missed, and the drift is %v", r.Drift.Max)
		}
	})
}

// journal is a robot that notes its commands and where it was when it got them.
type journal struct {
	robot.Robot

	mu       sync.Mutex
	commands [][]float32
	at       []time.Time // of the commands
	begun    []float32
}

func (j *journal) Act(ctx context.Context, action []float32) error {
	j.mu.Lock()
	if j.begun == nil {
		var obs actions.Observation
		if err := j.Observe(ctx, &obs); err != nil {
			j.mu.Unlock()
			return err
		}
		j.begun = slices.Clone(obs.State)
	}
	j.commands = append(j.commands, slices.Clone(action))
	j.at = append(j.at, time.Now())
	j.mu.Unlock()
	return j.Robot.Act(ctx, action)
}

// serveJournal puts a real-time robot that is no simulator on the bus, as "bench".
func serveJournal(t *testing.T, joints actions.Space) (url string, j *journal, f *fake.Robot) {
	t.Helper()
	f, err := fake.New(fake.Config{Name: "bench", RealTime: true, Rate: 100, Gain: 50, Joints: joints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	j = &journal{Robot: f}
	url = startServer(t)
	service, err := natsbus.Serve(t.Context(), url, j, natsbus.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return url, j, f
}

// On a robot whose dimensions are called otherwise, that stands elsewhere and cannot be set
// back, an episode begins with a slow approach; limits and rates hold throughout, and in
// the end the robot is stopped.
func TestReplayOnRobot(t *testing.T) {
	t.Parallel()
	dir := recorded(t, 1)
	url, j, f := serveJournal(t, actions.Space{
		{Name: "left", Unit: "px", Min: 0, Max: 512, MaxRate: 800},
		{Name: "up", Unit: "px", Min: 20, Max: 512},
	})
	r := parseReplay(t, vla(t, "", "replay", dir, "--nats", url, "--robot", "bench", "--rate", "100", "--json",
		"--map", "action_x=left", "--map", "action_y=up", "--map", "agent_x=left", "--map", "agent_y=up"))
	if r.Robot != "bench" || r.Approach < 5 || r.Seed != nil || r.Success != nil || r.Drift == nil || len(r.Drift.Dimensions) != 2 {
		t.Errorf("have %+v", r)
	}
	if r.Played+2*r.Missed < r.Rows {
		t.Errorf("have %d of %d rows played, with %d ticks missed", r.Played, r.Rows, r.Missed)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if journal := f.Journal(); journal.Armed || journal.Stops == 0 {
		t.Errorf("in the end: %+v, want it to be stopped", journal)
	}
	_, rows := loadAll(t, dir)
	first := rows.Columns["action"].Row(0)
	there := -1 // the command that is where the episode begins
	for i, command := range j.commands {
		before, seconds := j.begun, 0.0
		if i > 0 {
			before, seconds = j.commands[i-1], j.at[i].Sub(j.at[i-1]).Seconds()
		}
		// Half of the rate, or a fifth of the range; commands may be late, and bunched.
		for n, speed := range []float64{800.0 / 2, 492.0 / 5} {
			if way := math.Abs(float64(command[n]) - float64(before[n])); there < 0 && way > speed*(seconds+0.1) {
				t.Fatalf("command %d, on the approach, jumps from %v to %v in %v s", i, before, command, seconds)
			}
		}
		if there < 0 && math.Abs(float64(command[0])-float64(first[0])) < 5 && math.Abs(float64(command[1])-float64(min(max(first[1], 20), 512))) < 5 {
			there = i
		}
		if command[0] < 0 || command[0] > 512 || command[1] < 20 || command[1] > 512 {
			t.Fatalf("command %d is %v, outside the limits", i, command)
		}
	}
	if there < 0 || j.at[there].Sub(j.at[0]).Seconds() < float64(r.Approach)/100/2 {
		t.Errorf("the approach of %d steps reaches the first row %v with command %d of %d", r.Approach, first, there, len(j.commands))
	}
}

// The recording of a robot that is not here travels over both transports, at its own rate
// and to the last digits.
func TestReplayEcho(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	dir := testenv.Shared(t, "data/cr5")
	for transport, worst := range map[string]float64{"direct": 0, "nats": 0, "mavlink": 1e-6} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := vla(t, "", "replay", dir, "--episode", "0", "--transport", transport, "--json")
			r := parseReplay(t, p)
			if r.Robot != "cr5" || r.Rate != 10 || r.Rows != 197 || r.Played+2*r.Missed < r.Rows || r.Jitter["count"] < 150 {
				t.Errorf("have %+v", r)
			}
			if c := r.Commands; c == nil || c.Sent < 150 || c.Arrived < c.Sent*9/10 || c.MaxError > worst {
				t.Errorf("have commands %+v, want them to arrive within %v", c, worst)
			}
			checkPlot(t, filepath.Join(p.command.Dir, "replay.png"))
		})
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	dir := recorded(t, 1)
	url, j, _ := serveJournal(t, actions.Space{
		{Name: "shoulder", Unit: "rad", Min: -2, Max: 2},
		{Name: "elbow", Unit: "rad", Min: -2, Max: 2},
	})
	for _, test := range []struct {
		arguments []string
		words     []string
	}{
		{[]string{}, []string{"1 arg"}},
		{[]string{"nowhere"}, []string{"nowhere", "meta/info.json"}},
		{[]string{dir, "--episode", "1"}, []string{dir, "no episode 1", "it has 1"}},
		{[]string{dir, "--episode", "-1"}, []string{"no episode -1"}},
		{[]string{dir, "--env", "arm"}, []string{"arm", "action_x", "--map"}},
		{[]string{dir, "--env", "kitchen"}, []string{`"kitchen"`}},
		{[]string{dir, "--map", "action_x"}, []string{"--map action_x"}},
		{[]string{dir, "--map", "action_z=left"}, []string{"action_z"}},
		{[]string{dir, "--rate", "-3"}, []string{"--rate -3"}},
		{[]string{dir, "--rate", "NaN"}, []string{"--rate NaN"}},
		{[]string{dir, "--rate", "20", "--transport", "nats"}, []string{"10 actions a second", "20"}},
		{[]string{dir, "--nats", url, "--robot", "nobody"}, []string{"nobody", "bench"}},
		{[]string{dir, "--nats", url, "--robot", "bench", "--rate", "100"}, []string{"shoulder", "rad", "units"}},
	} {
		vla(t, "", append([]string{"replay"}, test.arguments...)...).fail(t, test.words...)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.commands) > 0 {
		t.Errorf("a robot that does not fit was commanded %d times", len(j.commands))
	}
}

// Ctrl-C in the middle of an episode stops the robot before the program ends.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	dir := recorded(t, 1)
	url, _, f := serveJournal(t, actions.Space{{Name: "action_x", Unit: "px", Min: 0, Max: 512}, {Name: "action_y", Unit: "px", Min: 0, Max: 512}})
	p := start(t, "", "replay", dir, "--nats", url, "--robot", "bench", "--rate", "20", "--json")
	eventually(t, "the robot moves", func() bool { return f.Journal().Acts > 5 })
	p.signal(t, syscall.SIGINT)
	p.fail(t, "interrupt")
	if have := f.Journal(); have.Armed || have.Stops == 0 {
		t.Errorf("have %+v, want the robot stopped", have)
	}
	leftNothing(t, p)
}

// silent is a robot whose state does not tell where its joints are.
type silent struct{ *journal }

func (s silent) Spec() robot.Spec {
	spec := s.journal.Spec()
	for i := range spec.State {
		spec.State[i].Name += "_current"
	}
	return spec
}

// A robot of which nobody knows where it is is not moved.
func TestReplayOnSilentRobot(t *testing.T) {
	t.Parallel()
	f, err := fake.New(fake.Config{Name: "mute", RealTime: true, Rate: 10, Joints: actions.Space{{Name: "action_x", Max: 512}, {Name: "action_y", Max: 512}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	url := startServer(t)
	service, err := natsbus.Serve(t.Context(), url, silent{&journal{Robot: f}}, natsbus.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	vla(t, "", "replay", recorded(t, 1), "--nats", url, "--robot", "mute").fail(t, "mute", "action_x", "action_x_current")
	if have := f.Journal(); have.Acts != 0 {
		t.Errorf("it was commanded %d times", have.Acts)
	}
}

// A recording without actions, or with some that are no numbers, is not played.
func TestReplayBadRecording(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "states")
	w, err := recording.Create(t.Context(), dir, recording.Info{Robot: "r", FPS: 10, Features: map[string]recording.Feature{
		"observation.state": {DType: "float32", Shape: []int{2}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.BeginEpisode(t.Context(), "look"); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), recording.Frame{Values: map[string][]float32{"observation.state": {1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.EndEpisode(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	vla(t, "", "replay", dir).fail(t, dir, `"action"`, "observation.state")
}
