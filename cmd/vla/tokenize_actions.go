package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"govla/tokenizer"
)

func tokenizeActionsCommand() *cobra.Command {
	var (
		dir          string
		horizon, dim int
	)
	command := &cobra.Command{
		Use:   "actions",
		Short: "Turn lines of JSON action chunks on stdin into lines of tokens",
		Long: `Actions reads chunks of normalised actions from stdin, one a line: a JSON array of actions,
each an array of numbers. For each it prints its tokens and the chunk that these stand
for, {"tokens":[...],"reconstruction":[[...],...]}, on a line of its own, as soon as there
is no more to read for now.

The tokenizer is a folder: FAST as physical-intelligence/fast is published, or what "vla
train tokenizer" writes, FAST or VQ, or uniform bins, {"type":"bins","bins":256} in a
config.json.`,
		Example: `  vla tokenize actions --tokenizer models/fast --horizon 2 --dim 3  # [[0,0.5,1],[0,0.4,1]] gives {"tokens":[...],...}
  vla tokenize actions --tokenizer my-fast                          # which names its shape`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, value := range map[string]int{"horizon": horizon, "dim": dim} {
				if cmd.Flags().Changed(name) && value < 1 {
					return fmt.Errorf("--%s %d: want at least 1", name, value)
				}
			}
			actions, err := tokenizer.LoadActions(os.DirFS(dir), horizon, dim)
			if err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
			// There is nothing to tidy up, and Ctrl-C could not end waiting for stdin otherwise.
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			return tokenizeLines(cmd.OutOrStdout(), cmd.InOrStdin(), actionTokens(actions))
		},
	}
	f := command.Flags()
	f.StringVar(&dir, "tokenizer", "", "folder with an action tokenizer")
	f.IntVar(&horizon, "horizon", 0, "actions in a chunk (default: what the folder says)")
	f.IntVar(&dim, "dim", 0, "numbers in an action (default: what the folder says)")
	_ = command.MarkFlagRequired("tokenizer") // fails only for a flag that does not exist
	return command
}

// actionTokens returns what tokenizes lines that are chunks of actions.
func actionTokens(actions tokenizer.Actions) func(answer, line []byte) ([]byte, error) {
	horizon, dim := actions.Shape()
	var (
		tokens         []int32
		chunk          []float32
		reconstruction = make([]float32, horizon*dim)
	)
	return func(answer, line []byte) (_ []byte, err error) {
		if chunk, err = readChunk(chunk[:0], line, horizon, dim); err != nil {
			return nil, err
		}
		if tokens, err = actions.AppendEncode(tokens[:0], chunk); err != nil {
			return nil, err
		}
		if err := actions.Decode(reconstruction, tokens); err != nil {
			return nil, err
		}
		answer = append(answer, `{"tokens":`...)
		answer = appendIDs(answer, tokens)
		answer = append(answer, `,"reconstruction":[`...)
		for i, v := range reconstruction {
			switch {
			case i == 0:
				answer = append(answer, '[')
			case i%dim == 0:
				answer = append(answer, `],[`...)
			default:
				answer = append(answer, ',')
			}
			answer = strconv.AppendFloat(answer, float64(v), 'g', -1, 32)
		}
		return append(answer, `]]}`...), nil
	}
}

// readChunk appends the numbers of a JSON array of actions to dst, which must be of shape
// [horizon][dim].
func readChunk(dst []float32, line []byte, horizon, dim int) ([]float32, error) {
	var rows [][]*float64 // null would be 0 otherwise
	if err := json.Unmarshal(line, &rows); err != nil {
		return dst, err
	}
	if rows == nil {
		return dst, errors.New("have null, want a JSON array of actions")
	}
	if len(rows) != horizon {
		return dst, fmt.Errorf("have %d actions, want %d", len(rows), horizon)
	}
	for i, row := range rows {
		if len(row) != dim {
			return dst, fmt.Errorf("action %d: have %d numbers, want %d", i, len(row), dim)
		}
		for j, v := range row {
			switch {
			case v == nil:
				return dst, fmt.Errorf("action %d: number %d: have null, want a number", i, j)
			case math.Abs(*v) > math.MaxFloat32:
				return dst, fmt.Errorf("action %d: number %d: %v is too large", i, j, *v)
			}
			dst = append(dst, float32(*v))
		}
	}
	return dst, nil
}
