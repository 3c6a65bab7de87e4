package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"govla/actions/recording"
	"govla/internal/testenv"
	"govla/sim"
	"govla/sim/pusht"
)

// recordReply is what vla record --json says.
type recordReply struct {
	Recording string
	Episodes  int
	Total     int `json:"total_episodes"`
	Frames    int
	Left      int `json:"left_out"`
	Detail    []struct {
		Seed    *int64
		Kept    bool
		Steps   int
		Success bool
	} `json:"episodes_detail"`
}

func parseRecord(t *testing.T, p *process) (r recordReply) {
	t.Helper()
	p.succeed(t)
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatalf("%v: %v in %s", p, err, &p.stdout)
	}
	return r
}

// recorded records episodes of a tiny policy and returns the folder.
func recorded(t *testing.T, episodes int, more ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "new")
	arguments := []string{"record", "--env", "pusht", "--teleop", writePolicy(t, "flow", 1, nil), "--episodes", fmt.Sprint(episodes), "--out", dir}
	vla(t, "", append(arguments, more...)...).succeed(t)
	return dir
}

// loadAll reads all rows of a recording and makes sure that nothing is wrong with it.
func loadAll(t *testing.T, dir string) (*recording.Dataset, *recording.Table) {
	t.Helper()
	report, err := recording.Verify(t.Context(), dir, recording.VerifyOptions{Frames: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Errorf("%s: %+v", dir, problem)
	}
	d, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Episodes) == 0 {
		return d, &recording.Table{}
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d, table
}

// sameRecording demands that two recordings have the same rows, tasks and pictures.
func sameRecording(t *testing.T, have, want string) {
	t.Helper()
	a, rows := loadAll(t, have)
	b, wanted := loadAll(t, want)
	if !reflect.DeepEqual(rows, wanted) {
		t.Errorf("%s and %s have other rows", have, want)
	}
	if !reflect.DeepEqual(a.Tasks, b.Tasks) || !reflect.DeepEqual(a.Info.Features, b.Info.Features) {
		t.Errorf("have %v of %v, want %v of %v", a.Info.Features, a.Tasks, b.Info.Features, b.Tasks)
	}
	for name, feature := range a.Info.Features {
		if feature.DType != "image" {
			continue
		}
		for i := range a.Episodes {
			var pictures [2][]any
			for n, d := range []*recording.Dataset{a, b} {
				for picture, err := range d.Frames(t.Context(), i, name) {
					if err != nil {
						t.Fatal(err)
					}
					pictures[n] = append(pictures[n], picture.Pix)
				}
			}
			if !reflect.DeepEqual(pictures[0], pictures[1]) {
				t.Errorf("episode %d of %s and of %s look different in %s", i, have, want, name)
			}
		}
	}
}

// A row is what the policy saw, what it did, and what that led to: the world that plays
// the actions again, from the same seed, says so.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	report := parseRecord(t, vla(t, "", "record", "--env", "pusht", "--teleop", writePolicy(t, "flow", 1, nil), "--cameras", "image", "--codec", "png",
		"--episodes", "2", "--seed", "7", "--out", dir, "--instruction", "push it", "--json"))
	d, rows := loadAll(t, dir)
	if report.Episodes != 2 || report.Total != 2 || report.Frames != rows.Rows || len(report.Detail) != 2 || *report.Detail[1].Seed != 8 {
		t.Errorf("have report %+v", report)
	}
	if d.Info.Robot != "pusht" || d.Info.FPS != pusht.ControlRate || d.Tasks[0] != "push it" || len(d.Tasks) != 1 {
		t.Errorf("have %+v of %v", d.Info, d.Tasks)
	}
	if names := d.Info.Features["observation.environment_state"].Names; len(names) != 16 || names[0] != "keypoint_0_x" {
		t.Errorf("have surroundings %v", names)
	}
	column := func(name string, row int) []float32 { return rows.Columns[name].Row(row) }
	for i, episode := range d.Episodes {
		env := pusht.New(pusht.Config{Image: true})
		if _, err := env.Reset(t.Context(), int64(7+i)); err != nil {
			t.Fatal(err)
		}
		row := episode.From
		for picture, err := range d.Frames(t.Context(), i, "observation.images.image") {
			if err != nil {
				t.Fatal(err)
			}
			s := env.State()
			if have := column("observation.state", row); have[0] != float32(s.AgentX) || have[1] != float32(s.AgentY) {
				t.Fatalf("row %d: have the agent at %v, want %v, %v", row, have, s.AgentX, s.AgentY)
			}
			if have, want := column("observation.environment_state", row)[5], s.Keypoints()[5]; have != float32(want) {
				t.Fatalf("row %d: have keypoint_2_y %v, want %v", row, have, want)
			}
			r, _, _, _ := picture.At(int(s.AgentX/512*96), int(s.AgentY/512*96)).RGBA()
			if r > 0x9000 { // the agent is blue
				t.Errorf("row %d: where the agent should be, the picture is %v", row, picture.At(int(s.AgentX/512*96), int(s.AgentY/512*96)))
			}
			if err := env.Act(t.Context(), column("action", row)); err != nil {
				t.Fatal(err)
			}
			score, done := env.Score(), float32(0)
			if row == episode.To-1 {
				done = 1
			}
			if have := column("next.reward", row)[0]; have != float32(score.Reward) {
				t.Fatalf("row %d: have reward %v, want %v", row, have, score.Reward)
			}
			if have := column("next.done", row)[0]; have != done {
				t.Fatalf("row %d: have done %v, want %v", row, have, done)
			}
			if seed := column("seed", row)[0]; seed != float32(7+i) {
				t.Fatalf("row %d: have seed %v", row, seed)
			}
			row++
		}
	}
}

