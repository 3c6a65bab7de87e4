package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Stats are statistics of one feature over all rows, one number for each dimension; for
// images one for each colour channel, scaled to [0, 1].
type Stats struct {
	Count int // rows (for images: sampled frames) behind the numbers; 0 where it is not said

	Min, Max, Mean, Std []float64

	// Quantiles; nil where the recording does not ship them, as v2 never does.
	Q01, Q10, Q50, Q90, Q99 []float64
}

// flatNumbers reads numbers and truth values, however deeply nested: images have
// [[[0.1]],[[0.2]],[[0.3]]].
type flatNumbers []float64

// UnmarshalJSON flattens nested lists in the order of the document.
func (n *flatNumbers) UnmarshalJSON(data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*n = nil
	return n.append(value)
}

func (n *flatNumbers) append(value any) error {
	switch v := value.(type) {
	case nil:
	case float64:
		*n = append(*n, v)
	case bool:
		if v {
			*n = append(*n, 1)
		} else {
			*n = append(*n, 0)
		}
	case []any:
		for _, item := range v {
			if err := n.append(item); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("have %.40v, want numbers", v)
	}
	return nil
}

// UnmarshalJSON reads the statistics of one feature as LeRobot writes them.
func (s *Stats) UnmarshalJSON(data []byte) error {
	var raw struct {
		Min, Max, Mean, Std     flatNumbers
		Count                   flatNumbers
		Q01, Q10, Q50, Q90, Q99 flatNumbers
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*s = Stats{
		Min: raw.Min, Max: raw.Max, Mean: raw.Mean, Std: raw.Std,
		Q01: raw.Q01, Q10: raw.Q10, Q50: raw.Q50, Q90: raw.Q90, Q99: raw.Q99,
	}
	if len(raw.Count) > 0 {
		count, ok := wholeNumber(raw.Count[0])
		if !ok || count < 0 {
			return fmt.Errorf("have a count of %v, want a whole number of at least 0", raw.Count[0])
		}
		s.Count = count
	}
	return nil
}

// readStats returns the statistics by feature: those of v3 and v2.0 as they stand in
// meta/stats.json, those of v2.1 added up from meta/episodes_stats.jsonl.
func readStats(dir string, info *Info) (map[string]Stats, error) {
	const whole, episodes = "meta/stats.json", "meta/episodes_stats.jsonl"
	stats := make(map[string]Stats)
	if info.major() == 2 && exists(dir, episodes) {
		type line struct {
			Index int              `json:"episode_index"`
			Stats map[string]Stats `json:"stats"`
		}
		err := readLines(dir, episodes, func(l line) error {
			for name, s := range l.Stats {
				merged, err := stats[name].merge(s)
				if err != nil {
					return &Defect{File: episodes, Column: name, Episode: new(l.Index), Found: err.Error(), Expected: "as many numbers as in the other episodes, and their count"}
				}
				stats[name] = merged
			}
			return nil
		})
		return stats, err
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(whole)))
	if errors.Is(err, os.ErrNotExist) {
		return stats, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &stats)
	}
	if err != nil {
		return nil, unreadable(whole, err, "a JSON object of statistics by feature")
	}
	return stats, nil
}

// merge returns the statistics of the rows of s and o together. Means and variances are
// combined as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
// computing sample variances" (1979), eq. 2.1, with the population's variance (divided by
// the count). Quantiles do not add up: where both have them their mean weighted by the
// counts stands for them, as in LeRobot. The zero Stats is neutral.
func (s Stats) merge(o Stats) (Stats, error) {
	if s.Count == 0 && s.Min == nil {
		return o, o.checkShape(len(o.Min))
	}
	if err := o.checkShape(len(s.Min)); err != nil {
		return Stats{}, err
	}
	n, m := float64(s.Count), float64(o.Count)
	both := Stats{Count: s.Count + o.Count}
	for i := range s.Min {
		delta := o.Mean[i] - s.Mean[i]
		squares := s.Std[i]*s.Std[i]*n + o.Std[i]*o.Std[i]*m + delta*delta*n*m/(n+m)
		both.Min = append(both.Min, min(s.Min[i], o.Min[i]))
		both.Max = append(both.Max, max(s.Max[i], o.Max[i]))
		both.Mean = append(both.Mean, s.Mean[i]+delta*m/(n+m))
		both.Std = append(both.Std, math.Sqrt(squares/(n+m)))
	}
	for _, q := range quantiles {
		a, b := *q.of(&s), *q.of(&o)
		if len(a) != len(s.Min) || len(b) != len(s.Min) {
			continue
		}
		for i := range a {
			*q.of(&both) = append(*q.of(&both), (a[i]*n+b[i]*m)/(n+m))
		}
	}
	return both, nil
}

// checkShape returns an error unless s has a count and width numbers of each kind.
func (s Stats) checkShape(width int) error {
	if s.Count < 1 {
		return fmt.Errorf("a count of %d", s.Count)
	}
	if len(s.Min) != width || len(s.Max) != width || len(s.Mean) != width || len(s.Std) != width {
		return fmt.Errorf("%d minima, %d maxima, %d means, %d deviations", len(s.Min), len(s.Max), len(s.Mean), len(s.Std))
	}
	return nil
}
