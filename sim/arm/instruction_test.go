package arm

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"govla/sim/physics"
)

func phrasesOf(t Task) phrases {
	return map[Task]phrases{
		Reach: reachPhrases, Push: pushPhrases, PickPlace: pickPlacePhrases, Stack: stackPhrases, Drawer: drawerPhrases,
	}[t]
}

// expansions returns every text that a template stands for, with its colours still open.
func expansions(template string) []string {
	before, rest, found := strings.Cut(template, "[")
	if !found {
		return []string{template}
	}
	choice, after, _ := strings.Cut(rest, "]")
	var all []string
	for _, tail := range expansions(after) {
		for _, alternative := range strings.Split(choice, "|") {
			all = append(all, before+alternative+tail)
		}
	}
	return all
}

func allOf(templates []string) map[string]bool {
	all := map[string]bool{}
	for _, template := range templates {
		for _, text := range expansions(template) {
			all[text] = true
		}
	}
	return all
}

func TestInstructionsAreGrammatical(t *testing.T) {
	for _, task := range Tasks() {
		for _, split := range Splits() {
			all := allOf(phrasesOf(task).of(split))
			if len(all) < 2 {
				t.Errorf("%s, %s: only %d instructions", task, split, len(all))
			}
			t.Logf("%s, %s: %d instructions", task, split, len(all))
			for text := range all {
				if strings.ContainsAny(text, "[]|") || strings.Contains(text, "  ") || text != strings.TrimSpace(text) {
					t.Errorf("%s, %s: %q is badly put", task, split, text)
				}
				if strings.Count(text, "{target}") != 1 || strings.Count(text, "{goal}") > 1 {
					t.Errorf("%s, %s: %q does not name the target once", task, split, text)
				}
				if left := strings.NewReplacer("{target}", "", "{goal}", "").Replace(text); strings.ContainsAny(left, "{}") {
					t.Errorf("%s, %s: %q has an unknown blank", task, split, text)
				}
			}
		}
	}
}

// What a policy meets in Phrasing it has never read in Train, nor a part of it that says
// the same.
func TestHeldOutPhrasingsAreNotInTrain(t *testing.T) {
	for _, task := range Tasks() {
		train, heldOut := allOf(phrasesOf(task).of(Train)), allOf(phrasesOf(task).of(Phrasing))
		for text := range heldOut {
			for trained := range train {
				if strings.Contains(text, trained) {
					t.Errorf("%s: the held-out %q holds the trained %q", task, text, trained)
				}
			}
		}
		if pairing := allOf(phrasesOf(task).of(Pairing)); !maps.Equal(pairing, train) {
			t.Errorf("%s: Pairing asks in other words than Train", task)
		}
	}
}

func TestExpandChoosesEveryAlternative(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, task := range Tasks() {
		for _, template := range slices.Concat(phrasesOf(task).train, phrasesOf(task).heldOut) {
			want := allOf([]string{template})
			have := map[string]bool{}
			for range 100 * len(want) {
				have[expand(template, random.IntN)] = true
			}
			if !maps.Equal(have, want) {
				t.Errorf("%q expands to %d texts, want %d", template, len(have), len(want))
			}
		}
	}
}

// namedIn returns the colours that a text names, in the order in which it does.
func namedIn(text string) []Colour {
	var named []Colour
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		for c := range Colour(colours) {
			if c.String() == word {
				named = append(named, c)
			}
		}
	}
	return named
}

// nearest returns the colour of the palette that a body is drawn in.
func (s *scene) nearest(body string) Colour {
	best, least := Colour(-1), math.Inf(1)
	for _, v := range s.visuals {
		if v.body != body {
			continue
		}
		for c, p := range palette {
			have := v.Material.Color
			d := math.Hypot(math.Hypot(float64(have.R)-float64(p.R), float64(have.G)-float64(p.G)), float64(have.B)-float64(p.B))
			if d < least {
				best, least = Colour(c), d
			}
		}
	}
	return best
}

// The instruction says what is true of the scene, and of nothing else in it: one cube, or
// drawer, has the target's colour, and one zone or bowl or cube the goal's.
func TestInstructionFitsTheScene(t *testing.T) {
	seeds := int64(200)
	if testing.Short() {
		seeds = 50
	}
	for _, task := range Tasks() {
		for _, split := range Splits() {
			pairs := map[[2]Colour]int{}
			known := allOf(phrasesOf(task).of(split))
			for seed := range seeds {
				s, err := newScene(task, split, seed)
				if err != nil {
					t.Fatal(err)
				}
				target := s.nearest("target")
				goal := target
				if task == Push || task == PickPlace || task == Stack {
					goal = s.nearest("goal")
				}
				pairs[[2]Colour{target, goal}]++
				said := strings.NewReplacer("{target}", target.String(), "{goal}", goal.String())
				ours := false
				for text := range known {
					ours = ours || said.Replace(text) == s.instruction
				}
				if !ours {
					t.Errorf("%s, %s, seed %d: %q with a %v target and a %v goal is not one of the split's", task, split, seed, s.instruction, target, goal)
				}
				for _, c := range namedIn(s.instruction) {
					if c != target && c != goal {
						t.Errorf("%s, %s, seed %d: %q names %v; the target is %v, the goal %v", task, split, seed, s.instruction, c, target, goal)
					}
				}
				// Of its kind, which the number of geoms and the joint tell, each is the only one
				// of its colour.
				bodies := map[string]physics.Body{}
				for _, b := range s.model.Bodies {
					bodies[b.Name] = b
				}
				for _, named := range []string{"target", "goal"} {
					one, there := bodies[named]
					for _, other := range s.model.Bodies {
						alike := there && len(other.Geoms) == len(one.Geoms) && other.Joint.Type == one.Joint.Type
						if alike && other.Name != named && strings.Contains("target goal other_1 other_2", other.Name) && s.nearest(other.Name) == s.nearest(named) {
							t.Errorf("%s, %s, seed %d: %s has the %s's colour too", task, split, seed, other.Name, named)
						}
					}
				}
				if held := heldOut(task, target, goal); held != (split == Pairing) {
					t.Errorf("%s, %s, seed %d: target %v with goal %v, which is held out: %v", task, split, seed, target, goal, held)
				}
			}
			targets, goals := map[Colour]bool{}, map[Colour]bool{}
			for pair := range pairs {
				targets[pair[0]], goals[pair[1]] = true, true
			}
			t.Logf("%s, %s: %d pairs, %d targets, %d goals", task, split, len(pairs), len(targets), len(goals))
			if task == Reach || task == Drawer {
				continue // one colour is named; Pairing has the one that Train never asks for
			}
			if len(targets) != colours || len(goals) != colours {
				t.Errorf("%s, %s: the targets' colours are %v, the goals' %v, want all", task, split, slices.Collect(maps.Keys(targets)), slices.Collect(maps.Keys(goals)))
			}
		}
	}
}
