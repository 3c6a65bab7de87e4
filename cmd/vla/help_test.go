package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every verb shows in its help how it is used, by commands that exist, with flags that
// exist.
func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	shown := 0
	var check func(verb *cobra.Command)
	check = func(verb *cobra.Command) {
		for _, sub := range verb.Commands() {
			check(sub)
		}
		if verb.HasSubCommands() {
			return
		}
		help := vla(t, "", append(strings.Fields(verb.CommandPath())[1:], "--help")...)
		help.succeed(t)
		_, examples, ok := strings.Cut(help.stdout.String(), "Examples:\n")
		if !ok || !strings.HasPrefix(strings.TrimSpace(examples), verb.CommandPath()) {
			t.Errorf("%s --help shows no example:\n%s", verb.CommandPath(), &help.stdout)
		}
		for line := range strings.Lines(verb.Example) {
			line, _, _ = strings.Cut(line, "#")
			line, _, _ = strings.Cut(line, "|")
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			shown++
			found, arguments, err := rootCommand().Find(words[1:])
			if err != nil || words[0] != "vla" {
				t.Errorf("%s --help shows %q: %v", verb.CommandPath(), line, err)
				continue
			}
			if err := found.ParseFlags(arguments); err != nil {
				t.Errorf("%s --help shows %q: %v", verb.CommandPath(), line, err)
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s --help shows %q: %v", verb.CommandPath(), line, err)
			}
			if err := found.ValidateRequiredFlags(); err != nil {
				t.Errorf("%s --help shows %q: %v", verb.CommandPath(), line, err)
			}
		}
	}
	check(rootCommand())
	if shown < 10 {
		t.Errorf("saw %d examples, want more", shown)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	p := vla(t, "", "version", "--json")
	p.succeed(t)
	var version map[string]any
	if err := json.Unmarshal([]byte(p.stdout.String()), &version); err != nil {
		t.Fatalf("%v in %s", err, &p.stdout)
	}
	if version["go"] != runtime.Version() || version["platform"] != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("have %v, want it to name %s on %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	}
	for _, key := range []string{"version", "kernels", "policies"} {
		if _, ok := version[key]; !ok {
			t.Errorf("have %v, want %s", version, key)
		}
	}
	words := vla(t, "", "version")
	words.succeed(t)
	if out := words.stdout.String(); !strings.Contains(out, version["go"].(string)) || !strings.Contains(out, version["kernels"].(string)) {
		t.Errorf("have %q, want the words for %v", out, version)
	}
}
