package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"govla/robot"
)

// setting is one way of playing the plan's episodes. Its Task is empty for all tasks.
type setting struct {
	entrant int // in work.all
	Condition
	latency time.Duration
}

// work holds all that a comparison has to play, each setting once, whoever wants to know,
// and what came of it.
type work struct {
	plan     Plan
	all      []Entrant // the plan's Entrants, then those that are only Trained
	todo     []setting // each of one task, in the order in which they are played
	reports  map[setting]*Report
	discrete map[int]bool // entrants whose actions are quantised

	done  int             // episodes
	spent []time.Duration // by entrant, on the finished settings
	share []int           // their episodes
}

func newWork(plan Plan) *work {
	w := &work{plan: plan, reports: map[setting]*Report{}, discrete: map[int]bool{}}
	w.all = append(slices.Clone(plan.Entrants), plan.Trained...)
	w.spent, w.share = make([]time.Duration, len(w.all)), make([]int, len(w.all))
	return w
}

// add has a setting played for each of its tasks, unless that is due already.
func (w *work) add(s setting) setting {
	for _, one := range w.tasks(s) {
		if !slices.Contains(w.todo, one) {
			w.todo = append(w.todo, one)
		}
	}
	return s
}

// tasks returns the settings of one task that s stands for.
func (w *work) tasks(s setting) []setting {
	if s.Task != "" {
		return []setting{s}
	}
	var all []setting
	for _, task := range w.plan.Tasks {
		s.Task = task
		all = append(all, s)
	}
	return all
}

// play plays everything.
func (w *work) play(ctx context.Context) error {
	for i, s := range w.todo {
		if err := w.playOne(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", w.describe(s), err)
		}
	}
	return nil
}

func (w *work) playOne(ctx context.Context, i int) (err error) {
	s := w.todo[i]
	entrant := w.all[s.entrant]
	player, err := entrant.Open(s.Condition)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, player.Close()) }()
	if _, ok := quantizer(player.Policy); ok {
		w.discrete[s.entrant] = true
	}
	began := time.Now()
	o := w.plan.Options
	o.Task, o.Latency, o.OnTick = s.Task, s.latency, nil
	o.OnEpisode = func(done int, _ Episode) {
		w.done++
		if w.plan.OnProgress != nil {
			w.plan.OnProgress(w.progress(i, done, time.Since(began)))
		}
	}
	r, err := Run(ctx, player.Policy, func(context.Context) (robot.Simulator, error) { return player.Env.Open() }, o)
	if err != nil {
		return err
	}
	r.Policy, r.Head, r.Demonstrations = entrant.Name, entrant.Spec.Head, entrant.Spec.Demonstrations
	if s.latency != 0 || s.Steps != 0 || s.Split != w.plan.Split || s.entrant >= len(w.plan.Entrants) {
		for k := range r.EpisodesDetail { // only those of the main comparison are looked at
			r.EpisodesDetail[k].Trace = Trace{}
		}
	}
	w.reports[s] = r
	w.spent[s.entrant] += time.Since(began)
	w.share[s.entrant] += o.Episodes
	return nil
}

// report returns what came of a setting, over all of its tasks.
func (w *work) report(s setting) *Report {
	settings := w.tasks(s)
	first := w.reports[settings[0]]
	if len(settings) == 1 {
		return first
	}
	var episodes []Episode
	pooled := Summary{Policy: first.Policy, Head: first.Head, Demonstrations: first.Demonstrations, Env: first.Env, Seed: first.Seed}
	for _, one := range settings {
		r := w.reports[one]
		pooled.Seconds += r.Seconds
		for _, e := range r.EpisodesDetail {
			e.Task = one.Task
			episodes = append(episodes, e)
		}
	}
	pooled.Episodes = len(episodes)
	pooled.add(episodes)
	return &Report{pooled, episodes}
}

// Progress is how far a comparison is.
type Progress struct {
	Playing string // which policy, and under which conditions
	Done    int    // episodes
	Total   int
	Left    time.Duration // estimated
}

// progress estimates from what each policy took so far, and takes one that has not played
// yet for an average one.
func (w *work) progress(playing, done int, took time.Duration) Progress {
	spent, share := slices.Clone(w.spent), slices.Clone(w.share)
	now := w.todo[playing].entrant
	spent[now] += took
	share[now] += done
	var sum time.Duration
	n := 0
	for i := range spent {
		sum += spent[i]
		n += share[i]
	}
	p := Progress{Playing: w.describe(w.todo[playing]), Done: w.done, Total: len(w.todo) * w.plan.Episodes}
	for i, s := range w.todo[playing:] {
		left := w.plan.Episodes
		if i == 0 {
			left -= done
		}
		if share[s.entrant] > 0 {
			p.Left += spent[s.entrant] / time.Duration(share[s.entrant]) * time.Duration(left)
		} else {
			p.Left += sum / time.Duration(n) * time.Duration(left)
		}
	}
	return p
}

// describe says in words who plays and under which conditions.
func (w *work) describe(s setting) string {
	words := []string{w.all[s.entrant].Name}
	if len(w.plan.Tasks) > 1 {
		words = append(words, s.Task)
	}
	if s.Split != w.plan.Split {
		words = append(words, "split "+s.Split)
	}
	if s.Steps != 0 {
		words = append(words, counted(s.Steps, "Euler step"))
	}
	if s.latency != 0 {
		words = append(words, s.latency.String()+" late")
	}
	return strings.Join(words, ", ")
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
