package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"govla/actions"
	"govla/sim"
)

// Entrant is a policy that takes part in a comparison.
type Entrant struct {
	Name string
	Spec actions.PolicySpec // once it fits the robot

	// Steps says that it samples in Euler steps, as many as one likes.
	Steps bool

	// Reference says that it knows what no robot would, as an expert does. It is shown, and
	// not weighed against the others.
	Reference bool

	// Open makes the policy ready to play under a condition.
	Open func(Condition) (*Player, error)
}

// Condition is what a policy plays under, apart from Options.
type Condition struct {
	Task  string // one of the environment's
	Split string // likewise; empty where it has none
	Steps int    // Euler steps; 0 for the policy's own
}

// Player is a policy in its environment, whose robots show the cameras that the policy
// looks at. Close frees it.
type Player struct {
	Policy actions.Policy
	Env    sim.Environment
	Close  func() error
}

// Plan says what a comparison plays. Everything is played on the same seeds.
type Plan struct {
	// Options are those of all episodes. Task, Latency, OnTick and OnEpisode are not used.
	Options

	Entrants []Entrant // the baseline first
	Tasks    []string  // one at least; the results are pooled, and shown for each as well
	Split    string

	// What is studied beside that: nothing unless set.
	Steps     []int           // Euler steps, by those that sample in steps
	Latencies []time.Duration // from an observation to its chunk
	Splits    []string
	Trained   []Entrant // beside Entrants, by how many demonstrations they had; nil for no such study

	// OnProgress is called after each episode, one call at a time.
	OnProgress func(Progress)
}

// Comparison holds policies side by side on the same seeds. It is what
// `vla compare --json` prints.
type Comparison struct {
	Env      string       `json:"env"`
	Tasks    []string     `json:"tasks,omitempty"`
	Split    string       `json:"split,omitempty"`
	Episodes int          `json:"episodes"` // of each task
	Seed     int64        `json:"seed"`
	Policies []*Report    `json:"policies"`    // over all tasks
	Versus   []Difference `json:"differences"` // of each policy to the first
	Studies  []Study      `json:"studies,omitempty"`

	// QuantizationError is the root mean square distance between actions that continuous
	// policies commanded in these episodes and their nearest neighbours among a policy's
	// actions (for relative ones: those in the state at that tick), over all dimensions, in
	// their unit; null for a policy that is continuous
	// itself, or where no other is.
	QuantizationError map[string]*float64 `json:"quantization_error"`

	// Conclusion says in three sentences what the numbers say: which policy is better and by
	// how much, whether that is more than chance, and what it costs.
	Conclusion []string `json:"conclusion"`

	// References are those of Policies that the conclusion leaves out.
	References []string `json:"references,omitempty"`
}

// Compare plays what the plan says and puts the results side by side. The first error ends
// it; ctx ends it too.
func Compare(ctx context.Context, plan Plan) (*Comparison, error) {
	if err := plan.check(); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	w := newWork(plan)
	drafts := w.drafts()
	var main []setting
	for i := range plan.Entrants {
		main = append(main, w.add(setting{entrant: i, Condition: Condition{Split: plan.Split}}))
	}
	for _, d := range drafts {
		w.addAll(d)
	}
	if err := w.play(ctx); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}

	c := &Comparison{Env: plan.Env, Split: plan.Split, Episodes: plan.Episodes, Seed: plan.Seed, QuantizationError: map[string]*float64{}}
	c.Tasks = slices.DeleteFunc(slices.Clone(plan.Tasks), func(task string) bool { return task == "" })
	for i, e := range plan.Entrants {
		r := w.report(main[i])
		c.Policies = append(c.Policies, r)
		if i > 0 {
			c.Versus = append(c.Versus, difference(r, c.Policies[0]))
		}
		if e.Reference {
			c.References = append(c.References, e.Name)
		}
	}
	if err := w.quantizationErrors(c); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	for _, d := range drafts {
		c.Studies = append(c.Studies, w.study(d))
	}
	c.Conclusion = c.conclude()
	return c, nil
}

func (p *Plan) check() error {
	if len(p.Entrants) < 2 {
		return fmt.Errorf("%d policies, want at least 2", len(p.Entrants))
	}
	if len(p.Tasks) == 0 {
		return fmt.Errorf("no task, want at least one")
	}
	if len(p.Latencies) > 0 && p.Rate != 0 {
		return fmt.Errorf("a study of latency needs lockstep: in real time it is what it is")
	}
	seen := map[string]bool{}
	for _, e := range append(slices.Clone(p.Entrants), p.Trained...) {
		if seen[e.Name] {
			return fmt.Errorf("policy %s is named twice", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

// quantizer returns p as an actions.Quantizer if its actions are quantised.
func quantizer(p actions.Policy) (actions.Quantizer, bool) {
	q, ok := p.(actions.Quantizer)
	if !ok || q.Quantize(make([]float32, len(p.Spec().State)), make([]float32, len(p.Spec().Action))) == nil {
		return nil, false
	}
	return q, true
}

// quantizationErrors measures each policy that is quantised by what those that are not did.
func (w *work) quantizationErrors(c *Comparison) error {
	for i, r := range c.Policies {
		c.QuantizationError[r.Policy] = nil
		if !w.discrete[i] {
			continue
		}
		player, err := w.all[i].Open(Condition{Task: w.plan.Tasks[0], Split: w.plan.Split})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Policy, err)
		}
		if q, ok := quantizer(player.Policy); ok {
			c.QuantizationError[r.Policy] = w.quantizationError(q, c)
		}
		if err := player.Close(); err != nil {
			return fmt.Errorf("%s: %w", r.Policy, err)
		}
	}
	return nil
}

func (w *work) quantizationError(q actions.Quantizer, c *Comparison) *float64 {
	sum, n := 0.0, 0
	for i, r := range c.Policies {
		if w.discrete[i] {
			continue
		}
		for _, e := range r.EpisodesDetail {
			for k, a := range e.Trace.Actions {
				if a == nil {
					continue
				}
				for j, v := range q.Quantize(e.Trace.States[k], a) {
					d := float64(v - a[j])
					sum += d * d
					n++
				}
			}
		}
	}
	if n == 0 {
		return nil
	}
	root := math.Sqrt(sum / float64(n))
	return &root
}
