package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"govla/internal/compute"
)

// TestBenchCompute measures little and briefly, and looks whether everything is there and
// the shares are what the rates say.
func TestBenchCompute(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures for seconds")
	}
	p := vla(t, "", "bench", "compute", "--shape", "8x16x40", "--shape", "1x3x2", "--threads", "1,2", "--repetition", "100us", "--json")
	p.succeed(t)
	var r computeReport
	decoder := json.NewDecoder(strings.NewReader(p.stdout.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, &p.stdout)
	}
	peaks := map[string]float64{}
	for _, p := range r.Peaks {
		peaks[fmt.Sprint(p.Instruction, p.Threads)] = p.GFLOPS
	}
	if want := 2 * len(compute.Instructions()); len(peaks) != want || len(r.Peaks) != want {
		t.Errorf("peaks %v, want %d", r.Peaks, want)
	}
	bandwidth := map[int]float64{}
	for _, b := range r.Bandwidth {
		if !(b.GBS > 0) {
			t.Errorf("bandwidth %+v", b)
		}
		if b.Bytes == elementwiseBytes {
			bandwidth[b.Threads] = max(bandwidth[b.Threads], b.GBS)
		}
	}
	instruction := map[compute.Path]string{compute.AMX: "TDPBF16PS", compute.AVX512: "VFMADD231PS zmm", compute.AVX2: "VFMADD231PS ymm"}
	seen := map[string]bool{}
	for _, q := range r.Products {
		seen[fmt.Sprint(q.Path, " ", q.Precision, " ", q.Form, " ", shape{q.M, q.K, q.N}, " ", q.Threads)] = true
		peak, ok := peaks[instruction[q.Path]+fmt.Sprint(q.Threads)]
		switch {
		case !(q.GFLOPS > 0 && q.GFLOPS <= q.Best):
			t.Errorf("product %+v", q)
		case ok != (q.PeakShare != nil):
			t.Errorf("product %+v has a share of its peak: %v, want %v", q, q.PeakShare != nil, ok)
		case ok && !(math.Abs(*q.PeakShare*peak-q.GFLOPS) < 1e-6*q.GFLOPS):
			t.Errorf("product %+v: share %v of %v", q, *q.PeakShare, peak)
		}
	}
	for _, path := range compute.Paths() {
		forms := []string{"bf16 packed", "f32 packed", "f32 NN", "f32 TN", "f32 NT"}
		if path == compute.AMX {
			forms = []string{"bf16 packed-bf16", "bf16 packed", "bf16 NN", "bf16 TN", "bf16 NT"}
		}
		for _, form := range forms {
			for _, s := range []string{"8x16x40", "1x3x2"} {
				for _, threads := range []string{"1", "2"} {
					if key := strings.Join([]string{string(path), form, s, threads}, " "); !seen[key] {
						t.Errorf("found no product %s", key)
					}
				}
			}
		}
	}
	layers := map[string]bool{}
	for _, l := range r.Layers {
		layers[l.Layer+" "+string(l.Path)] = true
		peak, ok := peaks[instruction[l.Path]+fmt.Sprint(l.Threads)]
		if !(l.GFLOPS > 0 && l.GFLOPS <= l.Best) || ok && !(math.Abs(*l.PeakShare*peak-l.GFLOPS) < 1e-6*l.GFLOPS) {
			t.Errorf("layer %+v beside a peak of %v", l, peak)
		}
	}
	if len(layers) != 3*len(compute.Paths()) {
		t.Errorf("found the layers %v, want three for each of %v", layers, compute.Paths())
	}
	kernels := map[string]bool{}
	for _, k := range r.Kernels {
		kernels[k.Kernel+" "+string(k.Path)] = true
		if !(k.GBS > 0 && k.GBS <= k.Best) || !(math.Abs(k.BandwidthShare*bandwidth[k.Threads]-k.GBS) < 1e-6*k.GBS) {
			t.Errorf("kernel %+v beside a bandwidth of %v", k, bandwidth[k.Threads])
		}
	}
	for _, want := range []string{"GELU generic", "Softmax generic", "LayerNorm generic", "AdamW generic"} {
		if !kernels[want] {
			t.Errorf("found no kernel %s", want)
		}
	}
}