// How many episodes are simulated at a time, and how the simulator is reached, changes
// nothing; nor does it to go on with a recording later.
func TestRecordIsRepeatable(t *testing.T) {
	t.Parallel()
	one := recorded(t, 5, "--parallel", "1")
	for name, more := range map[string][]string{
		"side by side": {"--parallel", "4"},
		"over NATS":    {"--transport", "nats"},
	} {
		t.Run(name, func(t *testing.T) { sameRecording(t, recorded(t, 5, more...), one) })
	}
	t.Run("resumed", func(t *testing.T) {
		dir := recorded(t, 2)
		p := vla(t, "", "record", "--env", "pusht", "--teleop", writePolicy(t, "flow", 1, nil), "--episodes", "3", "--out", dir, "--resume", "--json")
		if r := parseRecord(t, p); r.Episodes != 3 || r.Total != 5 {
			t.Errorf("have %+v", r)
		}
		sameRecording(t, dir, one)
	})
	t.Run("over MAVLink", func(t *testing.T) {
		_, rows := loadAll(t, recorded(t, 1, "--transport", "mavlink"))
		_, want := loadAll(t, one)
		for i, v := range rows.Columns["observation.state"].Row(10) {
			if w := want.Columns["observation.state"].Row(10)[i]; math.Abs(float64(v-w)) > 1e-3 {
				t.Errorf("after ten steps: have %v, want %v", v, w)
			}
		}
	})
}

// A recorder that is killed at any moment loses the episode in progress and no other, and
// the next one goes on as if nothing had been.
func TestRecordKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "killed")
	policy := writePolicy(t, "flow", 1, nil)
	record := func(dir string, episodes int) []string {
		return []string{"record", "--env", "pusht", "--teleop", policy, "--cameras", "image", "--codec", "png", "--episodes", fmt.Sprint(episodes), "--out", dir, "--resume"}
	}
	rounds := 10
	if testing.Short() {
		rounds = 4
	}
	total := 0
	for round := range rounds {
		p := start(t, "", record(dir, 1000)...)
		told := func() int { return strings.Count(p.stderr.String(), "episode ") }
		if round > 0 { // the first is killed while it begins
			eventually(t, p.String()+" records", func() bool { return told() > round%3 })
		}
		time.Sleep(time.Duration(round) * 17 * time.Millisecond) // into the next one
		p.signal(t, syscall.SIGKILL)
		p.wait(t)
		if _, err := os.Stat(filepath.Join(dir, "meta")); os.IsNotExist(err) && told() == 0 && total == 0 {
			continue // it had not begun
		}
		d, _ := loadAll(t, dir)
		if n := len(d.Episodes); n < total+told() || n > total+told()+1 {
			t.Fatalf("round %d: have %d episodes, want %d and the %d that were told of", round, n, total, told())
		}
		total = len(d.Episodes)
	}
	vla(t, "", record(dir, 2)...).succeed(t)
	whole := filepath.Join(t.TempDir(), "whole")
	vla(t, "", record(whole, total+2)...).succeed(t)
	sameRecording(t, dir, whole)
}

// Ctrl-C keeps what is finished and says how much that is.
func TestRecordInterrupted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	p := start(t, "", "record", "--env", "pusht", "--teleop", writePolicy(t, "flow", 1, nil), "--episodes", "100000", "--out", dir)
	p.saw(t, "episode 3/")
	p.signal(t, syscall.SIGINT)
	told := func() int { return strings.Count(p.stderr.String(), "episode ") }
	p.wait(t)
	p.fail(t, "interrupt", dir, fmt.Sprintf("has %d episodes", told()))
	d, _ := loadAll(t, dir)
	if len(d.Episodes) != told() {
		t.Errorf("have %d episodes, want %d", len(d.Episodes), told())
	}
	if have := entries(t, dir); len(have) != 2 { // data and meta
		t.Errorf("have %v", have)
	}
}

