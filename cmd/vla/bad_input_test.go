package main

import (
	"encoding/json"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/policy"
)

// What cannot be done is said in one line that names what is wrong and, where there is a
// choice, what would be right; and nothing is left behind.
func TestBadFlags(t *testing.T) {
	t.Parallel()
	flow, tokens, dataset := writePolicy(t, "flow", 1, nil), writePolicy(t, "tokens", 1, nil), writeDataset(t)
	run := func(more ...string) []string {
		return append([]string{"run", "--policy", flow, "--transport", "direct", "--rate", "0"}, more...)
	}
	train := func(more ...string) []string {
		return append([]string{"train", "--data", dataset, "--out", "new", "--steps", "3", "--batch", "2"}, more...)
	}
	config := func(text string) (path string) {
		path = filepath.Join(t.TempDir(), "c.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		arguments []string
		words     []string
	}{
		{[]string{"rum"}, []string{`"rum"`, "run"}},
		{[]string{"run", "table"}, []string{`"table"`, "vla run"}},
		{[]string{"data", "frobnicate"}, []string{`"frobnicate"`, "vla data"}},
		{run("--sped", "3"), []string{"--sped"}},
		{run("--episodes", "many"), []string{"--episodes", `"many"`}},
		{run("--episodes", "0"), []string{"0 episodes", "at least 1"}},
		{run("--episodes", "-1"), []string{"-1 episodes", "at least 1"}},
		{[]string{"eval", "--policy", flow, "--episodes", "0"}, []string{"0 episodes", "at least 1"}},
		{[]string{"compare", "--policies", flow + "," + tokens, "--episodes", "0"}, []string{"0 episodes", "at least 1"}},
		{[]string{"compare", "--policies", flow}, []string{"1 policies", "at least 2"}},
		{[]string{"eval", "--policy", flow, "--parallel", "-1"}, []string{"-1 episodes at a time", "at least 1"}},
		{run("--env", "kitchen"), []string{`"kitchen"`, "pusht"}},
		{run("--seed", "-1"), []string{"seed -1", "0 to 4294967295"}},
		{run("--rate", "5"), []string{"rate", "5 ticks", "the policy's 10"}},
		{run("--rate", "NaN"), []string{"rate", "NaN", "the policy's 10"}},
		{run("--steps", "-1"), []string{"-1 Euler steps", "1 to 1000"}},
		{run("--execute", "9"), []string{"execute 9", "1 to 7"}},
		{run("--merge", "glue"), []string{`"glue"`, "replace", "average", "ensemble"}},
		{[]string{"eval", "--policy", tokens, "--temperature", "-1"}, []string{"temperature -1", "0 to 100"}},
		{run("--out", flow+"/config.json"), []string{"--out", "config.json", "folder"}},
		{[]string{"run", "--policy", "nobody"}, []string{"nobody", "embedded policy", "folder"}},
		{[]string{"run", "--transport", "pigeon"}, []string{`"pigeon"`, "nats", "mavlink", "direct"}},
		{run("--nats", "nats://127.0.0.1:1"), []string{"--nats", "--transport direct"}},
		{run("--mavlink", "udp:127.0.0.1:1"), []string{"--mavlink", "--transport direct"}},
		{[]string{"run", "--robot", "table"}, []string{"--robot", "--nats"}},
		{[]string{"run", "--nats", "nats://127.0.0.1:1", "--mavlink", "udp:127.0.0.1:1"}, []string{"--nats", "--mavlink"}},
		{[]string{"sim", "--nats", "nats://127.0.0.1:1", "--mavlink", "udp:127.0.0.1:1"}, []string{"--nats", "--mavlink"}},
		{[]string{"sim", "--name", "my.table"}, []string{`"my.table"`, "letters"}},
		{[]string{"sim", "--mavlink", "pigeon:1"}, []string{`"pigeon:1"`, "udpin:HOST:PORT"}},
		{[]string{"run", "--policy", flow, "--mavlink", "udp:127.0.0.1"}, []string{`"udp:127.0.0.1"`, "udp:HOST:PORT"}},
		{[]string{"run", "--policy", flow, "--transport", "mavlink", "--mavlink-encoding", "morse"}, []string{`"morse"`, "control", "actuator", "rc"}},
		{[]string{"run", "--policy", flow, "--transport", "mavlink", "--mavlink-encoding", "rc", "--rate", "0"}, []string{"rc", "lockstep", "control"}},
		{[]string{"run", "--policy", flow, "--transport", "mavlink", "--mavlink-key", "secret"}, []string{"key", "secret"}},
		{[]string{"train", "--data", dataset}, []string{"--out"}},
		{train("--head", "foot"), []string{`"foot"`, "flow", "tokens"}},
		{train("--env", "kitchen"), []string{`"kitchen"`, "pusht"}},
		{train("--mirror"), []string{"--mirror", "--env", "pusht"}},
		{train("--steps", "0"), []string{"steps", "at least 1"}},
		{train("--batch", "-1"), []string{"batch", "at least 1"}},
		{train("--lr", "-1"), []string{"learning rate", "positive"}},
		{train("--config", config(`{"n_action_steps": 16}`)), []string{"executed actions", "horizon"}},
		{train("--head", "tokens-bins", "--config", config(`{"network": {"head_width": 30}}`)), []string{"30", "4"}},
		{train("--config", config(`{"network": {"head_width": 0}}`)), []string{"width", "at least 1"}},
		{train("--config", config(`{"network": {"head_blocks": -1}}`)), []string{"blocks", "negative"}},
		{train("--config", config(`{"netwrok": {}}`)), []string{"netwrok", ".json"}},
		{train("--head", "tokens-fast"), []string{"tokens-fast", "no camera", "tokens-bins"}},
		{train("--rollouts", "3"), []string{"--rollouts", "no camera"}},
		{train("--init", flow), []string{"--init", "no camera"}},
		{train("--resume"), []string{"resume", filepath.Join("new", "checkpoints", "last")}},
		{[]string{"data", "verify"}, []string{"1 arg"}},
		{[]string{"version", "json"}, []string{`"json"`}},
	} {
		p := vla(t, "", test.arguments...)
		p.fail(t, test.words...)
		leftNothing(t, p)
	}
}

// A recording that is not there, or only half there, is neither verified nor trained on.
func TestBadRecordings(t *testing.T) {
	t.Parallel()
	whole := writeDataset(t)
	vla(t, "", "data", "verify", whole).succeed(t)
	cut := func(name string) (dir string) {
		dir = writeDataset(t)
		truncate(t, filepath.Join(dir, filepath.FromSlash(name)))
		return dir
	}
	for _, test := range []struct{ dir, file string }{
		{filepath.Join(t.TempDir(), "nowhere"), "meta/info.json"},
		{cut("meta/info.json"), "meta/info.json"},
		{cut("meta/episodes/chunk-000/file-000.parquet"), "meta/episodes/chunk-000/file-000.parquet"},
		{cut(rowsFile), rowsFile},
	} {
		p := vla(t, "", "train", "--data", test.dir, "--out", "new", "--steps", "3", "--batch", "2")
		p.fail(t, test.file)
		leftNothing(t, p)

		p = vla(t, "", "data", "verify", test.dir, "--json")
		if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), test.dir) {
			t.Errorf("%v: exit code %d, stderr %s", p, code, &p.stderr)
		}
		var report struct {
			Problems []struct{ Severity, File, Found, Expected string }
		}
		if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
			t.Fatalf("%v: %v in %s", p, err, &p.stdout)
		}
		if len(report.Problems) == 0 || report.Problems[0].Severity != "error" || report.Problems[0].File != test.file || report.Problems[0].Expected == "" {
			t.Errorf("%v: have %s, want an error in %s", p, &p.stdout, test.file)
		}
	}
}

