package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

//go:embed torch_peer.py
var peerProgram string

// peer is PyTorch in a process of its own, which times what it is asked for.
type peer struct {
	version string
	command *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
}

// startPeer starts PyTorch with so many threads. It must be closed.
func startPeer(ctx context.Context, python string, threads int) (*peer, error) {
	p := &peer{command: exec.CommandContext(ctx, python, "-c", peerProgram)}
	limit := fmt.Sprint(threads)
	p.command.Env = append(os.Environ(), "OMP_NUM_THREADS="+limit, "OPENBLAS_NUM_THREADS="+limit, "MKL_NUM_THREADS="+limit)
	p.command.Stderr = os.Stderr
	var err error
	if p.ask, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewScanner(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	hello, err := p.answer()
	if err != nil {
		p.close()
		return nil, err
	}
	p.version = hello.Torch
	return p, nil
}

func (p *peer) close() {
	p.ask.Close() // it ends at the end of its input
	if err := p.command.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "PyTorch:", err)
	}
}

// job is what a peer is asked for, and answer what it says.
type job struct {
	Job     string  `json:"job"`
	Type    string  `json:"dtype"`
	Form    string  `json:"form,omitempty"`
	M       int     `json:"m,omitempty"`
	K       int     `json:"k,omitempty"`
	N       int     `json:"n,omitempty"`
	Batch   int     `json:"batch,omitempty"`
	Tokens  int     `json:"tokens,omitempty"`
	Width   int     `json:"width,omitempty"`
	Heads   int     `json:"heads,omitempty"`
	Seconds float64 `json:"seconds"` // to measure for, at least
}

type answer struct {
	Torch   string  `json:"torch"`
	Seconds float64 `json:"seconds"` // a call
	Error   string  `json:"error"`
}

func (p *peer) answer() (answer, error) {
	var a answer
	if !p.answers.Scan() {
		return a, errors.Join(errors.New("it ended before it answered"), p.answers.Err())
	}
	if err := json.Unmarshal(p.answers.Bytes(), &a); err != nil {
		return a, fmt.Errorf("read %q: %w", p.answers.Bytes(), err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// timed returns the clock of a job.
func (p *peer) timed(j job) func(time.Duration) (float64, error) {
	return func(atLeast time.Duration) (float64, error) {
		j.Seconds = atLeast.Seconds()
		text, err := json.Marshal(j)
		if err != nil {
			return 0, err
		}
		if _, err := p.ask.Write(append(text, '\n')); err != nil {
			return 0, err
		}
		a, err := p.answer()
		return a.Seconds, err
	}
}

func (p *peer) product(s shape, dtype, form string) func(time.Duration) (float64, error) {
	return p.timed(job{Job: "product", Type: dtype, Form: form, M: s.M, K: s.K, N: s.N})
}
