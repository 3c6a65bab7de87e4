// Command bench times govla's kernels beside those of OpenBLAS, gonum and PyTorch, in one
// run: matrix products, and a training step of a transformer block.
//
// It is a module of its own, so that the product depends on none of them. The contenders
// take turns, so that whatever else the machine does hits all alike, and before each turn
// there is a pause in which the others' waiting threads go to sleep. A figure is the median
// of the repetitions of a contender's best layout.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is what the flags say.
type options struct {
	python      string
	json        string
	only        string
	threads     []int
	repetitions int
	repetition  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := options{threads: []int{1, 2}}
	flag.StringVar(&o.python, "python", "python3", "Python interpreter that has torch")
	flag.StringVar(&o.json, "json", "", "file to write all figures to, as one JSON object")
	flag.StringVar(&o.only, "only", "", "products or block instead of both")
	flag.Func("threads", "numbers of threads to time products with, the last also for the block (default 1,2)", func(list string) error {
		var err error
		o.threads, err = parseThreads(list)
		return err
	})
	flag.IntVar(&o.repetitions, "repetitions", 7, "turns of each contender")
	flag.DurationVar(&o.repetition, "repetition", 50*time.Millisecond, "what a turn takes at least")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		slog.Error("bench", "err", err)
		os.Exit(1)
	}
}

func parseThreads(list string) ([]int, error) {
	var threads []int
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1024 {
			return nil, fmt.Errorf("%q is not a number of threads", text)
		}
		threads = append(threads, n)
	}
	return threads, nil
}

// report is everything that was timed.
type report struct {
	Torch    string          `json:"torch"`
	Kernels  string          `json:"kernels"`
	Products []productFigure `json:"products"`
	Blocks   []blockFigure   `json:"blocks"`
}

func run(ctx context.Context, o options) error {
	if o.only != "" && o.only != "products" && o.only != "block" {
		return fmt.Errorf("-only %s: want products or block", o.only)
	}
	if o.repetitions < 1 {
		return errors.New("-repetitions: want at least one")
	}
	// A process a number of threads: OpenBLAS under PyTorch reads its own from the
	// environment when it starts.
	peers := map[int]*peer{}
	defer func() {
		for _, p := range peers {
			p.close()
		}
	}()
	var r report
	for _, n := range o.threads {
		p, err := startPeer(ctx, o.python, n)
		if err != nil {
			return fmt.Errorf("start PyTorch with %d threads: %w", n, err)
		}
		peers[n], r.Torch = p, p.version
	}
	var err error
	if o.only != "block" {
		if r.Products, err = timeProducts(ctx, o, peers); err != nil {
			return err
		}
		printProducts(os.Stdout, r.Products)
	}
	if o.only != "products" {
		threads := slices.Max(o.threads)
		if r.Blocks, err = timeBlocks(ctx, o, threads, peers[threads]); err != nil {
			return err
		}
		printBlocks(os.Stdout, r.Blocks)
	}
	if o.json == "" {
		return nil
	}
	r.Kernels = kernels()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o644)
}

// contender is one way to do the same work.
type contender struct {
	name   string // column of the table
	layout string // of the operands; the best one counts
	time   func(atLeast time.Duration) (secondsPerCall float64, err error)
}

// result is what a call took a contender: the median of its turns, and the best.
type result struct {
	name, layout  string
	seconds, best float64
}

// settle is how long the threads of OpenBLAS and OpenMP may go on waiting for work before
// they sleep.
const settle = 60 * time.Millisecond

// compete lets the contenders take turns and returns each one's best layout, in the order
// in which they stand. The first turn only warms up.
func compete(ctx context.Context, o options, what string, contenders []contender) ([]result, error) {
	fmt.Fprintf(os.Stderr, "%s\n", what)
	seconds := make([][]float64, len(contenders))
	for turn := range o.repetitions + 1 {
		for i, c := range contenders {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(settle):
			}
			s, err := c.time(o.repetition)
			if err != nil {
				return nil, fmt.Errorf("%s: %s (%s): %w", what, c.name, c.layout, err)
			}
			if turn > 0 {
				seconds[i] = append(seconds[i], s)
			}
		}
	}
	var results []result
	for i, c := range contenders {
		slices.Sort(seconds[i])
		r := result{c.name, c.layout, seconds[i][len(seconds[i])/2], seconds[i][0]}
		if n := len(results); n > 0 && results[n-1].name == r.name {
			if r.seconds < results[n-1].seconds {
				results[n-1] = r
			}
			continue
		}
		results = append(results, r)
	}
	return results, nil
}

// timed turns a function into a contender's clock.
func timed(f func() error) func(time.Duration) (float64, error) {
	return func(atLeast time.Duration) (float64, error) {
		begin, calls := time.Now(), 0
		for calls == 0 || time.Since(begin) < atLeast {
			if err := f(); err != nil {
				return 0, err
			}
			calls++
		}
		return time.Since(begin).Seconds() / float64(calls), nil
	}
}
