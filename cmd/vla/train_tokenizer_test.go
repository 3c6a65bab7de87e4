package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"govla/actions/recording"
	"govla/internal/testenv"
	"govla/tokenizer"
)

// The folder is what the report says, and twice the same.
func TestTrainTokenizer(t *testing.T) {
	t.Parallel()
	data, out := writeDataset(t), t.TempDir()
	first, second := filepath.Join(out, "a", "first"), filepath.Join(out, "second")
	p := vla(t, "", "train", "tokenizer", "--data", data, "--horizon", "8", "--vocabulary", "300", "--out", first, "--json")
	p.succeed(t)
	var report tokenizerReport
	if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
		t.Fatalf("%v: %s", err, &p.stdout)
	}
	// Three episodes of 20 rows have 13 chunks of 8 rows each.
	if report.Chunks != 39 || report.Horizon != 8 || report.Dim != 2 || report.BinsPerChunk != 16 || report.Vocabulary != 300 || report.Episodes != 3 {
		t.Errorf("have %+v", report)
	}
	if report.RMSE <= 0 || report.RMSE > 0.05 || math.Abs(report.Compression*report.TokensPerChunk-16) > 1e-9 {
		t.Errorf("have an RMSE of %v and %v times %v tokens", report.RMSE, report.Compression, report.TokensPerChunk)
	}
	vla(t, "", "train", "tokenizer", "--data", data, "--horizon", "8", "--vocabulary", "300", "--out", second).succeed(t)
	for _, name := range []string{"tokenizer.json", "processor_config.json", "tokenizer_config.json", "special_tokens_map.json", "stats.json"} {
		one, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s is another one the second time", name)
		}
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 2 {
		t.Errorf("have %v (%v), want the two folders and nothing hidden", entries, err)
	}
	fast, err := tokenizer.LoadActions(os.DirFS(first), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if horizon, dim := fast.Shape(); horizon != 8 || dim != 2 {
		t.Errorf("loaded as [%d][%d], want [8][2]", horizon, dim)
	}
	vla(t, "", "train", "tokenizer", "--data", data, "--out", first).fail(t, filepath.Base(first), "already")
}

func TestTrainTokenizerBadInput(t *testing.T) {
	t.Parallel()
	data, out := writeDataset(t), filepath.Join(t.TempDir(), "out")
	for _, test := range []struct {
		arguments []string
		words     []string
	}{
		{nil, []string{`"data"`, "required"}},
		{[]string{"--data", filepath.Join(out, "nowhere")}, []string{"info.json"}},
		{[]string{"--data", data, "--feature", "colour"}, []string{`"colour"`, "observation.state"}},
		{[]string{"--data", data, "--horizon", "0"}, []string{"--horizon 0"}},
		{[]string{"--data", data, "--horizon", "21"}, []string{"21 rows"}},
		{[]string{"--data", data, "--vocabulary", "255"}, []string{"vocabulary of 255"}},
		{[]string{"--data", data, "--vocabulary", "0"}, []string{"--vocabulary 0"}},
		{[]string{"--data", data, "--scale", "0"}, []string{"--scale 0"}},
		{[]string{"--data", data, "--scale", "NaN"}, []string{"--scale NaN"}},
		{[]string{"--data", data, "--kind", "pca"}, []string{"--kind pca", "fast, vq or bins"}},
		{[]string{"--data", data, "--kind", "bins", "--bins", "0"}, []string{"0 bins"}},
		{[]string{"--data", data, "--kind", "vq", "--codes", "0"}, []string{"codes is 0"}},
		{[]string{"--data", data, "--kind", "vq", "--resume"}, []string{"no checkpoint"}},
		{[]string{"--data", data, "--relative", "--feature", "observation.environment_state"}, []string{"relative", "no dimension"}},
	} {
		vla(t, "", append([]string{"train", "tokenizer", "--out", out}, test.arguments...)...).fail(t, test.words...)
		if _, err := os.Lstat(out); err == nil {
			t.Fatalf("%v: wrote %s", test.arguments, out)
		}
	}
}

