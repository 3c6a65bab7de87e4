package arm

import (
	"math/rand/v2"
	"strings"
)

// Split chooses the episodes of a task by what a policy that learned from Train has not
// met.
type Split string

// The splits. Recordings are made in Train; the others measure generalisation.
const (
	Train    Split = "train"
	Phrasing Split = "phrasing" // instructions in words and orders that Train never uses
	Pairing  Split = "pairing"  // combinations of target and goal that Train never has
)

// Splits lists them.
func Splits() []Split { return []Split{Train, Phrasing, Pairing} }

// phrases are a task's instructions. {target} and {goal} stand for colours; what is between
// brackets and bars is a choice of one, perhaps of nothing.
type phrases struct{ train, heldOut []string }

// instructions returns every template of the split.
func (p phrases) of(split Split) []string {
	if split == Phrasing {
		return p.heldOut
	}
	return p.train
}

var (
	reachPhrases = phrases{
		train: []string{
			"[|please ][touch|reach for|reach|go to|point at|tap] the {target} [cube|block]",
			"move [|the hand |the gripper ]to the {target} [cube|block]",
		},
		heldOut: []string{
			"can you get to the {target} [cube|block]",
			"the {target} [one|box], bring the fingers over it",
		},
	}
	pushPhrases = phrases{
		train: []string{
			"[|please ][push|slide|shove|move] the {target} [cube|block] [to|into|onto] the {goal} [zone|area|circle]",
			"[push|slide] the {target} [cube|block] over to the {goal} [zone|area|circle]",
		},
		heldOut: []string{
			"make the {target} [cube|block] end up in the {goal} [zone|circle]",
			"the {goal} [spot|disc] is where the {target} [cube|box] has to go, push it there",
		},
	}
	pickPlacePhrases = phrases{
		train: []string{
			"[|please ][put|place|drop] the {target} [cube|block] [in|into] the [|{goal} ]bowl",
			"[pick up|grab|take] the {target} [cube|block] and [put|place|drop] it [in|into] the [|{goal} ]bowl",
			"move the {target} [cube|block] [in|into] the [|{goal} ]bowl",
		},
		heldOut: []string{
			"the [|{goal} ]bowl is missing the {target} [cube|block]",
			"could you lift the {target} [cube|box] and leave it inside the [|{goal} ][bowl|dish]",
		},
	}
	stackPhrases = phrases{
		train: []string{
			"[|please ][put|place|stack|set] the {target} [cube|block] [on|on top of|onto] the {goal} [cube|one|block]",
			"[pick up|grab|take] the {target} [cube|block] and [put|stack] it [on|on top of] the {goal} [cube|one|block]",
		},
		heldOut: []string{
			"build a tower with the {goal} [cube|block] below and the {target} one above",
			"the {target} [cube|box] belongs on the {goal} one, stack it",
		},
	}
	drawerPhrases = phrases{
		train: []string{
			"[|please ][open|pull open|pull out] the {target} drawer",
			"[open|pull open] the drawer [of the {target} cabinet|that is {target}]",
			"grab the [|knob of the ]{target} drawer and pull",
		},
		heldOut: []string{
			"I need something from the {target} drawer, get it open",
			"slide the {target} drawer towards you",
		},
	}
)

// expand replaces every choice in a template by one of its alternatives, which choose picks
// of so many.
func expand(template string, choose func(n int) int) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		choice, after, _ := strings.Cut(rest, "]")
		alternatives := strings.Split(choice, "|")
		out.WriteString(alternatives[choose(len(alternatives))])
		template = after
	}
}

// instruct words a task.
func (p phrases) instruct(random *rand.Rand, split Split, target, goal Colour) string {
	templates := p.of(split)
	text := expand(templates[random.IntN(len(templates))], random.IntN)
	return strings.NewReplacer("{target}", target.String(), "{goal}", goal.String()).Replace(text)
}

// heldOut reports whether a pair of colours is one that Train never has: for every target
// one goal, another one for each task. Where the target is the goal it is one colour.
func heldOut(task Task, target, goal Colour) bool {
	if task == Stack { // where the two differ, always
		return int(goal) == (int(target)+1)%colours
	}
	return (2*int(target)+int(goal)+task.index())%colours == 0
}

// pair draws the colours of target and goal for the split.
func (s *scene) pair(task Task, split Split, differ, same bool) (target, goal Colour) {
	for {
		target = Colour(s.random.IntN(colours))
		goal = Colour(s.random.IntN(colours))
		if same {
			goal = target
		}
		if differ && goal == target {
			continue
		}
		if heldOut(task, target, goal) == (split == Pairing) {
			return target, goal
		}
	}
}

// otherColour returns a colour that is none of those.
func (s *scene) otherColour(used ...Colour) Colour {
	for {
		c := Colour(s.random.IntN(colours))
		clash := false
		for _, u := range used {
			clash = clash || u == c
		}
		if !clash {
			return c
		}
	}
}
