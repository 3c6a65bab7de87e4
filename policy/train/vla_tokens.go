package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
	"govla/policy/smolvla"
	"govla/tokenizer"
)

// vlaTokens is the action expert as an autoregressive head: it reads the tokens of a chunk so
// far and says which is next, as RT-2 (arXiv 2307.15818) and pi0-FAST (arXiv 2501.09747) do
// with their language models. In training it reads the recorded ones.
type vlaTokens struct {
	vlaSuffix
	tokenizer tokenizer.Actions

	follows []int32   // what each place comes behind: the beginning, then tokens; [batch·length]
	targets []int32   // [batch·length]
	weights []float32 // of the places; 0 behind a chunk's last token
	logits  *gorgonia.Node
	loss    *gorgonia.Node
}

// embedTokens builds the head for chunks of up to longest tokens.
func embedTokens(g *Graph, a *VLAArchitecture, p *vlaPrefix, actions tokenizer.Actions, longest int) *vlaTokens {
	rows, vocabulary := g.Batch*longest, actions.Vocabulary()
	t := &vlaTokens{
		vlaSuffix: newSuffix(g, a, 1, longest), tokenizer: actions,
		follows: make([]int32, rows), targets: make([]int32, rows), weights: make([]float32, rows),
	}
	places := make([]int32, rows)
	for i := range places {
		places[i] = int32(i % longest)
	}
	h := gorgonia.Must(gorgonia.Add(
		g.lookUp(g.vectors(smolvla.ActionTokens, vocabulary+1, a.ExpertWidth, tokenDeviation), t.follows, a.ExpertWidth),
		g.lookUp(g.vectors(smolvla.ActionPlaces, longest, a.ExpertWidth, tokenDeviation), places, a.ExpertWidth),
	))
	t.logits = g.Linear(smolvla.ActionLogits, t.expert(g, a, p, h), vocabulary, head.None)
	t.loss = g.WeightedCrossEntropy(t.logits, t.targets, t.weights)
	return t
}

// tokenDeviation is how tokens and places start: large enough to be told apart at once.
const tokenDeviation = 0.5

func (t *vlaTokens) cost() *gorgonia.Node { return t.loss }

// set writes the chunk's tokens. A chunk that reaches beyond its episode's end goes on with
// the last action: a tokenizer takes whole chunks.
func (t *vlaTokens) set(b int, chunk compute.Matrix, _ []bool, _ *rand.Rand) error {
	from := b * t.length
	tokens, err := t.tokenizer.AppendEncode(t.targets[from:from:from+t.length], chunk.Data)
	if err != nil {
		return err
	}
	if len(tokens) > t.length {
		return fmt.Errorf("a chunk has %d tokens, and %d is the most that was seen", len(tokens), t.length)
	}
	last := int32(t.tokenizer.Vocabulary()) // the beginning
	each := 1 / float32(len(tokens)*len(t.weights)/t.length)
	for i := range t.length {
		t.follows[from+i], t.weights[from+i] = last, 0
		if i < len(tokens) {
			last, t.weights[from+i] = tokens[i], each
		} else {
			t.targets[from+i] = 0
		}
	}
	return nil
}
