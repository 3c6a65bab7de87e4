package eval

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Study is how the policies fare as one thing is varied.
type Study struct {
	Name   string   `json:"name"` // tasks, steps, latency, splits or demonstrations
	Axis   string   `json:"axis"` // what is varied, with its unit
	Series []Series `json:"series"`

	// Findings say in words what changes from the first point of each series to its last,
	// and who is ahead there.
	Findings []string `json:"findings,omitempty"`

	// Notes say what was left out, and why.
	Notes []string `json:"notes,omitempty"`
}

// Series are the points of one policy, or of the policies with one head.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`

	colour    int  // the policy's, among those of the comparison
	reference bool // of a policy that is not weighed against the others
}

// Point is a policy at one place of the axis.
type Point struct {
	Value float64 `json:"value"` // its place among the others where these are words
	Label string  `json:"label"`
	Summary

	// Change is the paired difference to the first point of the series, and Versus that to
	// the first series at the same place; null where that is the same point, or where the
	// episodes do not correspond.
	Change *Difference `json:"change"`
	Versus *Difference `json:"versus"`
}

// Names of the studies.
const (
	studyTasks          = "tasks"
	studySteps          = "steps"
	studyLatency        = "latency"
	studySplits         = "splits"
	studyDemonstrations = "demonstrations"
)

// draft is a study that is yet to be played.
type draft struct {
	name, axis string
	series     []draftSeries
	notes      []string
}

type draftSeries struct {
	name      string
	colour    int
	reference bool
	points    []draftPoint
}

type draftPoint struct {
	value   float64
	label   string
	setting setting
}

func (w *work) addAll(d draft) {
	for _, series := range d.series {
		for _, p := range series.points {
			w.add(p.setting)
		}
	}
}

// drafts returns the studies that the plan asks for and that have something to show.
func (w *work) drafts() []draft {
	var all []draft
	for _, d := range []draft{w.byTask(), w.bySteps(), w.byLatency(), w.bySplit(), w.byDemonstrations()} {
		d.series = slices.DeleteFunc(d.series, func(s draftSeries) bool { return len(s.points) == 0 })
		if len(d.series) > 0 || len(d.notes) > 0 {
			all = append(all, d)
		}
	}
	return all
}

// each returns a series for each of the plan's entrants, with the points that it has.
func (w *work) each(points func(entrant int, usual setting) []draftPoint) []draftSeries {
	var all []draftSeries
	for i, e := range w.plan.Entrants {
		all = append(all, draftSeries{e.Name, i, e.Reference, points(i, setting{entrant: i, Condition: Condition{Split: w.plan.Split}})})
	}
	return all
}

func (w *work) byTask() draft {
	if len(w.plan.Tasks) < 2 {
		return draft{name: studyTasks, axis: "task"}
	}
	return w.byLabel(studyTasks, "task", w.plan.Tasks, func(s *setting, task string) { s.Task = task })
}

// byLabel has a point for each label, which set puts into the setting.
func (w *work) byLabel(name, axis string, labels []string, set func(s *setting, label string)) draft {
	d := draft{name: name, axis: axis}
	if len(labels) == 0 {
		return d
	}
	d.series = w.each(func(_ int, s setting) (points []draftPoint) {
		for k, label := range labels {
			set(&s, label)
			points = append(points, draftPoint{float64(k), label, s})
		}
		return points
	})
	return d
}

func (w *work) bySteps() draft {
	d := draft{name: studySteps, axis: "Euler steps"}
	if len(w.plan.Steps) == 0 {
		return d
	}
	var without []string
	d.series = w.each(func(entrant int, s setting) (points []draftPoint) {
		if !w.all[entrant].Steps {
			without = append(without, w.all[entrant].Name)
			return nil
		}
		for _, steps := range distinct(w.plan.Steps) {
			s.Steps = steps
			points = append(points, draftPoint{float64(steps), strconv.Itoa(steps), s})
		}
		return points
	})
	if len(without) > 0 {
		d.notes = append(d.notes, fmt.Sprintf("Left out, because there are no steps to choose: %s.", strings.Join(without, ", ")))
	}
	return d
}

func (w *work) byLatency() draft {
	d := draft{name: studyLatency, axis: "control latency, ms"}
	if len(w.plan.Latencies) == 0 {
		return d
	}
	d.series = w.each(func(entrant int, s setting) (points []draftPoint) {
		e := w.all[entrant]
		// What a chunk has for later than this is nothing: the robot would never move.
		farthest := float64(e.Spec.Horizon-e.Spec.ObservationSteps) / e.Spec.Rate
		for _, latency := range distinct(w.plan.Latencies) {
			if latency.Seconds() > farthest+1e-9 {
				d.notes = append(d.notes, fmt.Sprintf("Left out: %s at %v, because its chunks reach only %.3g s ahead.", e.Name, latency, farthest))
				continue
			}
			s.latency = latency
			ms := float64(latency) / float64(time.Millisecond)
			points = append(points, draftPoint{ms, strconv.FormatFloat(ms, 'g', 6, 64), s})
		}
		return points
	})
	return d
}

