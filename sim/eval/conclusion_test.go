package eval

import (
	"strings"
	"testing"
	"time"
)

// outcomes returns a report whose episodes are solved where the string has a 1; a dot has
// half the reward and an o a little more.
func outcomes(name, episodes string, latency time.Duration) *Report {
	var all []Episode
	for i, o := range episodes {
		e := Episode{Seed: int64(i), Chunks: 1, ModelCalls: 10, latencies: []time.Duration{latency}, Seconds: 2}
		switch o {
		case '1':
			e.Success, e.MaxReward = true, 1
		case 'o':
			e.MaxReward = 0.7
		default:
			e.MaxReward = 0.5
		}
		all = append(all, e)
	}
	s := Summary{Policy: name, Episodes: len(all)}
	s.add(all)
	return &Report{s, all}
}

func TestConclusion(t *testing.T) {
	ms := time.Millisecond
	for name, test := range map[string]struct {
		policies   []*Report
		references []string
		words      [3]string
	}{
		"better": {
			[]*Report{outcomes("a", strings.Repeat("1.", 20), 4*ms), outcomes("b", strings.Repeat("111.", 10), 8*ms)}, nil,
			[3]string{
				"b solves 30 of 40 episodes, a 20: 25 percentage points more, with a 95 % interval from +12 to +40, paired by seed",
				"excludes zero, and a test agrees (McNemar's exact test, p = 0.002: 10 solved only by b, 0 only by a): b is better",
				"A chunk of b takes 8 ms (p99 8 ms, 10 model calls), one of a 4 ms (p99 4 ms, 10 model calls): b takes 2 times as long",
			},
		},
		"baseline is best": {
			[]*Report{outcomes("a", strings.Repeat("1", 20), ms), outcomes("b", strings.Repeat(".", 20), 4*ms), outcomes("c", strings.Repeat("1.", 10), 10*ms)}, nil,
			[3]string{"Of 3 policies, a does best: a solves 20 of 20 episodes, c 10", "a is better", "a takes 1/10 of the time"},
		},
		"interval and test disagree": {
			[]*Report{outcomes("a", "....................", ms), outcomes("b", "1111................", ms)}, nil,
			[3]string{"20 percentage points more", "excludes zero, but a test does not agree (McNemar's exact test, p = 0.1", "about as long"},
		},
		"includes zero": {
			[]*Report{outcomes("a", "1..................", ms), outcomes("b", ".11................", ms)}, nil,
			[3]string{"b solves 2 of 19 episodes, a 1", "includes zero (McNemar's exact test, p = 1: 2 solved only by b, 1 only by a): these 19 episodes do not tell them apart, a difference like this one takes about", ""},
		},
		"by reward": {
			[]*Report{outcomes("a", strings.Repeat(".", 20), ms), outcomes("b", strings.Repeat("o", 20), ms)}, nil,
			[3]string{"b and a both solve 0 of 20 episodes", "b gets closer to the goal", ""},
		},
		"by the reward of few": {
			[]*Report{outcomes("a", "..........", ms), outcomes("b", "oooooooooo", ms)}, nil,
			[3]string{"", "10 episodes are too few", ""},
		},
		"by chance": {
			[]*Report{outcomes("a", "o.oooooooo", ms), outcomes("b", "oooooooooo", ms)}, nil,
			[3]string{"a difference of +0.020 with a 95 % interval from +0.000", "includes zero", ""},
		},
		"equal": {
			[]*Report{outcomes("a", "1.1", ms), outcomes("b", "11.", ms)}, nil,
			[3]string{"a and b both solve 2 of 3 episodes, with the same mean best reward", "do not tell them apart", ""},
		},
		"beside an expert": {
			[]*Report{outcomes("expert", "11111111", ms), outcomes("a", "1.......", ms), outcomes("b", "11......", ms)}, []string{"expert"},
			[3]string{"b solves 2 of 8 episodes, a 1", "", ""},
		},
		"against an expert": {
			[]*Report{outcomes("expert", "11111111", ms), outcomes("a", "1.......", ms)}, []string{"expert"},
			[3]string{"expert solves 8 of 8 episodes, a 1", "expert is better", ""},
		},
	} {
		sentences := (&Comparison{Policies: test.policies, References: test.references}).conclude()
		if len(sentences) != 3 {
			t.Fatalf("%s: %q", name, sentences)
		}
		for i, words := range test.words {
			if !strings.Contains(sentences[i], words) {
				t.Errorf("%s: %q lacks %q", name, sentences[i], words)
			}
		}
	}
}
