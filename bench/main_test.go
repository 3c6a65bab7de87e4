package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCompete gives each contender its turns, drops the first of them, and keeps the
// better layout's median.
func TestCompete(t *testing.T) {
	var order []string
	clock := func(name string, seconds ...float64) func(time.Duration) (float64, error) {
		return func(time.Duration) (float64, error) {
			order = append(order, name)
			s := seconds[0]
			seconds = seconds[1:]
			return s, nil
		}
	}
	results, err := compete(t.Context(), options{repetitions: 3}, "test", []contender{
		{"ours", "a", clock("ours a", 99, 3, 2, 4)},
		{"ours", "b", clock("ours b", 0, 7, 6, 5)},
		{"theirs", "a", clock("theirs a", 0, 2, 2, 2)},
		{"theirs", "b", clock("theirs b", 0, 1, 90, 1)},
	})
	if want := []result{{"ours", "a", 3, 2}, {"theirs", "b", 1, 1}}; err != nil || !slices.Equal(results, want) {
		t.Errorf("have %v, %v, want %v", results, err, want)
	}
	if turn := []string{"ours a", "ours b", "theirs a", "theirs b"}; !slices.Equal(order, slices.Repeat(turn, 4)) {
		t.Errorf("the turns were %v", order)
	}
	broken := errors.New("broken")
	_, err = compete(t.Context(), options{repetitions: 1}, "test", []contender{{"ours", "a", func(time.Duration) (float64, error) { return 0, broken }}})
	if !errors.Is(err, broken) {
		t.Errorf("have %v, want it to say what broke", err)
	}
}

func TestTable(t *testing.T) {
	table := newTable("shape", "threads")
	table.set([]string{"1x2x3", "1"}, "ours", "10")
	table.set([]string{"1x2x3", "2"}, "ours", "20")
	table.set([]string{"1x2x3", "2"}, "theirs", "15")
	var out strings.Builder
	table.write(&out)
	want := `| shape | threads | ours | theirs |
| --- | --- | --- | --- |
| 1x2x3 | 1 | 10 |  |
| 1x2x3 | 2 | 20 | 15 |
`
	if out.String() != want {
		t.Errorf("have\n%s\nwant\n%s", &out, want)
	}
}

func TestParseThreads(t *testing.T) {
	if have, err := parseThreads("1,2"); err != nil || !slices.Equal(have, []int{1, 2}) {
		t.Errorf("have %v, %v", have, err)
	}
	for _, list := range []string{"", "0", "1,", "two", "-1"} {
		if have, err := parseThreads(list); err == nil {
			t.Errorf("%q became %v", list, have)
		}
	}
}

// TestProductsAgree compares our products with OpenBLAS's on sizes that fill no tile.
func TestProductsAgree(t *testing.T) {
	for _, s := range []shape{{1, 1, 1}, {3, 5, 7}, {33, 65, 40}} {
		p := newProduct(s)
		if err := p.check(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
}
