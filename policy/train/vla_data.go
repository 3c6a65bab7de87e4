package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"govla/actions"
	"govla/actions/recording"
	"govla/internal/compute"
	"govla/policy/smolvla"
	"govla/tokenizer"
)

// demonstrations are a recording with cameras in memory.
type demonstrations struct {
	cameras []string       // features
	size    int            // side of the images
	pixels  []byte         // [rows][cameras][size][size][3]
	state   compute.Matrix // [rows, dim], normalised
	action  compute.Matrix // [rows, dim], as recorded
	anchor  compute.Matrix // [rows, dim]: what a chunk's actions count from; zeros where they are absolute
	norm    *actions.Normalizer

	surroundings compute.Matrix // [rows, numbers]: where things are, normalised; empty where the recording does not say it

	windows    *recording.Windows
	starts     []int // first row of each episode
	horizon    int
	tokens     [][]int32 // of each row's instruction
	training   []int     // rows to train on
	validation []int     // rows of the other episodes
	held       int       // their number
	tokenizer  []byte    // tokenizer.json
	vocabulary int
	longest    int // tokens of the longest instruction

	stateNames, actionNames []string
	relativeTo              []string      // of each action dimension; nil where actions are absolute
	stateStats, actionStats actions.Stats // what the normalisers take
	stateRange, actionRange actions.Stats // as recorded
	fps                     float64
	actionMode              actions.NormalizationMode

	actionTokens tokenizer.Actions // of a tokens head, else nil
	longestChunk int               // tokens of the longest chunk
	digest       uint64
}

const (
	strayFeature        = "action_is_stray"
	stateFeature        = "observation.state"
	surroundingsFeature = "observation.environment_state"
)

// loadDemonstrations reads the recording, decodes all its images, and normalises states and
// actions by their statistics over the episodes to train on.
func loadDemonstrations(ctx context.Context, o *VLAOptions) (*demonstrations, error) {
	dataset, err := recording.Open(o.Data)
	if err != nil {
		return nil, err
	}
	d := &demonstrations{size: o.Network.ImageSize, horizon: o.Network.Horizon, fps: dataset.Info.FPS}
	if d.cameras, err = cameraFeatures(dataset.Info, o.Cameras); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Data, err)
	}
	for _, name := range []string{stateFeature, "action"} {
		if f, ok := dataset.Info.Features[name]; !ok || !f.Numeric() {
			return nil, fmt.Errorf("%s: no numeric feature called %s", o.Data, name)
		}
	}
	features := []string{stateFeature, "action"}
	if f, ok := dataset.Info.Features[surroundingsFeature]; ok && f.Numeric() && o.Surroundings > 0 {
		features = append(features, surroundingsFeature)
	}
	if f, ok := dataset.Info.Features[strayFeature]; ok && f.Numeric() {
		features = append(features, strayFeature)
	}
	table, err := dataset.Load(ctx, features...)
	if err != nil {
		return nil, err
	}
	if table.Rows == 0 {
		return nil, fmt.Errorf("%s: the recording has no rows", o.Data)
	}
	if d.windows, err = table.Windows(1, 0, d.horizon); err != nil {
		return nil, err
	}
	d.starts = table.EpisodeStarts
	state, action := table.Columns[stateFeature], table.Columns["action"]
	d.state = compute.Dense(table.Rows, state.Width, state.Values)
	d.action = compute.Dense(table.Rows, action.Width, action.Values)
	if around, ok := table.Columns[surroundingsFeature]; ok {
		if d.surroundings, err = chooseColumns(around, dataset.Info.Features[surroundingsFeature].Names, o.SurroundingsNames); err != nil {
			return nil, fmt.Errorf("%s: surroundings: %w", o.Data, err)
		}
	}
	d.digest = digest(d.state, d.action)
	d.stateNames = names(stateFeature, dataset.Info, o.State)
	d.actionNames = names("action", dataset.Info, o.Action)
	if d.split(table, o); len(d.training) == 0 {
		return nil, fmt.Errorf("%s: no row has a chunk of %d actions to learn", o.Data, d.horizon)
	}
	if err := d.normalise(o); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Data, err)
	}
	if err := d.openActionTokenizer(ctx, o); err != nil {
		return nil, fmt.Errorf("%s: action tokenizer: %w", o.Data, err)
	}
	if err := d.readInstructions(ctx, dataset, table, o); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Data, err)
	}
	return d, d.decode(ctx, dataset, o)
}

