// Package report writes a comparison of policies as one HTML page that needs nothing beside
// it: figures are SVG within the page, animations data URIs, and there are no scripts.
package report

import (
	_ "embed" // for the page's template
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"govla/sim"
	"govla/sim/eval"
)

// Page is a comparison, and what a reader has to know to believe it and to repeat it.
type Page struct {
	Comparison *eval.Comparison
	Command    string // as it was typed
	Machine    Machine
	Made       time.Time
	Parallel   int // episodes that were played at a time, and so shared the machine

	// Environment returns the environment with a task, to draw the clips; there are none for
	// one without a painter.
	Environment func(task string) (sim.Environment, error)
}

// Machine is what the comparison ran on.
type Machine struct {
	CPU      string // empty where it is not known
	Cores    int
	Platform string // operating system and architecture
	Program  string // version of this program and of Go
}

//go:embed report.html
var layout string

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	c := p.Comparison
	view := struct {
		*Page
		*eval.Comparison
		Title      string
		Lead       []string // sentences of the conclusion
		Main       table
		Figures    []figure
		StudyViews []study
		Clips      []clipRow
		Single     table
		LastSeed   int64
	}{Page: p, Comparison: c, Title: title(c), Lead: c.Conclusion, Main: tableOf("Results of each policy over all episodes", c.Table()), Single: episodes(c), LastSeed: c.Seed + int64(c.Episodes) - 1}
	var err error
	if view.Figures, err = figures(c); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for i := range c.Studies {
		s, err := newStudy(&c.Studies[i])
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		view.StudyViews = append(view.StudyViews, s)
	}
	if view.Clips, err = p.clips(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	t, err := template.New("report").Parse(layout)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, view); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// title names the policies and where they were measured.
func title(c *eval.Comparison) string {
	var names []string
	for _, r := range c.Policies {
		names = append(names, r.Policy)
	}
	where := c.Env
	if len(c.Tasks) > 0 {
		where += ": " + strings.Join(c.Tasks, ", ")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last] + " on " + where
}

// table is a table with a header row, whose first column says what a row is.
type table struct {
	Caption string
	Header  []string
	Rows    []tableRow
}

type tableRow struct {
	Name  string
	Part  bool // of what the row before it says
	Cells []string
}

// tableOf turns rows of cells into a table. Names that begin with spaces are parts of what
// stands above them.
func tableOf(caption string, rows [][]string) table {
	t := table{Caption: caption, Header: rows[0]}
	for _, row := range rows[1:] {
		name := strings.TrimLeft(row[0], " ")
		t.Rows = append(t.Rows, tableRow{name, name != row[0], row[1:]})
	}
	return t
}

// episodes lists every episode of the main comparison.
func episodes(c *eval.Comparison) table {
	rows := [][]string{{"seed"}}
	for _, r := range c.Policies {
		rows[0] = append(rows[0], r.Policy)
	}
	for i, e := range c.Policies[0].EpisodesDetail {
		row := []string{episodeName(&e)}
		for _, r := range c.Policies {
			row = append(row, ending(&r.EpisodesDetail[i]))
		}
		rows = append(rows, row)
	}
	return tableOf("Each episode, by each policy", rows)
}

// episodeName says which episode it is.
func episodeName(e *eval.Episode) string {
	if e.Task == "" {
		return fmt.Sprint(e.Seed)
	}
	return fmt.Sprintf("%d, %s", e.Seed, e.Task)
}

// ending says how an episode ended.
func ending(e *eval.Episode) string {
	if e.Success {
		return fmt.Sprintf("solved after %.1f s", e.Seconds)
	}
	return fmt.Sprintf("not solved, best reward %.3f", math.Floor(1000*e.MaxReward)/1000) // never rounded up to a solution's
}

// study is a study with its figure.
type study struct {
	Title    string
	Figure   figure
	Findings []string
	Notes    []string
	Table    table
}

func newStudy(s *eval.Study) (study, error) {
	v := study{Title: "By " + s.Axis, Findings: s.Findings, Notes: s.Notes, Table: tableOf("Success by "+s.Axis, s.Table())}
	if len(s.Series) == 0 {
		return v, nil
	}
	p, err := s.Plot()
	if err != nil {
		return v, err
	}
	var described []string
	for _, series := range s.Series {
		for _, point := range series.Points {
			described = append(described, fmt.Sprintf("%s at %s: %.2f", series.Name, point.Label, point.SuccessRate))
		}
	}
	v.Figure, err = newFigure(p, "Success by "+s.Axis+". "+strings.Join(described, ", ")+".", figureHeight)
	return v, err
}
