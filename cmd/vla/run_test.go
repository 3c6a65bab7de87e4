package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"image/gif"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"govla/sim/pusht"
)

// evaluation is what run and eval print with --json, by the names that its readers use.
type evaluation struct {
	Policy        string             `json:"policy"`
	SuccessRate   *float64           `json:"success_rate"`
	SuccessCI95   *[2]float64        `json:"success_ci95"`
	MeanMaxReward *float64           `json:"mean_max_reward"`
	ChunkMS       map[string]float64 `json:"chunk_ms"`
	TickJitterMS  map[string]float64 `json:"tick_jitter_ms"`
	Episodes      []map[string]any   `json:"episodes_detail"`
}

// parse reads what a process printed, which must be one JSON object with all that a
// report has.
func parse(t *testing.T, p *process) evaluation {
	t.Helper()
	p.succeed(t)
	var e evaluation
	if err := json.Unmarshal([]byte(p.stdout.String()), &e); err != nil {
		t.Fatalf("%v: %v in %s", p, err, &p.stdout)
	}
	if e.SuccessRate == nil || e.SuccessCI95 == nil || e.MeanMaxReward == nil {
		t.Fatalf("%v: a score is missing in %s", p, &p.stdout)
	}
	for _, key := range []string{"p50", "p95", "p99"} {
		if _, ok := e.ChunkMS[key]; !ok {
			t.Errorf("%v: chunk_ms has no %s: %v", p, key, e.ChunkMS)
		}
	}
	for _, key := range []string{"p50", "p99", "max"} {
		if _, ok := e.TickJitterMS[key]; !ok {
			t.Errorf("%v: tick_jitter_ms has no %s: %v", p, key, e.TickJitterMS)
		}
	}
	mean := 0.0
	for _, episode := range e.Episodes {
		for _, key := range []string{"seed", "initial_state", "max_reward", "success", "steps"} {
			if episode[key] == nil {
				t.Fatalf("%v: an episode has no %s: %v", p, key, episode)
			}
		}
		mean += episode["max_reward"].(float64) / float64(len(e.Episodes))
	}
	if math.Abs(mean-*e.MeanMaxReward) > 1e-12 {
		t.Errorf("%v: the mean of the best rewards is %v, not %v", p, mean, *e.MeanMaxReward)
	}
	if ci := e.SuccessCI95; !(0 <= ci[0] && ci[0] <= *e.SuccessRate && *e.SuccessRate <= ci[1] && ci[1] <= 1) {
		t.Errorf("%v: success %v lies not within %v", p, *e.SuccessRate, *ci)
	}
	return e
}

// A run in lockstep leaves its numbers and pictures behind, and these do not depend on
// what the commands travel over: NATS changes no bit, MAVLink rounds.
func TestRunOverEveryTransport(t *testing.T) {
	t.Parallel()
	policy := writePolicy(t, "flow", 1, nil)
	run := func(transport string) (evaluation, string) {
		p := vla(t, "", "run", "--policy", policy, "--transport", transport,
			"--rate", "0", "--episodes", "2", "--seed", "4", "--json")
		e := parse(t, p)
		return e, runFolder(t, p)
	}
	direct, folder := run("direct")
	checkEpisodes(t, direct, 4, 5)
	first := checkAnimation(t, filepath.Join(folder, "episode.gif"), direct.Episodes[0])
	second := checkAnimation(t, filepath.Join(folder, "episode-2.gif"), direct.Episodes[1])
	if bytes.Equal(first, second) {
		t.Error("both episodes look the same")
	}
	for _, name := range []string{"plot.png", "plot-2.png"} {
		checkPlot(t, filepath.Join(folder, name))
	}

	nats, folder := run("nats")
	if !reflect.DeepEqual(nats.Episodes, direct.Episodes) {
		t.Errorf("over NATS: %v\ndirectly: %v", nats.Episodes, direct.Episodes)
	}
	// What it looked like is equal to the last pixel: so was every observation.
	if !bytes.Equal(checkAnimation(t, filepath.Join(folder, "episode.gif"), direct.Episodes[0]), first) {
		t.Error("over NATS the episode looks different")
	}

	mavlink, _ := run("mavlink")
	checkClose(t, mavlink, direct)
}

// The program's first command works without anything around it: the default policy plays
// well on the default robot.
func TestDefaultRun(t *testing.T) {
	t.Parallel()
	p := vla(t, "", "run", "--rate", "0", "--json") // as fast as it goes
	e := parse(t, p)
	checkAnimation(t, filepath.Join(runFolder(t, p), "episode.gif"), e.Episodes[0])
	// Nobody who pushes about at random covers half of the goal.
	if best := e.Episodes[0]["max_reward"].(float64); e.Policy != "pusht-flow" || len(e.Episodes) != 1 || best < 0.5 {
		t.Errorf("%s plays %d episodes with a best reward of %v, want pusht-flow to play one well", e.Policy, len(e.Episodes), best)
	}
}

