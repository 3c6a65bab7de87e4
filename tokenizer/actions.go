package tokenizer

import "fmt"

// Actions turns chunks of actions into tokens, and tokens into chunks: BinActions, FAST or VQ.
// Chunks are normalised and of one shape, [horizon][dim], in one row after the other. An
// Actions does not change and may be used by several goroutines at once.
//
// A policy that writes a chunk token by token does so with any of them in the same loop:
//
//	decoder, err := actions.NewDecoder(actions.Longest())
//	for !decoder.Complete() {
//		decoder.Allowed(allowed)
//		token := ... // the likeliest of those allowed
//		tokens = append(tokens, token)
//		if err := decoder.Advance(token); err != nil {
//			return err
//		}
//	}
//	err = actions.Decode(chunk, tokens) // cannot fail
//
// There is no token for the end: a Decoder knows when a chunk is complete.
type Actions interface {
	// Shape is that of a chunk.
	Shape() (horizon, dim int)

	// Vocabulary is the number of token ids, which are 0 to Vocabulary()-1.
	Vocabulary() int

	// Longest is the most tokens that a chunk can take. Those of recordings may be far from it.
	Longest() int

	// AppendEncode appends the tokens of a chunk to dst. A chunk of another shape is an error,
	// and so are numbers that have no tokens.
	AppendEncode(dst []int32, chunk []float32) ([]int32, error)

	// Decode writes the chunk of tokens to dst. Tokens that make no chunk of the right shape are
	// an error.
	Decode(dst []float32, tokens []int32) error

	// NewDecoder returns a Decoder at the beginning of a chunk that ends within limit tokens. A
	// limit within which there is no chunk is an error.
	NewDecoder(limit int) (Decoder, error)

	// Files returns the files of a folder that LoadActions reads, by name.
	Files() (map[string][]byte, error)
}

// Decoder keeps a policy that writes tokens one by one to those that make a chunk. Its methods
// do not allocate. It is used by one goroutine at a time.
type Decoder interface {
	// Allowed says of each token, by id, whether it may be the next: whether a chunk can still
	// be completed behind it, within the limit. The length of allowed is Vocabulary(). At least
	// one token is allowed until the chunk is complete, and none after.
	Allowed(allowed []bool)

	// Advance goes on behind a token. One that is not allowed is an error and changes nothing.
	Advance(token int32) error

	// Complete reports whether the tokens make a whole chunk.
	Complete() bool

	// Reset goes back to the beginning.
	Reset()
}

// Limits of a chunk's shape: the transform of FAST has maxHorizon² numbers.
const (
	maxHorizon      = 1024
	maxCoefficients = 1 << 16
)

func checkShape(horizon, dim int) error {
	switch {
	case horizon < 1 || horizon > maxHorizon:
		return fmt.Errorf("have a horizon of %d, want 1 to %d", horizon, maxHorizon)
	case dim < 1 || dim > maxCoefficients/horizon:
		return fmt.Errorf("have %d dimensions and a horizon of %d, want 1 to %d numbers in a chunk", dim, horizon, maxCoefficients)
	}
	return nil
}

// checkChunk reports a chunk that has not as many numbers as its shape.
func checkChunk(doing string, numbers, horizon, dim int) error {
	if want := horizon * dim; numbers != want {
		return fmt.Errorf("%s %d numbers, want %d (%d actions of %d)", doing, numbers, want, horizon, dim)
	}
	return nil
}