func (w *work) bySplit() draft {
	return w.byLabel(studySplits, "kind of episodes", w.plan.Splits, func(s *setting, split string) { s.Split = split })
}

// byDemonstrations has a line for each head.
func (w *work) byDemonstrations() draft {
	d := draft{name: studyDemonstrations, axis: "demonstrations"}
	if w.plan.Trained == nil {
		return d
	}
	var unknown []string
	for i, e := range w.all {
		if e.Spec.Demonstrations == 0 {
			if !e.Reference {
				unknown = append(unknown, e.Name)
			}
			continue
		}
		head := cmp.Or(e.Spec.Head, "unknown head")
		k := slices.IndexFunc(d.series, func(s draftSeries) bool { return s.name == head })
		if k < 0 {
			k = len(d.series)
			d.series = append(d.series, draftSeries{name: head, colour: i})
		}
		d.series[k].points = append(d.series[k].points, draftPoint{
			float64(e.Spec.Demonstrations), strconv.Itoa(e.Spec.Demonstrations), setting{entrant: i, Condition: Condition{Split: w.plan.Split}},
		})
	}
	for _, s := range d.series {
		slices.SortStableFunc(s.points, func(a, b draftPoint) int { return cmp.Compare(a.value, b.value) })
	}
	if len(unknown) > 0 {
		d.notes = append(d.notes, fmt.Sprintf("Left out, because the checkpoint does not say how many demonstrations it had: %s.", strings.Join(unknown, ", ")))
	}
	return d
}

// distinct returns values in order, each once.
func distinct[T cmp.Ordered](values []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// study fills in a draft with what came of it.
func (w *work) study(d draft) Study {
	s := Study{Name: d.name, Axis: d.axis, Notes: d.notes}
	paired := d.name != studyTasks // two tasks with the same seed have nothing else in common
	for i, series := range d.series {
		out := Series{Name: series.name, colour: series.colour, reference: series.reference}
		for k, p := range series.points {
			r := w.report(p.setting)
			point := Point{Value: p.value, Label: p.label, Summary: r.Summary}
			if paired && k > 0 {
				change := difference(r, w.report(series.points[0].setting))
				point.Change = &change
			}
			if i > 0 {
				for _, other := range d.series[0].points {
					if other.value == p.value {
						versus := difference(r, w.report(other.setting))
						point.Versus = &versus
						break
					}
				}
			}
			out.Points = append(out.Points, point)
		}
		s.Series = append(s.Series, out)
	}
	s.Findings = s.find()
	return s
}

// find puts into words what the series show, but for those that are only for reference.
func (s *Study) find() []string {
	var all []string
	judged := slices.DeleteFunc(slices.Clone(s.Series), func(s Series) bool { return s.reference })
	for _, series := range judged {
		first := series.Points[0]
		for i, p := range series.Points {
			if p.Change != nil && (s.inWords() || i == len(series.Points)-1) {
				all = append(all, fmt.Sprintf("%s %s, compared with %s: %s.", series.Name, s.where(p.Label), first.Label, moved(p.Change)))
			}
		}
	}
	for _, series := range judged {
		for _, p := range series.Points {
			if d := p.Versus; d != nil && !s.Series[0].reference && d.clear() {
				better, worse, by, ci := series.Name, s.Series[0].Name, d.Success, d.SuccessCI95
				if by < 0 {
					better, worse, by, ci = worse, better, -by, ci.negated()
				}
				all = append(all, fmt.Sprintf("%s leads %s %s by %s.", better, worse, s.where(p.Label), percentagePoints(by, ci)))
			}
		}
	}
	return all
}

// where says in words which place of the axis has that label.
func (s *Study) where(label string) string {
	switch s.Name {
	case studySteps:
		return "at " + label + " Euler steps"
	case studyLatency:
		return "at " + label + " ms of latency"
	case studyDemonstrations:
		return "at " + label + " demonstrations"
	default:
		return "on " + label
	}
}

// moved says how success changed.
func moved(d *Difference) string {
	switch {
	case d.OnlyPolicy == 0 && d.OnlyBaseline == 0:
		return "every episode ends alike"
	case !d.clear():
		return "no clear change in success, " + percentagePoints(d.Success, d.SuccessCI95)
	case d.Success > 0:
		return "success rises by " + percentagePoints(d.Success, d.SuccessCI95)
	default:
		return "success falls by " + percentagePoints(-d.Success, d.SuccessCI95.negated())
	}
}