// runFolder returns the only folder that a run left behind, after a look at run.json.
func runFolder(t *testing.T, p *process) string {
	t.Helper()
	folders := entries(t, filepath.Join(p.command.Dir, "runs"))
	if len(folders) != 1 {
		t.Fatalf("%v: have %v in runs, want one folder", p, folders)
	}
	folder := filepath.Join(p.command.Dir, "runs", folders[0])
	saved, err := os.ReadFile(filepath.Join(folder, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(saved) != p.stdout.String() {
		t.Errorf("%v: run.json is %s, stdout %s", p, saved, &p.stdout)
	}
	return folder
}

// entries returns the names of everything in dir, nothing where it does not exist.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// checkEpisodes holds episodes in lockstep to what NumPy says about their seeds and what
// the environment says about their length.
func checkEpisodes(t *testing.T, e evaluation, seeds ...int64) {
	t.Helper()
	if len(e.Episodes) != len(seeds) {
		t.Fatalf("have %d episodes, want %d", len(e.Episodes), len(seeds))
	}
	for i, episode := range e.Episodes {
		if episode["seed"] != float64(seeds[i]) {
			t.Errorf("episode %d has seed %v, want %d", i, episode["seed"], seeds[i])
		}
		want := numpyState(t, seeds[i])
		for j, x := range episode["initial_state"].([]any) {
			if math.Abs(x.(float64)-want[j]) > 1e-12 {
				t.Errorf("episode %d starts with %v, want %v", i, episode["initial_state"], want)
			}
		}
		// These policies solve nothing, but they must have moved the block for the better.
		if steps := episode["steps"]; episode["success"] == true || steps != float64(pusht.MaxSteps) {
			t.Errorf("episode %d: success %v after %v steps, want none in %d", i, episode["success"], steps, pusht.MaxSteps)
		}
		env := pusht.New(pusht.Config{})
		if _, err := env.Reset(t.Context(), seeds[i]); err != nil {
			t.Fatal(err)
		}
		if best := episode["max_reward"].(float64); best <= env.Score().Reward {
			t.Errorf("episode %d: best reward %v, no more than at the start: the test needs an episode in which something happens", i, best)
		}
	}
	if e.TickJitterMS["count"] != 0 || !(e.ChunkMS["p50"] > 0) || e.ChunkMS["p50"] > e.ChunkMS["p99"] {
		t.Errorf("in lockstep: chunk_ms %v, tick_jitter_ms %v", e.ChunkMS, e.TickJitterMS)
	}
}

// numpyState returns the initial state of a seed as gym-pusht draws it.
func numpyState(t *testing.T, seed int64) (state []float64) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "sim", "pusht", "testdata", "initial_states.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row[0] != strconv.FormatInt(seed, 10) {
			continue
		}
		for _, field := range row[1:] {
			x, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatal(err)
			}
			state = append(state, x)
		}
		return state
	}
	t.Fatalf("seed %d is not among the golden states", seed)
	return nil
}

// checkClose holds episodes over MAVLink to those without.
func checkClose(t *testing.T, have, want evaluation) {
	t.Helper()
	if len(have.Episodes) != len(want.Episodes) {
		t.Fatalf("have %d episodes, want %d", len(have.Episodes), len(want.Episodes))
	}
	for i, w := range want.Episodes {
		h := have.Episodes[i]
		for _, key := range []string{"seed", "success", "steps", "chunks"} {
			if h[key] != w[key] {
				t.Errorf("episode %d: %s is %v, want %v", i, key, h[key], w[key])
			}
		}
		if h, w := h["max_reward"].(float64), w["max_reward"].(float64); math.Abs(h-w) > 1e-3 {
			t.Errorf("episode %d: best reward %v, want %v", i, h, w)
		}
		if !slices.EqualFunc(h["initial_state"].([]any), w["initial_state"].([]any), func(a, b any) bool {
			return math.Abs(a.(float64)-b.(float64)) < 1e-3
		}) {
			t.Errorf("episode %d: initial state %v, want %v", i, h["initial_state"], w["initial_state"])
		}
	}
}

// checkAnimation demands a picture for the observation before each step and for the last,
// which changes as the world does, at the world's speed. It returns the file's content.
func checkAnimation(t *testing.T, path string, episode map[string]any) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	animation, err := gif.DecodeAll(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	steps := int(episode["steps"].(float64))
	if have, want := len(animation.Image), steps+1; have != want {
		t.Fatalf("%s has %d pictures, want %d", path, have, want)
	}
	changes := 0
	for i, picture := range animation.Image[:steps] {
		if delay := animation.Delay[i]; delay != 100/pusht.ControlRate {
			t.Errorf("%s: picture %d stays for %d/100 s, want %d", path, i, delay, 100/pusht.ControlRate)
		}
		if !bytes.Equal(picture.Pix, animation.Image[i+1].Pix) {
			changes++
		}
	}
	if changes < steps/2 {
		t.Errorf("%s: only %d of %d pictures differ from the one before", path, changes, steps)
	}
	return data
}