// TestBenchComputePrints has a row for each kernel in words, with its columns in line.
func TestBenchComputePrints(t *testing.T) {
	t.Parallel()
	half := 0.5
	r := computeReport{
		Platform: "linux/amd64", Go: "go1", Threads: []int{1, 2},
		Peaks:     []peakRate{{"VFMA", 1, 100}, {"VFMA", 2, 200}},
		Bandwidth: []bandwidthRate{{"read", 16 << 20, 1, 10}, {"read", 16 << 20, 2, 20}},
		Products: []productRate{
			{compute.AVX2, "f32", "NN", 2, 3, 4, 1, 50, 51, &half}, {compute.AVX2, "f32", "NN", 2, 3, 4, 2, 100, 101, &half},
			{compute.Generic, "f32", "NN", 2, 3, 4, 1, 5, 6, nil}, {compute.Generic, "f32", "NN", 2, 3, 4, 2, 7, 8, nil},
		},
		Layers:  []layerRate{{compute.AVX2, "f32", "attention", 1, 50, 51, &half}, {compute.AVX2, "f32", "attention", 2, 100, 101, &half}},
		Kernels: []kernelRate{{compute.AVX2, "GELU", 1, 5, 6, 0.5}, {compute.AVX2, "GELU", 2, 10, 11, 0.25}},
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	var have []string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); len(fields) > 0 {
			have = append(have, strings.Join(fields, " "))
		}
	}
	want := []string{
		"linux/amd64, go1",
		"Peak of the instructions, GFLOP/s", "instruction 1 thread 2 threads", "VFMA 100 200",
		"Memory, GB/s", "stream MiB 1 thread 2 threads", "read 16 10.0 20.0",
		"Matrix products, GFLOP/s (share of the peak)", "m x k x n kernels precision form 1 thread 2 threads",
		"2x3x4 avx2 f32 NN 50 (50 %) 100 (50 %)", "2x3x4 generic f32 NN 5.0 7.0",
		"Layers, GFLOP/s (share of the peak)", "layer kernels precision 1 thread 2 threads",
		"attention avx2 f32 50 (50 %) 100 (50 %)",
		"Elementwise kernels over 16 MiB, GB/s (share of the bandwidth)", "kernel kernels 1 thread 2 threads",
		"GELU avx2 5.0 (50 %) 10.0 (25 %)",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestBenchComputeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, value, message string }{
		{"--shape", "512", "want MxKxN"},
		{"--shape", "1x2x3x4", "want MxKxN"},
		{"--shape", "0x2x3", `"0" is not a number`},
		{"--shape", "1x-2x3", `"-2" is not a number`},
		{"--shape", "ax2x3", `"a" is not a number`},
		{"--shape", "9999999999999999999x2x3", "is not a number"},
		{"--shape", "65536x65536x1", "does not fit"},
		{"--threads", "0", "want 1 to"},
		{"--threads", "100000", "want 1 to"},
		{"--repetition", "0s", "want a time"},
		{"--repetition", "2h", "want a time"},
	} {
		p := vla(t, "", "bench", "compute", c.flag, c.value)
		<-p.ended
		if p.command.ProcessState.ExitCode() == 0 || !strings.Contains(p.stderr.String(), c.message) {
			t.Errorf("%s %s: exit code %d and %q, want it to say %q", c.flag, c.value, p.command.ProcessState.ExitCode(), &p.stderr, c.message)
		}
	}
}

// TestStopwatch counts calls: enough of them, and no more than a slow function needs.
func TestStopwatch(t *testing.T) {
	t.Parallel()
	calls := 0
	w := stopwatch{repetition: 10 * time.Millisecond, repetitions: 3}
	fast, err := w.time(t.Context(), "counting", func() { calls++ })
	if err != nil || calls < 4 || !(fast.best > 0 && fast.best <= fast.median && fast.median < 1) {
		t.Errorf("%d calls, %+v, %v", calls, fast, err)
	}
	// What takes as long as many repetitions is called once.
	calls = 0
	w.repetition = 100 * time.Microsecond
	slow, err := w.time(t.Context(), "waiting", func() {
		calls++
		for begin := time.Now(); time.Since(begin) < 2*time.Millisecond; {
			continue
		}
	})
	if err != nil || calls != 1 || slow.median != slow.best || slow.best < 2e-3 {
		t.Errorf("%d calls, %+v, %v", calls, slow, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.time(ctx, "nothing", func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v, want it to stop", err)
	}
}

func FuzzParseShape(f *testing.F) {
	for _, text := range []string{"512x512x512", "1x1x1", "0x0x0", "65536x4096x1", "x", "1x2", "+1x2x3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseShape(text)
		if err != nil {
			return
		}
		if s.M < 1 || s.K < 1 || s.N < 1 || max(s.M*s.K, s.K*s.N, s.M*s.N) > 1<<28 {
			t.Errorf("%q became %+v", text, s)
		}
		if again, err := parseShape(s.String()); err != nil || again != s {
			t.Errorf("%v became %v, %v", s, again, err)
		}
	})
}