// Every kind is what LoadActions reads, of chunks less their state too.
func TestTrainTokenizerKinds(t *testing.T) {
	t.Parallel()
	data := writeDataset(t)
	for kind, want := range map[string]struct {
		arguments          []string
		tokens, vocabulary int
		files              []string
	}{
		"bins": {[]string{"--bins", "32"}, 16, 32, []string{"config.json"}},
		"vq":   {[]string{"--slots", "2", "--levels", "3", "--codes", "8", "--hidden", "16", "--steps", "50"}, 6, 24, []string{"config.json", "model.safetensors", "metrics.jsonl"}},
	} {
		for _, relative := range []bool{false, true} {
			out := filepath.Join(t.TempDir(), kind)
			arguments := append([]string{"train", "tokenizer", "--kind", kind, "--data", data, "--horizon", "8", "--out", out, "--json"}, want.arguments...)
			chunks := 39
			if relative {
				arguments = append(arguments, "--relative")
				chunks = 60 // of three episodes of 20 rows, one at every row
			}
			p := vla(t, "", arguments...)
			p.succeed(t)
			var report tokenizerReport
			if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
				t.Fatalf("%v: %s", err, &p.stdout)
			}
			if report.Kind != kind || report.Relative != relative || report.Chunks != chunks || report.TokensPerChunk != float64(want.tokens) || report.Vocabulary != want.vocabulary || report.RMSE <= 0 || report.RecordedRMSE <= report.RMSE {
				t.Errorf("%s: have %+v", kind, report)
			}
			for _, name := range append([]string{"stats.json"}, want.files...) {
				if _, err := os.Stat(filepath.Join(out, name)); err != nil {
					t.Error(err)
				}
			}
			a, err := tokenizer.LoadActions(os.DirFS(out), 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if a.Longest() != want.tokens {
				t.Errorf("%s: loaded with %d tokens in a chunk, want %d", kind, a.Longest(), want.tokens)
			}
			line := "[[0,0],[0,0],[0,0],[0,0],[0,0],[0,0],[0,0],[0,0]]"
			q := startReading(t, strings.NewReader(line), "tokenize", "actions", "--tokenizer", out)
			q.succeed(t)
			var one reconstructed
			if err := json.Unmarshal([]byte(q.stdout.String()), &one); err != nil || len(one.Tokens) != want.tokens || len(one.Reconstruction) != 8 {
				t.Errorf("%s: have %s (%v)", kind, &q.stdout, err)
			}
			leftNothing(t, q)
		}
	}
}

// Relative chunks are less the state of their first row, and stand still behind the end of
// their episode: less one another's first actions, they are the recording's.
func TestRelativeChunks(t *testing.T) {
	t.Parallel()
	data := writeDataset(t)
	const horizon = 8
	c, err := loadChunks(t.Context(), data, "action", horizon, true)
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := recording.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	table, err := dataset.Load(t.Context(), "action", "observation.state")
	if err != nil {
		t.Fatal(err)
	}
	action, state := table.Columns["action"], table.Columns["observation.state"]
	if len(c.training) != table.Rows {
		t.Fatalf("%d chunks, want one for each of %d rows", len(c.training), table.Rows)
	}
	for row, chunk := range c.training {
		last := row/20*20 + 19
		for i, v := range chunk {
			j := i % 2
			want := action.Row(min(row+i/2, last))[j] - state.Row(row)[j]
			have := (v+1)/2*(c.stats.Q99[j]-c.stats.Q01[j]) + c.stats.Q01[j]
			if math.Abs(float64(have-want)) > 1e-2 {
				t.Fatalf("row %d, action %d: have %v, want %v", row, i/2, have, want)
			}
		}
	}
}

// A fair coin says one bit, and what always comes none.
func TestEntropy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		counts []int
		want   float64
	}{{[]int{5, 5}, 1}, {[]int{0, 7}, 0}, {[]int{1, 1, 1, 1}, 2}, {[]int{2, 1, 1}, 1.5}} {
		if have := entropy(c.counts); math.Abs(have-c.want) > 1e-12 {
			t.Errorf("%v: have %v bits, want %v", c.counts, have, c.want)
		}
	}
}

// A folder that cannot be written whole is not there at all.
func TestWriteFolderIsWhole(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	if err := writeFolder(t.Context(), dir, map[string][]byte{"a": []byte("1"), "b/c": nil}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that names the folder", err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("have %v (%v), want nothing", entries, err)
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	const rows = 201
	column := recording.Column{Width: 3}
	for i := range rows {
		gripper := float32(0)
		if i == 7 {
			gripper = 1
		}
		column.Values = append(column.Values, float32((i*50)%rows), gripper, 5) // 50 has no factor in common with 201
	}
	s := percentiles(column, rows)
	// As numpy.percentile says: 0.01 of the way from 0 to 200 is 2.
	if !slices.Equal(s.Q01, []float32{2, 0, 5}) || !slices.Equal(s.Q99, []float32{198, 1, 5}) || !slices.Equal(s.Min, []float32{0, 0, 5}) || !slices.Equal(s.Max, []float32{200, 1, 5}) {
		t.Errorf("have %+v", s)
	}
}

// counted are episodes whose numbers say where they are from: episode times 1000, plus row.
func counted(rate float64, lengths ...int) *actionData {
	a := &actionData{rate: rate, dim: 1}
	for e, length := range lengths {
		var episode []float32
		for i := range length {
			episode = append(episode, float32(1000*e+i))
		}
		a.episodes = append(a.episodes, episode)
	}
	return a
}

// Chunks are rows in a row of one episode, and as many as said.
func TestChunksStayInEpisodes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := counted(10, rapid.SliceOfN(rapid.IntRange(0, 30), 1, 6).Draw(t, "lengths")...)
		horizon, limit := rapid.IntRange(1, 12).Draw(t, "horizon"), rapid.IntRange(1, 300).Draw(t, "limit")
		chunks, number := a.chunks(horizon, limit)
		have := 0
		for chunk := range chunks {
			have++
			if len(chunk) != horizon || chunk[horizon-1] != chunk[0]+float32(horizon-1) {
				t.Fatalf("have the chunk %v", chunk)
			}
		}
		if have != number || (have-1)*horizon > limit {
			t.Fatalf("have %d chunks of %d, said were %d, and at most %d numbers before the last one", have, horizon, number, limit)
		}
	})
}

