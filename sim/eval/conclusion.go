package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// enough is how many episodes a bootstrap interval needs: those of fewer are too narrow.
const enough = 20

// conclude says what the numbers say, in three sentences.
func (c *Comparison) conclude() []string {
	best, rival, of := c.contest()
	d := difference(best, rival)
	return []string{outcome(best, rival, &d, of), certainty(best, rival, &d), cost(best, rival)}
}

// contest returns the policy that did best and the one that it is to be compared with: the
// baseline, or the best of the others where it is the baseline itself; and how many there
// were to choose from. Those that are only for reference take part if there are no others.
func (c *Comparison) contest() (best, rival *Report, of int) {
	var judged []*Report
	for _, r := range c.Policies {
		if !slices.Contains(c.References, r.Policy) {
			judged = append(judged, r)
		}
	}
	if len(judged) < 2 {
		judged = c.Policies
	}
	top := func(among []*Report) *Report {
		return slices.MaxFunc(among, func(a, b *Report) int { // the first of equals
			if a.SuccessRate != b.SuccessRate {
				return sign(a.SuccessRate - b.SuccessRate)
			}
			return sign(a.MeanMaxReward - b.MeanMaxReward)
		})
	}
	best, rival = top(judged), judged[0]
	if best == rival {
		rival = top(judged[1:])
	}
	return best, rival, len(judged)
}

func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// outcome says which policy is better, and by how much.
func outcome(best, rival *Report, d *Difference, of int) string {
	lead := ""
	if of > 2 {
		lead = fmt.Sprintf("Of %d policies, %s does best: ", of, best.Policy)
	}
	n := best.Episodes
	switch {
	case d.Success > 0:
		return fmt.Sprintf("%s%s solves %d of %s, %s %d: %.0f percentage points more, with a 95 %% interval from %+.0f to %+.0f, paired by seed.",
			lead, best.Policy, solved(best), counted(n, "episode"), rival.Policy, solved(rival), 100*d.Success, 100*d.SuccessCI95[0]+0, 100*d.SuccessCI95[1]+0)
	case d.MaxReward > 0:
		return fmt.Sprintf("%s%s and %s both solve %d of %s; the best reward of an episode is %.3f on average for %s and %.3f for %s, a difference of %+.3f with a 95 %% interval from %+.3f to %+.3f, paired by seed.",
			lead, best.Policy, rival.Policy, solved(best), counted(n, "episode"), best.MeanMaxReward, best.Policy, rival.MeanMaxReward, rival.Policy,
			d.MaxReward, d.MaxRewardCI95[0], d.MaxRewardCI95[1])
	default:
		return fmt.Sprintf("%s%s and %s both solve %d of %s, with the same mean best reward, %.3f.",
			lead, best.Policy, rival.Policy, solved(best), counted(n, "episode"), best.MeanMaxReward)
	}
}

// solved returns how many episodes were.
func solved(r *Report) int { return int(math.Round(r.SuccessRate * float64(r.Episodes))) }

// certainty says whether the difference is more than chance.
func certainty(best, rival *Report, d *Difference) string {
	n := counted(best.Episodes, "episode")
	switch {
	case d.Success == 0 && d.MaxReward == 0:
		return fmt.Sprintf("These %s do not tell them apart.", n)
	case d.Success == 0 && d.MaxRewardCI95.excludesZero() && best.Episodes < enough:
		return fmt.Sprintf("That interval excludes zero, but %s are too few for it to be trusted.", n)
	case d.Success == 0 && d.MaxRewardCI95.excludesZero():
		return fmt.Sprintf("That interval excludes zero, so %s gets closer to the goal, though not to more solved episodes.", best.Policy)
	case d.Success == 0:
		return fmt.Sprintf("That interval includes zero: these %s do not tell them apart.", n)
	}
	test := fmt.Sprintf("McNemar's exact test, p = %s: %d solved only by %s, %d only by %s", pValue(d.McNemarP), d.OnlyPolicy, best.Policy, d.OnlyBaseline, rival.Policy)
	more := fmt.Sprintf("a difference like this one takes about %s to show", counted(episodesToTell(d.OnlyPolicy, d.OnlyBaseline, best.Episodes), "episode"))
	switch {
	case d.clear():
		return fmt.Sprintf("The interval excludes zero, and a test agrees (%s): %s is better.", test, best.Policy)
	case d.SuccessCI95.excludesZero():
		return fmt.Sprintf("The interval excludes zero, but a test does not agree (%s): %s are too few to be sure, %s.", test, n, more)
	default:
		return fmt.Sprintf("The interval includes zero (%s): these %s do not tell them apart, %s.", test, n, more)
	}
}

// cost says what a chunk of each costs.
func cost(best, rival *Report) string {
	a, b := best.ChunkMS, rival.ChunkMS
	if a.Count == 0 || b.Count == 0 {
		return "Neither policy was asked for a chunk."
	}
	relation := "about as long"
	switch {
	case a.P50 > 1.1*b.P50:
		relation = fmt.Sprintf("%.2g times as long", a.P50/b.P50)
	case b.P50 > 1.1*a.P50:
		relation = fmt.Sprintf("%.2g times as long", a.P50/b.P50)
		if b.P50 >= 2*a.P50 {
			relation = fmt.Sprintf("1/%.2g of the time", b.P50/a.P50)
		}
	}
	return fmt.Sprintf("A chunk of %s takes %s, one of %s %s: %s takes %s.",
		best.Policy, price(&best.Summary), rival.Policy, price(&rival.Summary), best.Policy, relation)
}

// price says what a chunk costs.
func price(s *Summary) string {
	text := fmt.Sprintf("%.3g ms (p99 %.3g ms, %.4g model calls", s.ChunkMS.P50, s.ChunkMS.P99, s.CallsPerChunk)
	if s.CallsPerChunk == 1 {
		text = strings.TrimSuffix(text, "s")
	}
	if s.TokensPerChunk > 0 {
		text += fmt.Sprintf(", %.4g tokens", s.TokensPerChunk)
	}
	return text + ")"
}

// percentagePoints puts a difference of shares into words, with its interval.
func percentagePoints(d float64, ci Interval) string {
	return fmt.Sprintf("%.0f percentage points (95 %% interval %+.0f to %+.0f)", 100*d, 100*ci[0]+0, 100*ci[1]+0) // +0 turns -0 into 0
}

// pValue rounds p as papers do.
func pValue(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return fmt.Sprintf("%.2g", p)
}
