package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"govla/actions/recording"
)

// dataEditCommands change recordings. A verb that is stopped or killed leaves the old
// recording or the new one, never a part.
func dataEditCommands() []*cobra.Command {
	return []*cobra.Command{dataMergeCommand(), dataSplitCommand(), dataAppendCommand(), dataDeleteCommand()}
}

func dataMergeCommand() *cobra.Command {
	var out string
	command := &cobra.Command{
		Use:   "merge DIR... --out NEW",
		Short: "Make one recording of several, or v3.0 of v2.1",
		Long: `Merge writes a new LeRobotDataset v3.0 with the episodes of the given recordings,
one recording behind the other. They must have the same features, rate and robot.
Videos are copied or joined as they are, not encoded again.

With one recording it converts v2.1 to v3.0 and packs small files into larger ones.`,
		Example: `  vla data merge recordings/monday recordings/tuesday --out recordings/week
  vla data merge recordings/cr5-v2.1 --out recordings/cr5`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := recording.Merge(cmd.Context(), out, args, episodeProgress(cmd.ErrOrStderr())); err != nil {
				return err
			}
			return sayWhatIsThere(cmd, out)
		},
	}
	command.Flags().StringVar(&out, "out", "", "folder of the new recording; must not exist or be empty")
	_ = command.MarkFlagRequired("out") // the flag is there
	return command
}

func dataSplitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "split DIR NEW=EPISODES...",
		Short: "Make several recordings of one",
		Long: `Split writes new recordings with parts of the episodes of DIR, which stays as it is.
EPISODES are numbers and ranges, 3 or 0:160 (without 160) or 0:10,15; or shares like
80% and 20%, which are taken one behind the other and may add up to at most 100%.

Where a part of a video does not begin with a key frame, it is encoded again.`,
		Example: `  vla data split recordings/pusht train=80% test=20%
  vla data split recordings/pusht recordings/good=0:10,12,15:20`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dataset, err := recording.Open(args[0])
			if err != nil {
				return err
			}
			parts, err := parseParts(args[1:], len(dataset.Episodes))
			if err != nil {
				return err
			}
			if err := recording.Split(cmd.Context(), args[0], parts, episodeProgress(cmd.ErrOrStderr())); err != nil {
				return err
			}
			for _, part := range parts {
				if err := sayWhatIsThere(cmd, part.Dir); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func dataAppendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "append DIR OTHER...",
		Short: "Add the episodes of other recordings to one",
		Long: `Append adds the episodes of the other recordings behind those of DIR. They must have
the same features, rate and robot. DIR becomes v3.0 if it is not; the others stay as
they are.`,
		Example: `  vla data append recordings/week recordings/wednesday`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := recording.Extend(cmd.Context(), args[0], args[1:], episodeProgress(cmd.ErrOrStderr())); err != nil {
				return err
			}
			return sayWhatIsThere(cmd, args[0])
		},
	}
}

func dataDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete-episode DIR EPISODES",
		Short: "Remove episodes from a recording",
		Long: `Delete-episode removes episodes, with their images, and counts those behind them anew.
EPISODES are numbers and ranges: 3 or 4:7 (without 7) or 0,2,10:20.`,
		Example: `  vla data delete-episode recordings/week 17
  vla data delete-episode recordings/week 3,8:12`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dataset, err := recording.Open(args[0])
			if err != nil {
				return err
			}
			episodes, err := parseEpisodes(args[1], len(dataset.Episodes))
			if err != nil {
				return err
			}
			if err := recording.DeleteEpisodes(cmd.Context(), args[0], episodes, episodeProgress(cmd.ErrOrStderr())); err != nil {
				return err
			}
			return sayWhatIsThere(cmd, args[0])
		},
	}
}

// sayWhatIsThere prints how large a recording has become.
func sayWhatIsThere(cmd *cobra.Command, dir string) error {
	dataset, err := recording.Open(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d episodes, %d frames\n", dir, dataset.Info.TotalEpisodes, dataset.Info.TotalFrames)
	return err
}

// parseParts reads arguments like train=80% and test=0:10,12 for a recording of count
// episodes.
func parseParts(arguments []string, count int) ([]recording.Part, error) {
	var parts []recording.Part
	share := 0.0 // given away so far
	for _, argument := range arguments {
		at := strings.LastIndex(argument, "=")
		if at < 1 {
			return nil, fmt.Errorf("have %q, want NEW=EPISODES, like train=80%% or test=0:10", argument)
		}
		part := recording.Part{Dir: argument[:at]}
		if percent, isShare := strings.CutSuffix(argument[at+1:], "%"); isShare {
			p, err := strconv.ParseFloat(percent, 64)
			if err != nil || !(p > 0) || share+p > 100+1e-9 {
				return nil, fmt.Errorf("have %q, want a share above 0%%, all shares together at most 100%%", argument)
			}
			for i := boundary(share, count); i < boundary(share+p, count); i++ {
				part.Episodes = append(part.Episodes, i)
			}
			share += p
		} else {
			var err error
			if part.Episodes, err = parseEpisodes(argument[at+1:], count); err != nil {
				return nil, err
			}
		}
		if len(part.Episodes) == 0 {
			return nil, fmt.Errorf("%q is none of %d episodes", argument, count)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// boundary returns the episode before which a share of them ends, in percent.
func boundary(share float64, count int) int { return int(share/100*float64(count) + 0.5) }

// parseEpisodes reads positions and ranges, like 3 or 4:7 or 0,2,10:20, of count episodes.
func parseEpisodes(text string, count int) ([]int, error) {
	var episodes []int
	for field := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(field, ":")
		first, err := strconv.Atoi(low)
		end := first + 1
		if isRange && err == nil {
			end, err = strconv.Atoi(high)
		}
		if err != nil || first < 0 || end <= first || end > count {
			return nil, fmt.Errorf("have episodes %q, want numbers from 0 to %d and ranges like 4:7", field, count-1)
		}
		for i := first; i < end; i++ {
			episodes = append(episodes, i)
		}
	}
	return episodes, nil
}
