package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"govla/internal/compute"
)

func benchComputeCommand() *cobra.Command {
	var (
		shapes  []string
		threads []int
		watch   = stopwatch{repetitions: 3}
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "compute",
		Short: "Measure the kernels against what the machine could do",
		Long: `Measure matrix products, attention, a convolution and elementwise kernels on every family
of kernels that this machine has, and in the same run what bounds them: the peak of the
multiply-add instruction that a family uses, and the memory bandwidth at the size that the
elementwise kernels work on.

Every figure is the median of three repetitions (fewer where a call takes a good part of a
second), shown with its share of its bound; --json gives the best repetition, too. The
bounds are the best of many short repetitions over the whole run. float32 is measured
without AMX, which has kernels of its own for bf16 alone.

A product of [m][k] by [k][n] counts as 2·m·k·n operations. "packed" has the weights laid
out beforehand; NN, TN and NT pack both factors in each call, T marking the one that is
stored transposed. What is multiplied and what comes out is float32 also where the product
is in bf16, but bf16 in "packed-bf16". Families other than AMX widen bf16 weights.`,
		Example: `  vla bench compute
  vla bench compute --shape 50x720x2048 --threads 1
  vla bench compute --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := computeBench{watch: &watch, threads: threads}
			for _, text := range shapes {
				s, err := parseShape(text)
				if err != nil {
					return fmt.Errorf("--shape %s: %w", text, err)
				}
				b.shapes = append(b.shapes, s)
			}
			for _, n := range threads {
				if n < 1 || n > maxThreads {
					return fmt.Errorf("--threads %d: want 1 to %d", n, maxThreads)
				}
			}
			if len(threads) == 0 {
				b.threads = slices.Compact([]int{1, compute.Threads()})
			}
			if watch.repetition <= 0 || watch.repetition > time.Minute {
				return errors.New("--repetition: want a time up to a minute")
			}
			if isTerminal(cmd.ErrOrStderr()) {
				watch.progress = cmd.ErrOrStderr()
			}
			r, err := b.run(cmd.Context())
			watch.done()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&shapes, "shape", []string{"1024x768x3072", "1024x768x768", "512x512x512", "64x512x512", "50x720x2048"},
		"products to measure, as MxKxN: [m][k] by [k][n]")
	flags.IntSliceVar(&threads, "threads", nil, "numbers of threads to measure with (default: 1 and all)")
	flags.DurationVar(&watch.repetition, "repetition", 40*time.Millisecond, "what a repetition takes at least")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	return cmd
}

const maxThreads = 1024

// shape is that of a product of [M][K] by [K][N].
type shape struct{ M, K, N int }

func (s shape) String() string { return fmt.Sprintf("%dx%dx%d", s.M, s.K, s.N) }

func (s shape) flop() float64 { return 2 * float64(s.M) * float64(s.K) * float64(s.N) }

func parseShape(text string) (shape, error) {
	const most = 1 << 16 // elements a side
	parts := strings.Split(text, "x")
	if len(parts) != 3 {
		return shape{}, errors.New("want MxKxN, such as 512x512x512")
	}
	var side [3]int
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > most {
			return shape{}, fmt.Errorf("%q is not a number from 1 to %d", part, most)
		}
		side[i] = n
	}
	s := shape{side[0], side[1], side[2]}
	if most := 1 << 28; s.M*s.K > most || s.K*s.N > most || s.M*s.N > most {
		return shape{}, fmt.Errorf("a matrix of more than %d elements does not fit", most)
	}
	return s, nil
}

// computeReport is what bench compute measures. Rates are medians; Best is that of the
// best repetition.
type computeReport struct {
	Processor string          `json:"processor,omitempty"`
	Go        string          `json:"go"`
	Platform  string          `json:"platform"`
	Threads   []int           `json:"threads"`
	Peaks     []peakRate      `json:"peaks"`
	Bandwidth []bandwidthRate `json:"bandwidth"`
	Products  []productRate   `json:"products"`
	Layers    []layerRate     `json:"layers"`
	Kernels   []kernelRate    `json:"kernels"`
	Seconds   float64         `json:"seconds"`   // that measuring took
	Disturbed bool            `json:"disturbed"` // a product seems to beat its peak, so something else took the machine away
}

// peakRate is the best throughput of a multiply-add instruction.
type peakRate struct {
	Instruction compute.Instruction `json:"instruction"`
	Threads     int                 `json:"threads"`
	GFLOPS      float64             `json:"gflops"`
}

// bandwidthRate is the best that memory traffic reaches over so many bytes.
type bandwidthRate struct {
	Stream  string  `json:"stream"`
	Bytes   int     `json:"bytes"`
	Threads int     `json:"threads"`
	GBS     float64 `json:"gb_per_second"`
}

// productRate is what a matrix product reaches.
type productRate struct {
	Path      compute.Path `json:"path"`
	Precision string       `json:"precision"`
	Form      string       `json:"form"`
	M         int          `json:"m"`
	K         int          `json:"k"`
	N         int          `json:"n"`
	Threads   int          `json:"threads"`
	GFLOPS    float64      `json:"gflops"`
	Best      float64      `json:"gflops_best"`
	PeakShare *float64     `json:"peak_share"` // null for kernels without an instruction of their own
}

// layerRate is what attention or a convolution reaches.
type layerRate struct {
	Path      compute.Path `json:"path"`
	Precision string       `json:"precision"`
	Layer     string       `json:"layer"`
	Threads   int          `json:"threads"`
	GFLOPS    float64      `json:"gflops"`
	Best      float64      `json:"gflops_best"`
	PeakShare *float64     `json:"peak_share"`
}

// kernelRate is what an elementwise kernel reaches, counting each operand that it reads and
// each that it writes.
type kernelRate struct {
	Path           compute.Path `json:"path"`
	Kernel         string       `json:"kernel"`
	Threads        int          `json:"threads"`
	GBS            float64      `json:"gb_per_second"`
	Best           float64      `json:"gb_per_second_best"`
	BandwidthShare float64      `json:"bandwidth_share"`
}

type computeBench struct {
	watch   *stopwatch
	shapes  []shape
	threads []int
	report  computeReport
}

// run measures everything. It leaves the kernels and threads in use as they were.
func (b *computeBench) run(ctx context.Context) (*computeReport, error) {
	defer func(p compute.Path, threads, processors int) {
		compute.SetThreads(threads)
		runtime.GOMAXPROCS(processors)
		_ = compute.Use(p) // it was in use
	}(compute.Active(), compute.Threads(), runtime.GOMAXPROCS(0))
	begin := time.Now()
	b.report = computeReport{Processor: processor(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Threads: b.threads}
	for _, step := range []func(context.Context) error{b.products, b.layers, b.kernels, b.memory, b.shares} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	b.report.Seconds = time.Since(begin).Seconds()
	return &b.report, nil
}

// setThreads limits the kernels to n threads, and the portable ones, which start
// goroutines of their own, with them.
func setThreads(n int) {
	compute.SetThreads(n)
	runtime.GOMAXPROCS(n)
}

// bound returns the shortest time of a call of f. Of many short repetitions one will have
// had the machine to itself, whatever else runs.
func (b *computeBench) bound(ctx context.Context, what string, f func()) (seconds float64, err error) {
	const parts = 20
	short := *b.watch
	short.repetition, short.repetitions = b.watch.repetition/parts, parts
	t, err := short.time(ctx, what, f)
	return t.best, err
}

// peaks measures the instructions, or looks whether they have become faster since.
func (b *computeBench) peaks(ctx context.Context) error {
	n := 0
	for _, i := range compute.Instructions() {
		for _, threads := range b.threads {
			setThreads(threads)
			flop := 0.0
			seconds, err := b.bound(ctx, string(i), func() { flop = i.Repeat(20000) })
			if err != nil {
				return err
			}
			if n == len(b.report.Peaks) {
				b.report.Peaks = append(b.report.Peaks, peakRate{Instruction: i, Threads: threads})
			}
			b.report.Peaks[n].GFLOPS = max(b.report.Peaks[n].GFLOPS, flop/seconds/1e9)
			n++
		}
	}
	return nil
}

// elementwiseBytes is what the operands of a measured elementwise kernel take together: as
// much as the activations of a layer, more than a second-level cache.
const elementwiseBytes = 16 << 20

// memory measures the bandwidth where elementwise kernels are measured and beyond the
// caches.
func (b *computeBench) memory(ctx context.Context) error {
	if err := b.bandwidth(ctx, elementwiseBytes); err != nil {
		return err
	}
	return b.bandwidth(ctx, beyondCache())
}

// bandwidth measures memory traffic over so many bytes, or looks whether it has become
// faster since.
func (b *computeBench) bandwidth(ctx context.Context, size int) error {
	memory := make([]float32, size/4)
	for i := range memory {
		memory[i] = 1 // or all pages would be the same one of zeros
	}
	half, third := len(memory)/2, len(memory)/3
	for _, s := range []struct {
		name  string
		bytes int
		run   func()
	}{
		{"read", 4 * len(memory), func() { compute.StreamRead(memory) }},
		{"copy", 8 * half, func() { compute.StreamCopy(memory[:half], memory[half:2*half]) }},
		{"triad", 12 * third, func() {
			compute.StreamTriad(memory[:third], memory[third:2*third], memory[2*third:], 0.5)
		}},
		{"update", 12 * half, func() { // in place, so that no line is fetched only to be overwritten
			compute.StreamTriad(memory[:half], memory[:half], memory[half:], 0)
		}},
	} {
		for _, threads := range b.threads {
			setThreads(threads)
			seconds, err := b.bound(ctx, fmt.Sprintf("%s, %d MiB", s.name, size>>20), s.run)
			if err != nil {
				return err
			}
			r := bandwidthRate{s.name, size, threads, float64(s.bytes) / seconds / 1e9}
			i := slices.IndexFunc(b.report.Bandwidth, func(o bandwidthRate) bool {
				return o.Stream == r.Stream && o.Bytes == r.Bytes && o.Threads == r.Threads
			})
			if i < 0 {
				b.report.Bandwidth = append(b.report.Bandwidth, r)
				continue
			}
			b.report.Bandwidth[i].GBS = max(b.report.Bandwidth[i].GBS, r.GBS)
		}
	}
	return nil
}

// beyondCache returns a number of bytes of which the caches hold half at most, where the
// system says how large they are, but no more than a gibibyte.
func beyondCache() int {
	size := 256 << 20
	names, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*/size")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(text)), "K")); err == nil {
			size = max(size, min(2*kib<<10, 1<<30))
		}
	}
	return size
}

// processor returns the name of the first processor, where the system tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (b *computeBench) products(ctx context.Context) error {
	for _, s := range b.shapes {
		if err := b.peaks(ctx); err != nil {
			return err
		}
		f := newFactors(s)
		for _, path := range compute.Paths() {
			if err := compute.Use(path); err != nil {
				return err
			}
			for _, p := range f.products(path) {
				for _, threads := range b.threads {
					setThreads(threads)
					t, err := b.watch.time(ctx, fmt.Sprintf("%v %s %s, %s, %d threads", s, p.precision, p.form, path, threads), p.run)
					if err != nil {
						return err
					}
					r := productRate{Path: path, Precision: p.precision, Form: p.form, M: s.M, K: s.K, N: s.N, Threads: threads,
						GFLOPS: s.flop() / t.median / 1e9, Best: s.flop() / t.best / 1e9}
					b.report.Products = append(b.report.Products, r)
				}
			}
		}
	}
	return nil
}

func (b *computeBench) layers(ctx context.Context) error {
	for _, path := range compute.Paths() {
		if err := compute.Use(path); err != nil {
			return err
		}
		for _, l := range layers(path) {
			for _, threads := range b.threads {
				setThreads(threads)
				t, err := b.watch.time(ctx, fmt.Sprintf("%s, %s, %d threads", l.name, path, threads), l.run)
				if err != nil {
					return err
				}
				b.report.Layers = append(b.report.Layers, layerRate{Path: path, Precision: l.precision, Layer: l.name, Threads: threads,
					GFLOPS: l.flop / t.median / 1e9, Best: l.flop / t.best / 1e9})
			}
		}
	}
	return nil
}

// shares compares what was measured with its bounds.
func (b *computeBench) shares(ctx context.Context) error {
	if err := b.peaks(ctx); err != nil {
		return err
	}
	for i, r := range b.report.Products {
		b.report.Products[i].PeakShare = b.peakShare(r.Path, r.Precision, r.Threads, r.GFLOPS)
	}
	for i, r := range b.report.Layers {
		b.report.Layers[i].PeakShare = b.peakShare(r.Path, r.Precision, r.Threads, r.GFLOPS)
	}
	for i, r := range b.report.Kernels {
		b.report.Kernels[i].BandwidthShare = r.GBS / b.bestBandwidth(elementwiseBytes, r.Threads)
	}
	return nil
}

// peakShare compares a rate with that of the instruction that the kernels multiply by; nil
// for those that have none of their own.
func (b *computeBench) peakShare(path compute.Path, precision string, threads int, gflops float64) *float64 {
	var i compute.Instruction
	switch {
	case path == compute.AMX && precision == "bf16":
		i = compute.TileFMA
	case path == compute.AMX || path == compute.AVX512:
		i = compute.FMA512
	case path == compute.AVX2:
		i = compute.FMA256
	}
	const tolerance = 1.05
	for _, p := range b.report.Peaks {
		if p.Instruction == i && p.Threads == threads {
			share := gflops / p.GFLOPS
			b.report.Disturbed = b.report.Disturbed || share > tolerance
			return &share
		}
	}
	return nil
}

func (b *computeBench) kernels(ctx context.Context) error {
	if err := b.bandwidth(ctx, elementwiseBytes); err != nil {
		return err
	}
	for _, k := range elementwiseKernels() {
		run, bytes := k.on(elementwiseBytes)
		for _, path := range compute.Paths() {
			if path == compute.AMX && !k.amx {
				continue
			}
			if err := compute.Use(path); err != nil {
				return err
			}
			for _, threads := range b.threads {
				setThreads(threads)
				t, err := b.watch.time(ctx, fmt.Sprintf("%s, %s, %d threads", k.name, path, threads), run)
				if err != nil {
					return err
				}
				gigabytes := float64(bytes) / 1e9
				b.report.Kernels = append(b.report.Kernels, kernelRate{Path: path, Kernel: k.name, Threads: threads,
					GBS: gigabytes / t.median, Best: gigabytes / t.best})
			}
		}
	}
	return nil
}

// bestBandwidth returns what the fastest stream reached over so many bytes.
func (b *computeBench) bestBandwidth(bytes, threads int) float64 {
	best := 0.0
	for _, r := range b.report.Bandwidth {
		if r.Bytes == bytes && r.Threads == threads {
			best = max(best, r.GBS)
		}
	}
	return best
}

// print writes the report as tables with a column a number of threads.
func (r *computeReport) print(w io.Writer) error {
	fmt.Fprintln(w, strings.Join(slices.DeleteFunc([]string{r.Processor, r.Platform, r.Go}, func(s string) bool { return s == "" }), ", "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	header := func(title string, columns ...string) {
		for _, n := range r.Threads {
			columns = append(columns, strings.TrimSuffix(fmt.Sprintf("%d threads", n), map[bool]string{true: "s"}[n == 1]))
		}
		fmt.Fprintf(t, "\n%s\n%s\t\n", title, strings.Join(columns, "\t"))
	}
	// The rates of a row stand side by side, one for each number of threads.
	row := func(i int, rate string, columns ...string) {
		if i%len(r.Threads) == 0 {
			fmt.Fprint(t, strings.Join(columns, "\t"))
		}
		fmt.Fprint(t, "\t", rate)
		if (i+1)%len(r.Threads) == 0 {
			fmt.Fprint(t, "\t\n")
		}
	}
	rate := func(gflops float64, share *float64) string {
		if share == nil {
			return fmt.Sprintf("%.1f", gflops)
		}
		return fmt.Sprintf("%.0f (%2.0f %%)", gflops, 100**share)
	}
	header("Peak of the instructions, GFLOP/s", "instruction")
	for i, p := range r.Peaks {
		row(i, fmt.Sprintf("%.0f", p.GFLOPS), string(p.Instruction))
	}
	header("Memory, GB/s", "stream", "MiB")
	for i, b := range r.Bandwidth {
		row(i, fmt.Sprintf("%.1f", b.GBS), b.Stream, fmt.Sprint(b.Bytes>>20))
	}
	header("Matrix products, GFLOP/s (share of the peak)", "m x k x n", "kernels", "precision", "form")
	for i, p := range r.Products {
		row(i, rate(p.GFLOPS, p.PeakShare), shape{p.M, p.K, p.N}.String(), string(p.Path), p.Precision, p.Form)
	}
	header("Layers, GFLOP/s (share of the peak)", "layer", "kernels", "precision")
	for i, l := range r.Layers {
		row(i, rate(l.GFLOPS, l.PeakShare), l.Layer, string(l.Path), l.Precision)
	}
	header(fmt.Sprintf("Elementwise kernels over %d MiB, GB/s (share of the bandwidth)", elementwiseBytes>>20), "kernel", "kernels")
	for i, k := range r.Kernels {
		row(i, fmt.Sprintf("%.1f (%2.0f %%)", k.GBS, 100*k.BandwidthShare), k.Kernel, string(k.Path))
	}
	if err := t.Flush(); err != nil || !r.Disturbed {
		return err
	}
	_, err := fmt.Fprintln(w, "\nSome shares are too high to be true: something else was using the machine. Measure again.")
	return err
}