// cameraFeatures returns the cameras asked for, or all in the order of their names.
func cameraFeatures(info *recording.Info, chosen []string) ([]string, error) {
	all := info.Cameras()
	if len(all) == 0 {
		return nil, errors.New("the recording has no camera")
	}
	if len(chosen) == 0 {
		return all, nil
	}
	var features []string
	for _, name := range chosen {
		at := slices.IndexFunc(all, func(feature string) bool { return shortName(feature) == name })
		if at < 0 || slices.Contains(features, all[at]) {
			return nil, fmt.Errorf("camera %q: not there or chosen twice; choose from %v", name, all)
		}
		features = append(features, all[at])
	}
	return features, nil
}

// shortName is how a robot calls the camera of a feature.
func shortName(feature string) string {
	return strings.TrimPrefix(strings.TrimPrefix(feature, "observation."), "images.")
}

// names returns those of a vector's dimensions.
func names(feature string, info *recording.Info, space actions.Space) []string {
	if space != nil {
		return space.Names()
	}
	f := info.Features[feature]
	all := make([]string, f.Width())
	for i := range all {
		all[i] = dimensionName(feature, f.Names, len(all), i)
	}
	return all
}

// split chooses the episodes that are not trained on, by the seed. Rows whose chunk has an
// action that strays on purpose are in neither part: they are there for what comes after.
func (d *demonstrations) split(table *recording.Table, o *VLAOptions) {
	episodes := len(table.EpisodeStarts) - 1
	order := rand.New(rand.NewPCG(o.Seed, 0x5eed)).Perm(episodes)
	held := map[int]bool{}
	for _, e := range order[:int(o.ValidationShare*float64(episodes))] {
		held[e] = true
	}
	d.held = len(held)
	strays := table.Columns[strayFeature].Values
	for e := range episodes {
		end := table.EpisodeStarts[e+1]
		for row := table.EpisodeStarts[e]; row < end; row++ {
			if strays != nil && slices.ContainsFunc(strays[row:min(row+d.horizon, end)], isTrue) {
				continue
			}
			if held[e] {
				d.validation = append(d.validation, row)
			} else {
				d.training = append(d.training, row)
			}
		}
	}
}

// chooseColumns returns the columns that are asked for by name, or all.
func chooseColumns(column recording.Column, names, chosen []string) (compute.Matrix, error) {
	all := compute.Dense(len(column.Values)/column.Width, column.Width, column.Values)
	if len(chosen) == 0 {
		return all, nil
	}
	m := compute.NewMatrix(all.Rows, len(chosen))
	for j, name := range chosen {
		at := slices.Index(names, name)
		if at < 0 {
			return m, fmt.Errorf("there is no %q; the recording has %v", name, names)
		}
		for i := range m.Rows {
			m.Row(i)[j] = all.Row(i)[at]
		}
	}
	return m, nil
}

func isTrue(v float32) bool { return v != 0 }

