package mavlink_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/testenv"
	"govla/robot/fake"
	"govla/robot/mavlink"
)

// An operator that was written in JavaScript from docs/protocol-mavlink.md, with another
// MAVLink library, drives a simulator to the same states as a program that calls it.
// It needs node, and the npm package node-mavlink where node finds it ($NODE_PATH).
func TestNodeStation(t *testing.T) {
	node := testenv.Tool(t, "node")
	if exec.Command(node, "-e", `require("node-mavlink")`).Run() != nil {
		testenv.Tool(t, "node-mavlink (npm install node-mavlink@2.3.0, and set NODE_PATH)")
	}
	const seed, steps = 1<<24 + 7, 20
	for name, key := range map[string]*mavlink.Key{"unsigned": nil, "signed": {7, 8, 9}} {
		t.Run(name, func(t *testing.T) {
			local, direct := newFake(t, fake.Config{}), newFake(t, fake.Config{})
			address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{Key: key})
			host, port, err := net.SplitHostPort(strings.TrimPrefix(address, "udp:"))
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"testdata/station.cjs", host, port, fmt.Sprint(seed), fmt.Sprint(steps)}
			if key != nil {
				args = append(args, hex.EncodeToString(key[:]))
			}
			station := exec.CommandContext(t.Context(), node, args...)
			var trouble strings.Builder
			station.Stderr = &trouble
			out, err := station.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, trouble.String())
			}
			var heard struct {
				Spec, Initial   []float32
				States, Scores  [][]float32
				Armed, Disarmed int
				Reset           struct{ Result, Episode int }
			}
			if err := json.Unmarshal(out, &heard); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if want := []float32{1, 2, 2, 10, 1, -1, 1, -1, 1}; !slices.Equal(heard.Spec, want) {
				t.Errorf("spec %v, want %v", heard.Spec, want)
			}
			if heard.Armed != 0 || heard.Disarmed != 0 || heard.Reset.Result != 0 || heard.Reset.Episode != 42 {
				t.Errorf("acknowledged: %+v", heard)
			}
			initial, err := direct.Reset(t.Context(), seed)
			if err != nil {
				t.Fatal(err)
			}
			if len(heard.Initial) != 1+len(initial) || heard.Initial[0] != 42 || heard.Initial[1] != float32(initial[0]) {
				t.Errorf("initial %v, want 42 and %v", heard.Initial, initial)
			}
			if len(heard.States) != 1+steps || len(heard.Scores) != steps {
				t.Fatalf("%d states and %d scores, want %d and %d", len(heard.States), len(heard.Scores), 1+steps, steps)
			}
			for n, state := range heard.States {
				if n > 0 {
					// The robot's limits are -1 and 1: what is on the wire is the action.
					if err := direct.Act(t.Context(), []float32{float32(math.Sin(float64(n))), float32(math.Cos(float64(n)))}); err != nil {
						t.Fatal(err)
					}
					want := direct.Score()
					if score := heard.Scores[n-1]; len(score) != 4 || score[0] != float32(want.Reward) || score[3] != float32(n) {
						t.Errorf("score %v, want %+v", score, want)
					}
				}
				var want actions.Observation
				if err := direct.Observe(t.Context(), &want); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(state, want.State) {
					t.Fatalf("step %d: state %v, want %v", n, state, want.State)
				}
			}
			if j := local.Journal(); j.Acts != steps || j.Armed {
				t.Errorf("robot %+v, want %d steps and not armed", j, steps)
			}
		})
	}
}
