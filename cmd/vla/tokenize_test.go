package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeTokenizer writes the folder of a tokenizer and returns texts and what the reference
// implementation makes of them.
func writeTokenizer(t *testing.T) (dir string, texts []string, ids [][]int32) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "tokenizer", "testdata", "bpe", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Base       json.RawMessage
		Texts      []string
		Tokenizers []struct {
			Changes map[string]json.RawMessage
			Results [][3]json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	first := reference.Tokenizers[0]
	if len(first.Changes) != 0 {
		t.Fatalf("the first tokenizer of the reference has changes: %v", first.Changes)
	}
	for _, result := range first.Results {
		var one []int32
		if err := json.Unmarshal(result[0], &one); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, one)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), reference.Base, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, reference.Texts, ids
}

// startReading runs vla with something to read on stdin.
func startReading(t *testing.T, stdin io.Reader, arguments ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Dir = t.TempDir()
	p.command.Env = append(os.Environ(), beVLA+"=1")
	p.command.Stdin, p.command.Stdout, p.command.Stderr = stdin, &p.stdout, &p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // ProcessState has what it says
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // most have ended already
		<-p.ended
	})
	return p
}

// jsonLine returns text as a line of JSON.
func jsonLine(t *testing.T, text string) string {
	t.Helper()
	line, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

func TestTokenizeText(t *testing.T) {
	t.Parallel()
	dir, texts, ids := writeTokenizer(t)
	var lines strings.Builder
	for _, text := range texts {
		lines.WriteString(jsonLine(t, text))
	}
	for name, stdin := range map[string]string{
		"lines":       lines.String(),
		"no last end": strings.TrimSuffix(lines.String(), "\n"),
		"carriage":    strings.ReplaceAll(lines.String(), "\n", "\r\n"),
		"spaces":      " " + strings.ReplaceAll(lines.String(), "\n", " \n "),
	} {
		tokenizer := dir
		if name == "lines" {
			tokenizer = filepath.Join(dir, "tokenizer.json")
		}
		if name == "spaces" {
			stdin = strings.TrimSuffix(stdin, " ") // which would be a line
		}
		p := startReading(t, strings.NewReader(stdin), "tokenize", "text", "--tokenizer", tokenizer)
		p.succeed(t)
		have := strings.Split(strings.TrimSuffix(p.stdout.String(), "\n"), "\n")
		if len(have) != len(texts) {
			t.Fatalf("%s: have %d lines, want %d", name, len(have), len(texts))
		}
		for i, line := range have {
			var one []int32
			if err := json.Unmarshal([]byte(line), &one); err != nil || one == nil || !slices.Equal(one, ids[i]) {
				t.Errorf("%s: %q: have %s (%v), want %v", name, texts[i], line, err, ids[i])
			}
		}
		if p.stderr.String() != "" {
			t.Errorf("%s: have %q on stderr, want nothing", name, &p.stderr)
		}
		leftNothing(t, p)
	}
}

func TestTokenizeNothing(t *testing.T) {
	t.Parallel()
	dir, _, _ := writeTokenizer(t)
	p := startReading(t, strings.NewReader(""), "tokenize", "text", "--tokenizer", dir)
	p.succeed(t)
	if p.stdout.String() != "" || p.stderr.String() != "" {
		t.Errorf("have %q and %q, want nothing", &p.stdout, &p.stderr)
	}
}

func TestTokenizeBadInput(t *testing.T) {
	t.Parallel()
	dir, _, _ := writeTokenizer(t)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "tokenizer.json"), []byte(`{"model": {"type": "WordPiece", "vocab": {}, "merges": []}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	empty := t.TempDir()
	for _, test := range []struct {
		stdin     string
		arguments []string
		words     []string
	}{
		{`"a"`, nil, []string{`"tokenizer"`, "required"}},
		{`"a"`, []string{"--tokenizer", nowhere}, []string{nowhere, "no such file"}},
		{`"a"`, []string{"--tokenizer", empty}, []string{filepath.Join(empty, "tokenizer.json"), "no such file"}},
		{`"a"`, []string{"--tokenizer", broken}, []string{filepath.Join(broken, "tokenizer.json"), "model", "type", "WordPiece"}},
		{`"a"`, []string{"--tokenizer", dir, "b"}, []string{`"b"`}},
		{`a`, []string{"--tokenizer", dir}, []string{"line 1", "'a'"}},
		{`"a`, []string{"--tokenizer", dir}, []string{"line 1", "JSON"}},
		{`["a"]`, []string{"--tokenizer", dir}, []string{"line 1", "array"}},
		{`null`, []string{"--tokenizer", dir}, []string{"line 1", "null"}},
		{"\n", []string{"--tokenizer", dir}, []string{"line 1"}},
		{`"a" "b"`, []string{"--tokenizer", dir}, []string{"line 1", `'"'`}},
	} {
		p := startReading(t, strings.NewReader(test.stdin), append([]string{"tokenize", "text"}, test.arguments...)...)
		p.fail(t, test.words...)
		leftNothing(t, p)
	}

	// The lines before the bad one are done.
	p := startReading(t, strings.NewReader("\"a\"\n\"b\"\n{}\n\"c\"\n"), "tokenize", "text", "--tokenizer", dir)
	if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), "vla: line 3 of stdin: ") || p.stdout.String() != "[97]\n[98]\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q, want two lines and an error in line 3", code, &p.stdout, &p.stderr)
	}
}

