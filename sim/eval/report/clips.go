package report

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"govla/sim/eval"
)

// clipRow shows one episode by every policy.
type clipRow struct {
	Title string
	Clips []clip
}

type clip struct {
	Policy, Ending string
	Text           string // for those who do not see it
	Size           int    // px
	GIF            template.URL
	Still          template.Srcset
}

// clips draws an episode in which the policies agree, and one in which they do not.
func (p *Page) clips() ([]clipRow, error) {
	var rows []clipRow
	for _, i := range telling(p.Comparison) {
		row, err := p.clipRow(i)
		if err != nil {
			return nil, err
		}
		if row != nil {
			rows = append(rows, *row)
		}
	}
	return rows, nil
}

// telling returns the first episode in which all policies end alike, rather one that all
// solve, and the first in which they do not, where there are such. Those that are only for
// reference have no say.
func telling(c *eval.Comparison) []int {
	judged := slices.DeleteFunc(slices.Clone(c.Policies), func(r *eval.Report) bool { return slices.Contains(c.References, r.Policy) })
	solved, unsolved, differ := -1, -1, -1
	first := func(at *int, i int) {
		if *at < 0 {
			*at = i
		}
	}
	for i := range c.Policies[0].EpisodesDetail {
		n := 0
		for _, r := range judged {
			if r.EpisodesDetail[i].Success {
				n++
			}
		}
		switch n {
		case len(judged):
			first(&solved, i)
		case 0:
			first(&unsolved, i)
		default:
			first(&differ, i)
		}
	}
	if solved < 0 {
		solved = unsolved
	}
	return slices.DeleteFunc([]int{solved, differ}, func(i int) bool { return i < 0 })
}

// clipRow draws episode i by every policy, or returns nil where nothing can draw it.
func (p *Page) clipRow(i int) (*clipRow, error) {
	first := &p.Comparison.Policies[0].EpisodesDetail[i]
	task := first.Task
	if task == "" && len(p.Comparison.Tasks) > 0 {
		task = p.Comparison.Tasks[0]
	}
	env, err := p.Environment(task)
	if err != nil {
		return nil, err
	}
	if env.NewPainter == nil {
		return nil, nil
	}
	lasts, solvers := time.Duration(0), []string(nil)
	for _, r := range p.Comparison.Policies {
		e := &r.EpisodesDetail[i]
		lasts = max(lasts, time.Duration(e.Seconds*float64(time.Second))+1500*time.Millisecond)
		if e.Success {
			solvers = append(solvers, r.Policy)
		}
	}
	row := &clipRow{Title: fmt.Sprintf("Seed %s: %s", episodeName(first), solvedBy(solvers, len(p.Comparison.Policies)))}
	for _, r := range p.Comparison.Policies {
		e := &r.EpisodesDetail[i]
		drawn, err := e.Trace.Clip(env, e.Seed, lasts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Policy, err)
		}
		row.Clips = append(row.Clips, clip{
			Policy: r.Policy, Ending: ending(e), Size: drawn.Size,
			Text:  fmt.Sprintf("Animation of seed %s by %s: %s.", episodeName(e), r.Policy, ending(e)),
			GIF:   template.URL("data:image/gif;base64," + base64.StdEncoding.EncodeToString(drawn.GIF)),
			Still: template.Srcset("data:image/png;base64," + base64.StdEncoding.EncodeToString(drawn.Still)),
		})
	}
	return row, nil
}

func solvedBy(solvers []string, of int) string {
	switch len(solvers) {
	case 0:
		return "solved by none"
	case of:
		return "solved by all"
	default:
		return "solved only by " + strings.Join(solvers, " and ")
	}
}
