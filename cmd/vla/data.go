package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"govla/actions/recording"
)

func dataCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "data",
		Short: "Look into recordings and edit them: LeRobotDataset v2.1 and v3.0",
		Args:  cobra.NoArgs, // without it cobra takes an unknown verb for a call for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(append(dataEditCommands(), dataInfoCommand(), dataVerifyCommand())...)
	return command
}

func dataInfoCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "info DIR",
		Short: "Show what a recording promises: episodes, tasks, features",
		Long: `Info shows what a recording's metadata promise: robot, episodes, tasks, and the
features with their statistics. It reads no rows and no images; verify does.`,
		Example: `  vla data info recordings/pusht
  vla data info recordings/pusht --json | jq .features.action`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dataset, err := recording.Open(args[0])
			if err != nil {
				return err
			}
			summary := summarise(dataset)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), summary)
			}
			return summary.print(cmd.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

func dataVerifyCommand() *cobra.Command {
	var asJSON bool
	var options recording.VerifyOptions
	command := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read all of a recording and list what is wrong with it",
		Long: `Verify reads every row of a recording, and with --frames every image, and holds
them to the metadata: totals, lengths, order, timestamps, widths, statistics, codecs.

An error is a problem with which a reader fails or gets wrong numbers: with one, the
exit code is 1. A warning is a promise not kept while the data can still be used.`,
		Example: `  vla data verify recordings/pusht
  vla data verify recordings/pusht --frames
  vla data verify recordings/pusht --json | jq '.problems[] | select(.severity == "error")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options.Progress = episodeProgress(cmd.ErrOrStderr())
			report, err := recording.Verify(cmd.Context(), args[0], options)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report)
			}
			if err == nil && report.Failed() {
				err = fmt.Errorf("recording %s has errors", args[0])
			}
			return err
		},
	}
	command.Flags().BoolVar(&options.Frames, "frames", false, "decode every image too (videos need ffmpeg)")
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

// recordingSummary is what "data info" tells.
type recordingSummary struct {
	Dir      string                    `json:"dir"`
	Version  string                    `json:"codebase_version"`
	Robot    string                    `json:"robot_type"`
	FPS      float64                   `json:"fps"`
	Episodes int                       `json:"episodes"`
	Frames   int                       `json:"frames"`
	Seconds  float64                   `json:"seconds"`
	Shortest int                       `json:"shortest_episode"` // frames
	Longest  int                       `json:"longest_episode"`  // frames
	Tasks    []string                  `json:"tasks"`
	Features map[string]featureSummary `json:"features"`
}

type featureSummary struct {
	DType string    `json:"dtype"`
	Shape []int     `json:"shape"`
	Names []string  `json:"names,omitempty"`
	Codec string    `json:"codec,omitempty"`
	Min   []float64 `json:"min,omitempty"`
	Max   []float64 `json:"max,omitempty"`
	Mean  []float64 `json:"mean,omitempty"`
	Std   []float64 `json:"std,omitempty"`
}

func summarise(d *recording.Dataset) recordingSummary {
	s := recordingSummary{
		Dir: d.Dir, Version: d.Info.Version, Robot: d.Info.Robot, FPS: d.Info.FPS,
		Episodes: len(d.Episodes), Tasks: []string{}, Features: make(map[string]featureSummary),
	}
	for i, e := range d.Episodes {
		s.Frames += e.Length
		s.Longest = max(s.Longest, e.Length)
		if i == 0 || e.Length < s.Shortest {
			s.Shortest = e.Length
		}
	}
	s.Seconds = float64(s.Frames) / s.FPS
	for _, index := range slices.Sorted(maps.Keys(d.Tasks)) {
		s.Tasks = append(s.Tasks, d.Tasks[index])
	}
	for name, f := range d.Info.Features {
		stats := d.Stats[name]
		s.Features[name] = featureSummary{f.DType, f.Shape, f.Names, f.Codec, stats.Min, stats.Max, stats.Mean, stats.Std}
	}
	return s
}

func (s recordingSummary) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "recording\t%s (LeRobotDataset %s)\n", s.Dir, s.Version)
	fmt.Fprintf(table, "robot\t%s\n", s.Robot)
	fmt.Fprintf(table, "episodes\t%d, of %d to %d frames\n", s.Episodes, s.Shortest, s.Longest)
	fmt.Fprintf(table, "frames\t%d, %v at %v a second\n", s.Frames, time.Duration(s.Seconds*float64(time.Second)).Round(time.Second), s.FPS)
	for i, task := range s.Tasks {
		fmt.Fprintf(table, "task %d\t%s\n", i, task)
	}
	fmt.Fprintf(table, "\nFEATURE\tTYPE\tSHAPE\tMIN\tMAX\tNAMES\n")
	for _, name := range slices.Sorted(maps.Keys(s.Features)) {
		f := s.Features[name]
		dtype := f.DType
		if f.Codec != "" {
			dtype += " (" + f.Codec + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, dtype, shapeText(f.Shape), numbersText(f.Min), numbersText(f.Max), strings.Join(f.Names, " "))
	}
	return table.Flush()
}

func printReport(w io.Writer, r *recording.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "FEATURE\tTYPE\tSHAPE\tMIN\tMAX\n")
	for _, name := range slices.Sorted(maps.Keys(r.Features)) {
		f := r.Features[name]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, f.DType, shapeText(f.Shape), numbersText(f.Min), numbersText(f.Max))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d episodes, %d frames read, %d images decoded\n", r.Episodes, r.Frames, r.Images)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s: %v", p.Severity, p.Error())
		if p.Rows > 1 {
			fmt.Fprintf(w, " (%d rows)", p.Rows)
		}
		fmt.Fprintln(w)
	}
	if len(r.Problems) == 0 {
		fmt.Fprintln(w, "no problems")
	}
	return nil
}

func shapeText(shape []int) string {
	lengths := make([]string, len(shape))
	for i, n := range shape {
		lengths[i] = strconv.Itoa(n)
	}
	return strings.Join(lengths, "x")
}

// numbersText shows the first numbers of a vector.
func numbersText(values []float64) string {
	const shown = 4
	var words []string
	for _, v := range values[:min(len(values), shown)] {
		words = append(words, strconv.FormatFloat(v, 'g', 6, 64))
	}
	if len(values) > shown {
		words = append(words, "...")
	}
	return strings.Join(words, " ")
}

// episodeProgress returns a function that shows progress on w where w is a terminal, and
// nil where it is not.
func episodeProgress(w io.Writer) func(episode, total int) {
	if !isTerminal(w) {
		return nil
	}
	var last time.Time
	return func(episode, total int) {
		if time.Since(last) < time.Second/5 && episode+1 < total {
			return
		}
		last = time.Now()
		end := "\r"
		if episode+1 >= total {
			end = "\n"
		}
		fmt.Fprintf(w, "episode %d of %d%s", episode+1, total, end)
	}
}

// writeJSON prints value as one indented JSON object.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