// normalise scales the states, and finds what chunks count from and the scale of their values.
func (d *demonstrations) normalise(o *VLAOptions) (err error) {
	d.stateRange, d.actionRange = statistics(d.state), statistics(d.action)
	d.anchor = compute.NewMatrix(d.action.Rows, d.action.Cols)
	if err := d.count(o); err != nil {
		return err
	}
	var values []float32 // of all actions of all chunks that are trained on
	var w recording.Window
	for _, row := range d.training {
		d.windows.At(row, &w)
		for k, action := range w.Actions {
			if w.Padding[k] {
				continue
			}
			for j, v := range d.action.Row(action) {
				values = append(values, v-d.anchor.Row(row)[j])
			}
		}
	}
	d.actionMode = o.Head.Normalization()
	d.actionStats = widen(statistics(compute.Dense(len(values)/d.action.Cols, d.action.Cols, values)))
	if d.stateStats, err = d.standardise(stateFeature, d.state); err != nil {
		return err
	}
	if d.surroundings.Rows > 0 {
		if _, err = d.standardise(surroundingsFeature, d.surroundings); err != nil {
			return err
		}
		// What hardly ever happens, a cube that tumbles, say, must not be all that is learned.
		for i, v := range d.surroundings.Data {
			d.surroundings.Data[i] = min(max(v, -3), 3)
		}
	}
	d.norm, err = actions.NewNormalizer("action", d.actionMode, d.actionStats, d.action.Cols)
	return err
}

// count finds the states that actions count from.
func (d *demonstrations) count(o *VLAOptions) error {
	if !o.Relative {
		return nil
	}
	d.relativeTo = o.RelativeTo
	if len(d.relativeTo) == 0 {
		same := func(name string) bool { return slices.Contains(d.stateNames, name) }
		if !slices.ContainsFunc(d.actionNames, same) { // velocities, say, or nameless numbers
			return nil
		}
		d.relativeTo = d.actionNames
	}
	if len(d.relativeTo) != d.action.Cols {
		return fmt.Errorf("relative actions: %d state dimensions named for %d action dimensions", len(d.relativeTo), d.action.Cols)
	}
	for j, name := range d.relativeTo {
		at := slices.Index(d.stateNames, name)
		if at < 0 {
			return fmt.Errorf("relative actions: the state has no dimension %q; it has %v: name them in relative_to, or set relative_actions to false", name, d.stateNames)
		}
		for i := range d.action.Rows {
			d.anchor.Row(i)[j] = d.state.Row(i)[at]
		}
	}
	return nil
}

// chunk returns the actions of a row, [horizon, dim], normalised and less what they count
// from, and says which of them are beyond the episode's end and repeat its last one.
func (d *demonstrations) chunk(row int) (chunk compute.Matrix, padding []bool) {
	var w recording.Window
	d.windows.At(row, &w)
	chunk = compute.NewMatrix(d.horizon, d.action.Cols)
	for k, from := range w.Actions {
		action := chunk.Row(k)
		for j, value := range d.action.Row(from) {
			action[j] = value - d.anchor.Row(row)[j]
		}
		d.norm.Normalize(action, action)
	}
	return chunk, w.Padding
}

// chunks are those of the given rows.
func (d *demonstrations) chunks(rows []int) iter.Seq[[]float32] {
	return func(yield func([]float32) bool) {
		for _, row := range rows {
			if chunk, _ := d.chunk(row); !yield(chunk.Data) {
				return
			}
		}
	}
}

// openActionTokenizer loads or makes the tokenizer of a tokens head.
func (d *demonstrations) openActionTokenizer(ctx context.Context, o *VLAOptions) (err error) {
	switch dim := d.action.Cols; {
	case !o.Head.Discrete():
		return nil
	case o.ActionTokenizer != "":
		d.actionTokens, err = tokenizer.LoadActions(os.DirFS(o.ActionTokenizer), d.horizon, dim)
	case o.Head == smolvla.TokensBins:
		d.actionTokens, err = tokenizer.NewBinActions(actionBins, d.horizon, dim)
	default:
		rows := d.training
		if most := max(1, maxFASTNumbers/(d.horizon*dim)); len(rows) > most {
			rng := rand.New(rand.NewPCG(o.Seed, 0xfa57))
			rows = slices.Clone(rows)
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			rows = rows[:most]
		}
		d.actionTokens, err = tokenizer.TrainFAST(ctx, d.chunks(rows), tokenizer.FASTTraining{Horizon: d.horizon, Dim: dim, Vocabulary: o.ActionVocabulary})
	}
	if err != nil {
		return err
	}
	var tokens []int32
	for chunk := range d.chunks(slices.Concat(d.training, d.validation)) {
		if tokens, err = d.actionTokens.AppendEncode(tokens[:0], chunk); err != nil {
			return err
		}
		d.longestChunk = max(d.longestChunk, len(tokens))
	}
	return nil
}