// checkPlot demands a picture that is not empty.
func checkPlot(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	size := picture.Bounds().Size()
	colours := map[any]bool{}
	for y := range size.Y {
		for x := range size.X {
			colours[picture.At(x, y)] = true
		}
	}
	if size.X < 200 || size.Y < 200 || len(colours) < 10 {
		t.Errorf("%s: %v with %d colours", path, size, len(colours))
	}
}

// eval plays the episodes that run plays, however many at a time.
func TestEvalIsRepeatable(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"flow", "tokens"} {
		policy := writePolicy(t, head, 1, nil)
		eval := func(parallel string) evaluation {
			return parse(t, vla(t, "", "eval", "--policy", policy, "--parallel", parallel, "--episodes", "3", "--seed", "4", "--json"))
		}
		one, two := eval("1"), eval("2")
		if len(one.Episodes) != 3 || !reflect.DeepEqual(one.Episodes, two.Episodes) {
			t.Errorf("%s: one at a time %v\ntwo at a time %v", head, one.Episodes, two.Episodes)
		}
		if head != "flow" {
			continue // one is enough
		}
		run := parse(t, vla(t, "", "run", "--policy", policy, "--transport", "direct", "--rate", "0", "--seed", "5", "--json"))
		if !reflect.DeepEqual(run.Episodes, one.Episodes[1:2]) {
			t.Errorf("%s: run plays %v, eval %v", head, run.Episodes, one.Episodes[1:2])
		}
	}
}

// compare puts policies side by side on the same episodes, in numbers and in a picture.
func TestCompare(t *testing.T) {
	t.Parallel()
	flow, tokens := writePolicy(t, "flow", 1, nil), writePolicy(t, "tokens", 1, nil)
	p := vla(t, "", "compare", "--policies", flow+","+tokens, "--episodes", "2", "--seed", "4", "--json")
	p.succeed(t)
	var comparison struct {
		Policies    []evaluation
		Differences []struct {
			Policy, Baseline string
			MaxReward        float64    `json:"max_reward"`
			Interval         [2]float64 `json:"max_reward_ci95"`
		}
		Quantization map[string]*float64 `json:"quantization_error"`
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &comparison); err != nil {
		t.Fatalf("%v in %s", err, &p.stdout)
	}
	if len(comparison.Policies) != 2 || len(comparison.Differences) != 1 {
		t.Fatalf("have %s, want two policies and their difference", &p.stdout)
	}
	for i, policy := range []string{flow, tokens} {
		alone := parse(t, vla(t, "", "eval", "--policy", policy, "--episodes", "2", "--seed", "4", "--json"))
		if !reflect.DeepEqual(comparison.Policies[i].Episodes, alone.Episodes) {
			t.Errorf("side by side %v, alone %v", comparison.Policies[i].Episodes, alone.Episodes)
		}
	}
	d, first, second := comparison.Differences[0], comparison.Policies[0], comparison.Policies[1]
	if d.Policy != tokens || d.Baseline != flow || math.Abs(d.MaxReward-(*second.MeanMaxReward-*first.MeanMaxReward)) > 1e-12 ||
		d.MaxReward < d.Interval[0] || d.MaxReward > d.Interval[1] {
		t.Errorf("have the difference %+v of %v to %v", d, *second.MeanMaxReward, *first.MeanMaxReward)
	}
	if have := comparison.Quantization[tokens]; comparison.Quantization[flow] != nil || have == nil || !(*have > 0) {
		t.Errorf("quantisation error %v and %v, want none for flow", comparison.Quantization[flow], have)
	}
	checkPlot(t, filepath.Join(p.command.Dir, "compare.png"))
}

// In real time an episode takes as long as it says.
func TestRealTimeRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	p := vla(t, "", "run", "--policy", writePolicy(t, "flow", 1, nil), "--seed", "4", "--json")
	e := parse(t, p)
	runFolder(t, p)
	if len(e.Episodes) != 1 || e.Episodes[0]["steps"].(float64) < 200 {
		t.Errorf("have %v, want about %d steps", e.Episodes, pusht.MaxSteps)
	}
	jitter := e.TickJitterMS
	if jitter["count"] < 200 || !(0 < jitter["p50"] && jitter["p50"] <= jitter["p99"] && jitter["p99"] <= jitter["max"]) {
		t.Errorf("have tick_jitter_ms %v, want it of every tick", jitter)
	}
}