// A checkpoint with parts that do not fit or are not whole is refused by the name of the
// part.
func TestBadCheckpoints(t *testing.T) {
	t.Parallel()
	edit := func(dir string, from, to string) {
		path := filepath.Join(dir, "config.json")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(data), from) != 1 {
			t.Fatalf("%q is not once in %s", from, data)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		head  string
		spoil func(dir string)
		words []string
	}{
		"wider head": {"flow", func(dir string) { edit(dir, `"head_width": 16`, `"head_width": 32`) },
			[]string{"model.safetensors", "config.json", "flow.in_condition.weight", "[16 16]", "[32 16]"}},
		"more blocks": {"flow", func(dir string) { edit(dir, `"head_blocks": 1`, `"head_blocks": 2`) },
			[]string{"model.safetensors", "config.json", "flow.blocks.1"}},
		"other head": {"flow", func(dir string) {
			edit(dir, `"type": "flow"`, `"type": "tokens"`)
			edit(dir, `"time_frequencies": 4`, `"bins": 16, "attention_heads": 2`)
		}, []string{"model.safetensors", "config.json", "tokens.in_condition"}},
		"other vocabulary": {"tokens", func(dir string) { edit(dir, `"bins": 16`, `"bins": 32`) },
			[]string{"model.safetensors", "config.json", "tokens."}},
		"longer horizon": {"flow", func(dir string) {
			data := filepath.Join(dir, "config.json")
			text, err := os.ReadFile(data)
			if err == nil {
				err = os.WriteFile(data, []byte(strings.ReplaceAll(string(text), `"horizon": 8`, `"horizon": 9`)), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors", "config.json", "flow."}},
		"unknown type":  {"flow", func(dir string) { edit(dir, `"type": "flow"`, `"type": "stream"`) }, []string{"config.json", `"stream"`, "flow or tokens"}},
		"half a config": {"flow", func(dir string) { truncate(t, filepath.Join(dir, "config.json")) }, []string{"config.json"}},
		"half a model":  {"flow", func(dir string) { truncate(t, filepath.Join(dir, "model.safetensors")) }, []string{"model.safetensors"}},
		"empty model":   {"flow", func(dir string) { empty(t, filepath.Join(dir, "model.safetensors")) }, []string{"model.safetensors"}},
		"half the statistics": {"flow", func(dir string) {
			truncate(t, filepath.Join(dir, "policy_preprocessor_step_0_normalizer_processor.safetensors"))
		}, []string{"policy_preprocessor_step_0_normalizer_processor.safetensors"}},
		"no model": {"flow", func(dir string) {
			if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
				t.Fatal(err)
			}
		}, []string{"model.safetensors"}},
		"other robot": {"flow", func(dir string) { edit(dir, `"name": "agent_x"`, `"name": "shoulder"`) },
			[]string{"pusht", "agent_x", "shoulder"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writePolicy(t, test.head, 1, nil)
			test.spoil(dir)
			p := vla(t, "", "run", "--policy", dir, "--transport", "direct", "--rate", "0")
			p.fail(t, append([]string{dir}, test.words...)...)
			leftNothing(t, p)
		})
	}
}

// Weights that give no numbers are refused before anything is connected to.
func TestWeightsWithoutNumbers(t *testing.T) {
	t.Parallel()
	for _, value := range []float32{float32(math.NaN()), float32(math.Inf(1)), 3e38} {
		dir := writePolicy(t, "flow", 1, func(c *policy.Checkpoint) {
			setTensor(t, c, "flow.out.bias", func(i int) float32 { return value })
		})
		p := vla(t, "", "run", "--policy", dir, "--nats", "nats://127.0.0.1:1", "--robot", "table")
		p.fail(t, dir, "model.safetensors", "not finite")
		leftNothing(t, p)
	}
}

func empty(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
}

// Who is not there is named by the address, or by the name and the names that are there.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	tiny := writePolicy(t, "flow", 1, nil)
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		for _, more := range [][]string{{"--robot", "table"}, nil} {
			p := vla(t, "", append([]string{"run", "--policy", tiny, "--nats", "nats://127.0.0.1:1"}, more...)...)
			p.fail(t, "nats://127.0.0.1:1")
			leftNothing(t, p)
		}
		p := vla(t, "", "sim", "--nats", "nats://user:secret@127.0.0.1:1")
		p.fail(t, "nats://user:xxxxx@127.0.0.1:1")
	})
	t.Run("robot", func(t *testing.T) {
		t.Parallel()
		url := startServer(t)
		p := vla(t, "", "run", "--policy", tiny, "--nats", url, "--robot", "table")
		p.fail(t, "robot table", url, "nor any other")
		leftNothing(t, p)
		startSim(t, "--robot ", "--nats", url, "--name", "bench")
		p = vla(t, "", "run", "--policy", tiny, "--nats", url, "--robot", "table")
		p.fail(t, "robot table", url, "bench")
		leftNothing(t, p)
		vla(t, "", "sim", "--nats", url, "--name", "bench").fail(t, "bench", url, "already")
	})
	t.Run("MAVLink", func(t *testing.T) {
		t.Parallel()
		// Somebody has the port, but is no vehicle and says nothing.
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		address := socket.LocalAddr().String()
		vla(t, "", "sim", "--mavlink", "udpin:"+address).fail(t, "udpin:"+address)
		if testing.Short() {
			t.Skip("waits for an answer for some seconds")
		}
		p := vla(t, "", "run", "--policy", tiny, "--mavlink", "udp:"+address)
		p.fail(t, "udp:"+address, "heartbeat")
		leftNothing(t, p)
	})
	t.Run("MAVLink, wrong key", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("waits for an answer for some seconds")
		}
		keys := t.TempDir()
		for name, digits := range map[string]string{"ours": "c0ffee00", "theirs": "deadbeef"} {
			if err := os.WriteFile(filepath.Join(keys, name), []byte(strings.Repeat(digits, 8)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, port := startSim(t, "udpin:127.0.0.1:", "--mavlink", "udpin:127.0.0.1:0", "--mavlink-key", filepath.Join(keys, "theirs"))
		p := vla(t, "", "run", "--policy", tiny, "--mavlink", "udp:127.0.0.1:"+port, "--mavlink-key", filepath.Join(keys, "ours"))
		p.fail(t, "udp:127.0.0.1:"+port, "heartbeat")
		leftNothing(t, p)
	})
}
