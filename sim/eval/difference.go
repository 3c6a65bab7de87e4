package eval

// Difference is a policy's score less another one's, paired by seed, with bootstrap
// intervals over the seeds.
type Difference struct {
	Policy        string   `json:"policy"`
	Baseline      string   `json:"baseline"`
	Success       float64  `json:"success"`
	SuccessCI95   Interval `json:"success_ci95"`
	MaxReward     float64  `json:"max_reward"`
	MaxRewardCI95 Interval `json:"max_reward_ci95"`

	// Episodes that only one of the two solved, and what McNemar's exact test makes of that.
	OnlyPolicy   int     `json:"only_policy_solved"`
	OnlyBaseline int     `json:"only_baseline_solved"`
	McNemarP     float64 `json:"mcnemar_p"`

	// Seconds is the mean difference of the time that both took, over the episodes that both
	// solved: comparing all that each solved would punish whoever solves the harder ones.
	// Null where there are none.
	BothSolved  int       `json:"both_solved"`
	Seconds     *float64  `json:"seconds"`
	SecondsCI95 *Interval `json:"seconds_ci95"`
}

// difference compares two reports of the same episodes.
func difference(r, baseline *Report) Difference {
	n := len(r.EpisodesDetail)
	success, reward := make([]float64, n), make([]float64, n)
	var seconds []float64
	d := Difference{Policy: r.Policy, Baseline: baseline.Policy}
	for i, e := range r.EpisodesDetail {
		b := baseline.EpisodesDetail[i]
		success[i] = number(e.Success) - number(b.Success)
		reward[i] = e.MaxReward - b.MaxReward
		d.Success += success[i] / float64(n)
		d.MaxReward += reward[i] / float64(n)
		switch {
		case e.Success && b.Success:
			d.BothSolved++
			seconds = append(seconds, e.Seconds-b.Seconds)
		case e.Success:
			d.OnlyPolicy++
		case b.Success:
			d.OnlyBaseline++
		}
	}
	d.SuccessCI95, d.MaxRewardCI95 = bootstrap(success), bootstrap(reward)
	d.McNemarP = mcnemar(d.OnlyPolicy, d.OnlyBaseline)
	if d.BothSolved > 0 {
		mean, ci := 0.0, bootstrap(seconds)
		for _, s := range seconds {
			mean += s / float64(len(seconds))
		}
		d.Seconds, d.SecondsCI95 = &mean, &ci
	}
	return d
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// clear says whether success differs by more than chance is likely to bring about: by the
// interval, which is too narrow where there are few episodes, and by the test.
func (d *Difference) clear() bool { return d.SuccessCI95.excludesZero() && d.McNemarP < significant }

// significant is the p value below which a test counts as having found something.
const significant = 0.05

// excludesZero says whether the interval lies on one side of zero.
func (i Interval) excludesZero() bool { return i[0] > 0 || i[1] < 0 }

func (i Interval) negated() Interval { return Interval{-i[1], -i[0]} }