// The expert of the arm solves its task, in front of its cameras.
func TestRecordExpert(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("renders for some seconds")
	}
	dir := filepath.Join(t.TempDir(), "arm")
	report := parseRecord(t, vla(t, "", "record", "--env", "arm", "--episodes", "2", "--codec", "png", "--out", dir, "--json"))
	d, rows := loadAll(t, dir)
	if report.Episodes != 2 || len(d.Episodes) != 2 || len(d.Tasks) == 0 {
		t.Errorf("have %+v of %v", report, d.Tasks)
	}
	for _, episode := range d.Episodes {
		if rows.Columns["next.success"].Row(episode.To - 1)[0] != 1 {
			t.Errorf("episode %d is kept without success", episode.Index)
		}
	}
	state := d.Info.Features["observation.state"].Names
	if want := []string{"shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"}; !reflect.DeepEqual(state, want) {
		t.Errorf("have joints %v, want LeRobot's %v", state, want)
	}
	cameras := 0
	for _, f := range d.Info.Features {
		if f.Camera() {
			cameras++
		}
	}
	if cameras < 2 {
		t.Errorf("have %d cameras, want the environment's usual ones", cameras)
	}
	r := parseReplay(t, vla(t, "", "replay", dir, "--episode", "1", "--json"))
	if r.Drift == nil || r.Drift.Max != 0 || !*r.Success {
		t.Errorf("replayed: have %+v, want the same again", r)
	}
}

// A recording does not name the task and the split of its episodes; replaying finds the
// world that begins as the episode does.
func TestReplayFindsTask(t *testing.T) {
	t.Parallel()
	env, err := sim.Lookup("arm", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range env.Tasks[1:3] {
		dir := filepath.Join(t.TempDir(), task)
		split := env.Splits[len(env.Splits)-1]
		vla(t, "", "record", "--env", "arm", "--task", task, "--split", split, "--cameras", "", "--episodes", "2", "--seed", "9", "--out", dir).succeed(t)
		r := parseReplay(t, vla(t, "", "replay", dir, "--episode", "1", "--json"))
		if r.Drift == nil || r.Drift.Max != 0 || !*r.Success {
			t.Errorf("%s, %s: have %+v, want the same again", task, split, r)
		}
	}
}

func TestRecordVideo(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "ffmpeg")
	dir := recorded(t, 1, "--cameras", "image", "--codec", "h264")
	d, _ := loadAll(t, dir)
	if f := d.Info.Features["observation.images.image"]; f.DType != "video" || f.Codec != "h264" {
		t.Errorf("have %+v", f)
	}
}

func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	policy := writePolicy(t, "flow", 1, nil)
	full := recorded(t, 1)
	file := filepath.Join(full, "meta", "info.json")
	for _, test := range []struct {
		arguments []string
		words     []string
	}{
		{[]string{"--env", "pusht"}, []string{`"out"`}},
		{[]string{"--env", "pusht", "--teleop", "expert", "--out", "new"}, []string{"pusht", "expert"}},
		{[]string{"--env", "pusht", "--teleop", "nobody", "--out", "new"}, []string{"nobody"}},
		{[]string{"--env", "kitchen", "--out", "new"}, []string{`"kitchen"`, "pusht"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--out", full}, []string{full, "--resume"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--out", file}, []string{"info.json", "folder"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--cameras", "image", "--out", full, "--resume"}, []string{full, "observation.images.image"}},
		{[]string{"--env", "arm", "--cameras", "", "--out", full, "--resume"}, []string{full, `"pusht"`, `"arm"`}},
		{[]string{"--env", "pusht", "--teleop", policy, "--episodes", "0", "--out", "new"}, []string{"0 episodes"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--parallel", "-1", "--out", "new"}, []string{"-1 episodes at a time"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--keep", "some", "--out", "new"}, []string{`"some"`, "success"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--codec", "gif", "--out", "new"}, []string{`"gif"`, "av1"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--seed", "99999999", "--out", "new"}, []string{"99999999", "16777216"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--seed", "16777210", "--out", filepath.Join(t.TempDir(), "late")}, []string{"16777219", "16777216"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--rate", "-1", "--out", "new"}, []string{"--rate -1"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--rate", "7", "--out", "new"}, []string{"--rate 7", "10 actions"}},
		{[]string{"--env", "pusht", "--teleop", "keyboard", "--rate", "0", "--out", "new"}, []string{"lockstep"}},
		{[]string{"--env", "pusht", "--teleop", "keyboard", "--out", "new"}, []string{"not a terminal"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--cameras", "wrist", "--out", "new"}, []string{`"wrist"`, "image"}},
		{[]string{"--env", "pusht", "--teleop", policy, "--transport", "pigeon", "--out", "new"}, []string{`"pigeon"`}},
		{[]string{"--env", "pusht", "--teleop", policy, "--nats", "nats://127.0.0.1:1", "--out", "new"}, []string{"nats://127.0.0.1:1"}},
	} {
		vla(t, "", append([]string{"record"}, test.arguments...)...).fail(t, test.words...)
	}
	failing := filepath.Join(t.TempDir(), "none")
	vla(t, "", "record", "--env", "pusht", "--teleop", policy, "--keep", "success", "--out", failing).fail(t, "50 episodes in a row failed", "--keep all")
}
