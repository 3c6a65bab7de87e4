package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine computes",
	}
	cmd.AddCommand(benchComputeCommand(), benchPolicyCommand(), benchSimCommand())
	return cmd
}

// stopwatch times functions, one after the other.
type stopwatch struct {
	repetition  time.Duration // what one repetition takes at least
	repetitions int
	progress    io.Writer // a terminal; nil for none
}

// timing is what one call took in the repetitions of a measurement, in seconds.
type timing struct{ median, best float64 }

// time calls f until it is warm, and then in repetitions, each of as many calls as it
// takes. It is content with fewer repetitions where one call takes as long as several.
func (s *stopwatch) time(ctx context.Context, what string, f func()) (timing, error) {
	if s.progress != nil {
		fmt.Fprintf(s.progress, "\r\x1b[K%s", what)
	}
	start := time.Now()
	f()
	warmUp := time.Since(start)
	patience := 3 * time.Duration(s.repetitions) * s.repetition
	var perCall []float64
	if warmUp >= s.repetition { // so long a call has long been warm at its end
		perCall = append(perCall, warmUp.Seconds())
	}
	// Looking at the clock should cost nothing beside the calls.
	const between = time.Millisecond
	batch := 1 + int(between/max(warmUp, 1))
	for len(perCall) == 0 || len(perCall) < s.repetitions && time.Since(start) < patience {
		if err := ctx.Err(); err != nil {
			return timing{}, fmt.Errorf("measure %s: %w", what, err)
		}
		begin, calls := time.Now(), 0
		for calls == 0 || time.Since(begin) < s.repetition {
			for range batch {
				f()
			}
			calls += batch
		}
		perCall = append(perCall, time.Since(begin).Seconds()/float64(calls))
	}
	slices.Sort(perCall)
	return timing{median: perCall[len(perCall)/2], best: perCall[0]}, nil
}

// done wipes the progress off the terminal.
func (s *stopwatch) done() {
	if s.progress != nil {
		fmt.Fprint(s.progress, "\r\x1b[K")
	}
}