func TestTokenizeLongLine(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes a line of 64 MiB")
	}
	dir, _, _ := writeTokenizer(t)
	long := io.LimitReader(ceaseless{}, maxLine+1)
	p := startReading(t, io.MultiReader(strings.NewReader("\"a\"\n\""), long), "tokenize", "text", "--tokenizer", dir)
	if code := p.wait(t); code != 1 || !strings.Contains(p.stderr.String(), "line 2 of stdin: more than 67108864 bytes") {
		t.Errorf("exit code %d, stderr %q, want an error about the length of line 2", code, &p.stderr)
	}
}

// ceaseless is a text without an end.
type ceaseless struct{}

func (ceaseless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// An answer comes before the next question is asked, and a long stream goes through.
func TestTokenizeStreams(t *testing.T) {
	t.Parallel()
	dir, _, _ := writeTokenizer(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "tokenize", "text", "--tokenizer", dir)
	command.Env = append(os.Environ(), beVLA+"=1")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it has ended if all is well
		_ = command.Wait()         // and was waited for
	})
	answers := bufio.NewReader(stdout)
	for i := range 10 {
		if _, err := fmt.Fprintf(stdin, "\"%d\"\n", i); err != nil {
			t.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || answer != fmt.Sprintf("[%d]\n", '0'+i) {
			t.Fatalf("%d: have %q, %v: %s", i, answer, err, &stderr)
		}
	}
	lines := 200_000
	if testing.Short() {
		lines = 20_000
	}
	written := make(chan error, 1)
	go func() {
		questions := bufio.NewWriter(stdin)
		for i := range lines {
			fmt.Fprintf(questions, "\"%c%c\"\n", '0'+i%10, 'A'+i%26)
		}
		err := questions.Flush()
		_ = stdin.Close() // the error that counts is the one of writing
		written <- err
	}()
	for i := range lines {
		if answer, err := answers.ReadString('\n'); err != nil || answer != fmt.Sprintf("[%d,%d]\n", '0'+i%10, 'A'+i%26) {
			t.Fatalf("line %d: have %q, %v: %s", i, answer, err, &stderr)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("have more than %d answers (%v)", lines, err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
}

// Ctrl-C ends it while it waits for stdin.
func TestTokenizeInterrupted(t *testing.T) {
	t.Parallel()
	dir, _, _ := writeTokenizer(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() })
	p := startReading(t, reader, "tokenize", "text", "--tokenizer", dir)
	if _, err := io.WriteString(writer, "\"a\"\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer", func() bool { return p.stdout.String() == "[97]\n" })
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != -1 {
		t.Errorf("exit code %d, want it to be interrupted: %s", code, &p.stderr)
	}
}
