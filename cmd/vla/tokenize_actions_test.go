package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/testenv"
)

// reconstructed is a line that vla tokenize actions prints.
type reconstructed struct {
	Tokens         []int32
	Reconstruction [][]float64
}

// The lines are those of the golden data, which an independent implementation computed.
func TestTokenizeActions(t *testing.T) {
	t.Parallel()
	fast := testenv.Shared(t, "data/fast")
	data, err := os.ReadFile(testenv.Shared(t, "golden/tokenizer/fast.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Name    string
			Horizon int `json:"time_horizon"`
			Dim     int `json:"action_dim"`
			Actions json.RawMessage
			Tokens  []int32
			Decoded [][]float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for _, shape := range []struct {
		horizon, dim string
		cases        int
	}{{"16", "2", 30}, {"32", "7", 20}} {
		var lines strings.Builder
		var want []reconstructed
		for _, c := range golden.Cases {
			if shape.horizon == jsonNumber(c.Horizon) && shape.dim == jsonNumber(c.Dim) {
				lines.Write(append(c.Actions, '\n'))
				want = append(want, reconstructed{c.Tokens, c.Decoded})
			}
		}
		if len(want) != shape.cases {
			t.Fatalf("%d golden chunks of %s actions, want %d", len(want), shape.horizon, shape.cases)
		}
		p := startReading(t, strings.NewReader(lines.String()), "tokenize", "actions", "--tokenizer", fast, "--horizon", shape.horizon, "--dim", shape.dim)
		p.succeed(t)
		have := strings.Split(strings.TrimSuffix(p.stdout.String(), "\n"), "\n")
		if len(have) != len(want) {
			t.Fatalf("have %d lines, want %d", len(have), len(want))
		}
		for i, line := range have {
			var one reconstructed
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if !slices.Equal(one.Tokens, want[i].Tokens) {
				t.Errorf("line %d: have the tokens %v, want %v", i+1, one.Tokens, want[i].Tokens)
			}
			if len(one.Reconstruction) != len(want[i].Reconstruction) {
				t.Fatalf("line %d: have %d actions, want %d", i+1, len(one.Reconstruction), len(want[i].Reconstruction))
			}
			for j, row := range want[i].Reconstruction {
				for k, v := range row {
					if d := math.Abs(one.Reconstruction[j][k] - v); !(d < 1e-6) {
						t.Errorf("line %d: action %d, dimension %d: have %v, want %v", i+1, j, k, one.Reconstruction[j][k], v)
					}
				}
			}
		}
		leftNothing(t, p)
	}
}

func jsonNumber(n int) string {
	text, _ := json.Marshal(n) // cannot fail
	return string(text)
}

// trainTokenizer trains a tokenizer on a small recording, of chunks of 5 actions of 2 numbers.
func trainTokenizer(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "fast")
	vla(t, "", "train", "tokenizer", "--data", writeDataset(t), "--horizon", "5", "--vocabulary", "300", "--out", dir).succeed(t)
	return dir
}

func TestTokenizeActionsBadInput(t *testing.T) {
	t.Parallel()
	dir := trainTokenizer(t)
	empty := t.TempDir()
	good := `[[0,0],[0,0],[0,0],[0,0],[0,0]]`
	for _, test := range []struct {
		stdin     string
		arguments []string
		words     []string
	}{
		{good, nil, []string{`"tokenizer"`, "required"}},
		{good, []string{"--tokenizer", empty}, []string{"config.json", "processor_config.json"}},
		{good, []string{"--tokenizer", dir, "--horizon", "0"}, []string{"--horizon 0"}},
		{good, []string{"--tokenizer", dir, "--dim", "-1"}, []string{"--dim -1"}},
		{good, []string{"--tokenizer", dir, "--horizon", "1000000"}, []string{"horizon", "1000000"}},
		{good, []string{"--tokenizer", dir, "--horizon", "4"}, []string{"line 1", "5 actions", "want 4"}},
		{good, []string{"--tokenizer", dir, "--dim", "3"}, []string{"line 1", "action 0", "2 numbers", "want 3"}},
		{`[[0,0],[0,0],[0],[0,0],[0,0]]`, []string{"--tokenizer", dir}, []string{"line 1", "action 2", "1 numbers"}},
		{`[[0,0],[0,0],[0,null],[0,0],[0,0]]`, []string{"--tokenizer", dir}, []string{"line 1", "action 2", "number 1", "null"}},
		{`[[0,0],[0,0],[0,1e39],[0,0],[0,0]]`, []string{"--tokenizer", dir}, []string{"line 1", "action 2", "too large"}},
		{`[[1e30,0],[0,0],[0,1],[0,0],[0,0]]`, []string{"--tokenizer", dir}, []string{"line 1", "dimension 0", "no character"}},
		{`[[0,0],[0,0],[0,"1"],[0,0],[0,0]]`, []string{"--tokenizer", dir}, []string{"line 1", "string"}},
		{`null`, []string{"--tokenizer", dir}, []string{"line 1", "null"}},
		{`{}`, []string{"--tokenizer", dir}, []string{"line 1", "object"}},
		{`[[0,0]`, []string{"--tokenizer", dir}, []string{"line 1", "JSON"}},
		{"\n", []string{"--tokenizer", dir}, []string{"line 1"}},
	} {
		p := startReading(t, strings.NewReader(test.stdin), append([]string{"tokenize", "actions"}, test.arguments...)...)
		p.fail(t, test.words...)
		leftNothing(t, p)
	}
}