// Another rate is on the straight lines between the rows, and as long.
func TestResampled(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{5, 10, 20, 30, 50} {
		have := counted(10, 21, 1, 0).resampled(rate)
		if n, want := len(have.episodes[0]), int(2*rate)+1; n != want {
			t.Errorf("at %v Hz: have %d rows, want %d", rate, n, want)
		}
		for i, v := range have.episodes[0] {
			if want := float64(i) * 10 / rate; math.Abs(float64(v)-want) > 1e-5 {
				t.Errorf("at %v Hz: row %d is %v, want %v", rate, i, v, want)
			}
		}
		if len(have.episodes[1]) != 1 || have.episodes[1][0] != 1000 || len(have.episodes[2]) != 0 {
			t.Errorf("at %v Hz: have %v, want one row and none", rate, have.episodes[1:])
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ episodes, heldOut int }{{2, 1}, {3, 1}, {5, 1}, {6, 2}, {206, 42}} {
		training, heldOut := counted(10, make([]int, c.episodes)...).split()
		if len(heldOut.episodes) != c.heldOut || len(training.episodes) != c.episodes-c.heldOut {
			t.Errorf("%d episodes: have %d and %d, want %d put aside", c.episodes, len(training.episodes), len(heldOut.episodes), c.heldOut)
		}
	}
}

// Where actions are smooth, FAST takes fewer tokens than bins, and the higher the rate, the
// more so.
func TestTokenizeCompare(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures time for some seconds")
	}
	data, fast := testenv.Shared(t, "data/cr5"), testenv.Shared(t, "data/fast")
	picture := filepath.Join(t.TempDir(), "tokens.png")
	p := vla(t, "", "tokenize", "compare", "--data", data, "--tokenizer", fast, "--png", picture, "--vq-steps", "100", "--json")
	p.succeed(t)
	var report comparison
	if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 4 || report.Trained != 2 || report.Measured != 1 {
		t.Fatalf("have %+v", report)
	}
	for i, want := range []int{5, 10, 20, 50} {
		bins := report.Results[0].Rates[i]
		if bins.Rate != want || bins.TokensPerSecond != float64(7*want) {
			t.Errorf("bins: have %+v at %d Hz", bins, want)
		}
		if vq := report.Results[2].Rates[i]; vq.TokensPerSecond != 8 || vq.Vocabulary != 2048 || vq.RMSE <= 0 || vq.RMSE > 0.5 || vq.EncodeMicros <= 0 || vq.DecodeMicros <= 0 {
			t.Errorf("VQ: have %+v at %d Hz", vq, want)
		}
		for _, codec := range []codecResults{report.Results[1], report.Results[3]} {
			r := codec.Rates[i]
			if r.Rate != want || r.TokensPerSecond <= 0 || r.TokensPerSecond >= bins.TokensPerSecond || r.RMSE <= 0 || r.RMSE > 0.05 || r.EncodeMicros <= 0 || r.DecodeMicros <= 0 {
				t.Errorf("%s: have %+v at %d Hz", codec.Tokenizer, r, want)
			}
			if before := max(0, i-1); r.TokensPerSecond/bins.TokensPerSecond > codec.Rates[before].TokensPerSecond/report.Results[0].Rates[before].TokensPerSecond {
				t.Errorf("%s: compresses less at %d Hz than at the rate before", codec.Tokenizer, want)
			}
		}
	}
	file, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := png.Decode(file); err != nil {
		t.Error(err)
	}
}

func TestTokenizeCompareBadInput(t *testing.T) {
	t.Parallel()
	vla(t, "", "tokenize", "compare").fail(t, `"data"`, "required")
	vla(t, "", "tokenize", "compare", "--data", writeDataset(t), "--tokenizer", t.TempDir(), "--png", "").fail(t, "config.json", "processor_config.json")
}