const (
	actionBins     = 256     // as RT-2 and OpenVLA have
	maxFASTNumbers = 4 << 20 // that FAST is trained on: a vocabulary gets no better by more
)

// standardise scales the columns of m to mean 0 and deviation 1 over the rows to train on.
func (d *demonstrations) standardise(feature string, m compute.Matrix) (actions.Stats, error) {
	trained := compute.NewMatrix(len(d.training), m.Cols)
	for i, row := range d.training {
		copy(trained.Row(i), m.Row(row))
	}
	stats := widen(statistics(trained))
	norm, err := actions.NewNormalizer(feature, actions.MeanStd, stats, m.Cols)
	if err != nil {
		return stats, err
	}
	for i := range m.Rows {
		norm.Normalize(m.Row(i), m.Row(i))
	}
	return stats, nil
}

// widen raises deviations to a hundredth of the largest: a joint that hardly moved in the
// recording would otherwise become huge when it does. Where 98 rows of 100 have the same
// number, as a gripper may, the extremes stand in for the percentiles.
func widen(s actions.Stats) actions.Stats {
	least := slices.Max(s.Std) / 100
	if least == 0 {
		least = 1
	}
	for i := range s.Std {
		s.Std[i] = max(s.Std[i], least)
		if s.Q01[i] == s.Q99[i] {
			s.Q01[i], s.Q99[i] = s.Min[i], s.Max[i]
		}
	}
	return s
}

// readInstructions turns the instruction of each row into tokens.
func (d *demonstrations) readInstructions(ctx context.Context, dataset *recording.Dataset, table *recording.Table, o *VLAOptions) error {
	instructions := make([]string, table.Rows)
	for e, episode := range dataset.Episodes {
		for row := table.EpisodeStarts[e]; row < table.EpisodeStarts[e+1]; row++ {
			switch {
			case table.Task != nil:
				instructions[row] = dataset.Tasks[table.Task[row]]
			case len(episode.Tasks) > 0:
				instructions[row] = episode.Tasks[0]
			}
			// As the published preprocessing does it.
			if !strings.HasSuffix(instructions[row], "\n") {
				instructions[row] += "\n"
			}
		}
	}
	bpe, err := d.openTokenizer(ctx, instructions, o)
	if err != nil {
		return err
	}
	d.vocabulary = bpe.Size()
	known := map[string][]int32{}
	for _, text := range instructions {
		tokens, ok := known[text]
		if !ok {
			if tokens = bpe.Encode(text); len(tokens) > o.Network.MaxTokens {
				return fmt.Errorf("instruction %q has %d tokens, and max_tokens is %d", text, len(tokens), o.Network.MaxTokens)
			}
			known[text] = tokens
			d.longest = max(d.longest, len(tokens))
		}
		d.tokens = append(d.tokens, tokens)
	}
	return nil
}

func (d *demonstrations) openTokenizer(ctx context.Context, instructions []string, o *VLAOptions) (bpe *tokenizer.BPE, err error) {
	path := o.Tokenizer
	if path == "" {
		path = o.Init
	}
	if path != "" {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "tokenizer.json")
		}
		if d.tokenizer, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	} else if d.tokenizer, err = tokenizer.TrainBPE(ctx, slices.Values(instructions), tokenizer.BPETraining{Vocabulary: o.Vocabulary}); err != nil {
		return nil, err
	}
	return tokenizer.ParseBPE(d.tokenizer)
}
