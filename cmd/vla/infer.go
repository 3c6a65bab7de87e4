package main

import (
	"fmt"
	"image"
	_ "image/jpeg" // cameras' usual formats
	_ "image/png"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/policy"
	"govla/policy/smolvla"
)

func inferCommand() *cobra.Command {
	var (
		flags           modelFlags
		folder          string
		images          []string
		state           string
		instruction     string
		tokenizer       string
		seed            uint64
		allowNormalised bool
		asJSON          bool
	)
	cmd := &cobra.Command{
		Use:   "infer",
		Short: "Compute one chunk of actions from pictures, a state and an instruction",
		Long: `Compute one chunk of actions with a SmolVLA checkpoint from PNG or JPEG files, one for each
camera, a state and an instruction. A camera without a file is left out.

Actions come in the units of the checkpoint's statistics, and the state must be in them. The
tokenizer is the tokenizer.json of the checkpoint's folder unless --tokenizer names another.`,
		Example: `  vla infer --policy smolvla_base --tokenizer smolvlm --image camera1=top.jpg --image camera2=wrist.png --state 0,1.2,-0.4,0,0.3,0.9 --instruction stack
  vla infer --policy my_smolvla --image top=top.png --state 0,0,0,0,0,0 --instruction wipe --precision bf16 --seed 7 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.apply(); err != nil {
				return err
			}
			observation := actions.Observation{Instruction: instruction}
			var err error
			if observation.State, err = parseNumbers(state); err != nil {
				return fmt.Errorf("--state: %w", err)
			}
			if observation.Images, err = readImages(images); err != nil {
				return fmt.Errorf("--image %w", err)
			}
			dir, err := policy.Open(folder)
			if err != nil {
				return err
			}
			p, err := smolvla.Load(dir, folder, smolvla.Options{
				Precision: smolvla.Precision(flags.precision), Steps: flags.steps,
				Tokenizer: tokenizer, AllowNormalised: allowNormalised,
			})
			if err != nil {
				return err
			}
			defer p.Close()
			spec := p.Spec()
			for name := range observation.Images {
				if !slices.Contains(spec.Cameras, name) {
					return fmt.Errorf("--image %s: the policy's cameras are %s", name, strings.Join(spec.Cameras, ", "))
				}
			}
			chunk, timing, err := p.PredictTimed(cmd.Context(), actions.Input{Window: []actions.Observation{observation}, Seed: seed})
			if err != nil {
				return err
			}
			if err := chunk.Validate(len(spec.Action)); err != nil {
				return err
			}
			rows := make([][]float32, chunk.Horizon())
			for i := range rows {
				rows[i] = chunk.At(i)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), inference{
					Actions: rows, Seed: seed, ModelCalls: chunk.ModelCalls,
					VisionMs: milliseconds(timing.Vision), PrefixMs: milliseconds(timing.Prefix),
					DenoiseMs: milliseconds(timing.Denoise), TotalMs: milliseconds(timing.Total()),
				})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
			for i, row := range rows {
				fmt.Fprintf(w, "%d\t", i)
				for _, v := range row {
					fmt.Fprintf(w, "%.5g\t", v)
				}
				fmt.Fprintln(w)
			}
			return w.Flush()
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&folder, "policy", "", "folder of the checkpoint")
	cmd.Flags().StringArrayVar(&images, "image", nil, "picture from a camera, as NAME=FILE; once for each camera")
	cmd.Flags().StringVar(&state, "state", "", "numbers with commas between them")
	cmd.Flags().StringVar(&instruction, "instruction", "", "what to do, in words")
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "", "folder with a tokenizer.json (default: the checkpoint's)")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the noise that the chunk is made from")
	cmd.Flags().BoolVar(&allowNormalised, "allow-normalised", false, "accept a checkpoint without statistics; state and actions are normalised then")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	for _, name := range []string{"policy", "image", "state", "instruction"} {
		_ = cmd.MarkFlagRequired(name) // fails only for a flag that does not exist
	}
	return cmd
}

// inference is what vla infer prints as JSON.
type inference struct {
	Actions    [][]float32 `json:"actions"` // [chunk][action dim]
	Seed       uint64      `json:"seed"`
	ModelCalls int         `json:"model_calls"`
	VisionMs   float64     `json:"vision_ms"`
	PrefixMs   float64     `json:"prefix_ms"`
	DenoiseMs  float64     `json:"denoise_ms"`
	TotalMs    float64     `json:"total_ms"`
}

// parseNumbers reads numbers with commas between them.
func parseNumbers(text string) ([]float32, error) {
	var numbers []float32
	for i, field := range strings.Split(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(field), 32)
		if err != nil || v-v != 0 {
			return nil, fmt.Errorf("number %d is %q, want a finite number", i, field)
		}
		numbers = append(numbers, float32(v))
	}
	return numbers, nil
}

// readImages reads pictures given as NAME=FILE.
func readImages(arguments []string) (map[string]image.Image, error) {
	images := map[string]image.Image{}
	for _, argument := range arguments {
		name, file, ok := strings.Cut(argument, "=")
		if !ok || name == "" || file == "" {
			return nil, fmt.Errorf("%s: want NAME=FILE", argument)
		}
		if images[name] != nil {
			return nil, fmt.Errorf("%s: there is another picture from %s", argument, name)
		}
		img, err := readImage(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", argument, err)
		}
		images[name] = img
	}
	return images, nil
}

// maxPixels is how many pixels a picture may have, since its header can claim any number.
const maxPixels = 1 << 26

func readImage(path string) (image.Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("%s: %dx%d pixels, want 1 to %d", path, config.Width, config.Height, maxPixels)
	}
	if _, err := file.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}
