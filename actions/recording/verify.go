package recording

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"slices"
)

// VerifyOptions says what Verify does beyond reading every row.
type VerifyOptions struct {
	Frames   bool                     // decode every image too; videos need ffmpeg
	Progress func(episode, total int) // called before each file's or episode's turn; may be nil
}

// Report is what Verify found.
type Report struct {
	Dir          string                   `json:"dir"`
	Version      string                   `json:"codebase_version"`
	Robot        string                   `json:"robot_type"`
	FPS          float64                  `json:"fps"`
	Tasks        []string                 `json:"tasks"`
	Episodes     int                      `json:"episodes"`
	Frames       int                      `json:"frames"`         // rows read
	Images       int                      `json:"images_decoded"` // 0 unless asked for
	LargestDrift float64                  `json:"largest_drift_s"`
	Features     map[string]FeatureReport `json:"features"`
	Problems     []Problem                `json:"problems"`
}

// FeatureReport is what the rows of one feature hold.
type FeatureReport struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`

	// Smallest and largest finite value in each dimension; of images, in each colour
	// channel, scaled to [0, 1]. Empty where nothing was read.
	Min []float64 `json:"min,omitempty"`
	Max []float64 `json:"max,omitempty"`
}

// Severity grades a problem.
type Severity string

const (
	// SeverityError marks a problem with which a reader fails or gets wrong numbers.
	SeverityError Severity = "error"

	// SeverityWarning marks a promise that is not kept, while the data can still be used.
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with a recording, or one kind of thing in many rows:
// then it names the first row (of a drift, the worst) and says how many there are.
type Problem struct {
	Severity Severity `json:"severity"`
	Defect
	Rows int `json:"rows,omitempty"` // rows that have the problem; 0 where it is not one of rows
}

// Failed reports whether there is a problem of SeverityError.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Severity == SeverityError })
}

// Verify reads all of the recording in the folder dir and holds it to what its metadata
// promise. What is wrong with the recording stands in the report; the error is ctx's own,
// or ErrNoFFmpeg.
func Verify(ctx context.Context, dir string, options VerifyOptions) (*Report, error) {
	report := &Report{Dir: dir, Tasks: []string{}, Features: map[string]FeatureReport{}, Problems: []Problem{}}
	d, err := open(dir)
	if err != nil {
		report.Problems = append(report.Problems, Problem{Severity: SeverityError, Defect: *unreadable("", err, "metadata")})
		return report, nil
	}
	report.Version, report.Robot, report.FPS = d.Info.Version, d.Info.Robot, d.Info.FPS
	report.Episodes = len(d.Episodes)
	for _, index := range slices.Sorted(maps.Keys(d.Tasks)) {
		report.Tasks = append(report.Tasks, d.Tasks[index])
	}

	v := &verifier{Dataset: d, report: report, options: options,
		moments: make(map[string]*moments), tallies: make(map[tally]int)}
	if options.Frames && v.hasVideo() {
		if _, err := exec.LookPath("ffmpeg"); err != nil {
			return nil, ErrNoFFmpeg
		}
	}
	v.checkEpisodes()
	if err := v.checkRows(ctx); err != nil {
		return nil, fmt.Errorf("verify %s: %w", dir, err)
	}
	v.checkTotals()
	v.checkStats()
	v.checkVideos()
	if options.Frames {
		if err := v.checkFrames(ctx); err != nil {
			return nil, fmt.Errorf("verify %s: %w", dir, err)
		}
	}
	v.describe()
	return report, nil
}

// verifier is one run of Verify.
type verifier struct {
	*Dataset
	report  *Report
	options VerifyOptions
	moments map[string]*moments // of what was read, by feature
	tallies map[tally]int       // problem of each kind, as a position in report.Problems
}

// tally is a kind of problem that many rows may have.
type tally struct{ column, kind string }

// fail adds a problem of a whole file or of the metadata.
func (v *verifier) fail(severity Severity, d *Defect) {
	v.report.Problems = append(v.report.Problems, Problem{Severity: severity, Defect: *d})
}

// failError adds err, which a reader returned, as a problem. It returns err if it is no
// fault of the recording: when ctx is done.
func (v *verifier) failError(ctx context.Context, err error) error {
	var d *Defect
	if ctx.Err() != nil || !errors.As(err, &d) {
		return err
	}
	v.fail(SeverityError, d)
	return nil
}

// failRow adds a problem of one row of a column, or counts it where the column has a
// problem of this kind already.
func (v *verifier) failRow(severity Severity, kind, file, column string, row int, e *Episode, found, expected string) *Problem {
	at, known := v.tallies[tally{column, kind}]
	if !known {
		at = len(v.report.Problems)
		v.tallies[tally{column, kind}] = at
		d := &Defect{File: file, Column: column, Row: new(row), Found: found, Expected: expected}
		if e != nil {
			d.Episode = new(e.Index)
		}
		v.fail(severity, d)
	}
	p := &v.report.Problems[at]
	p.Rows++
	return p
}

func (v *verifier) hasVideo() bool {
	for _, f := range v.Info.Features {
		if f.DType == "video" {
			return true
		}
	}
	return false
}

// checkEpisodes holds the episodes' metadata to each other.
func (v *verifier) checkEpisodes() {
	next := 0
	for i, e := range v.Episodes {
		metadata := func(column, found, expected string) {
			v.failRow(SeverityError, "order", "meta/episodes", column, i, &e, found, expected)
		}
		if e.Index != i {
			metadata("episode_index", fmt.Sprint(e.Index), fmt.Sprintf("%d: episodes counted from 0 without gaps", i))
		}
		if e.From != next {
			metadata("dataset_from_index", fmt.Sprint(e.From), fmt.Sprintf("%d, where the episode before ends", next))
		}
		next = e.To
		for name, video := range e.Videos {
			if video.To == 0 {
				continue
			}
			if frames := (video.To - video.From) * v.Info.FPS; !(math.Abs(frames-float64(e.Length)) <= 0.5) {
				metadata("videos/"+name+"/to_timestamp", fmt.Sprintf("%.2f frames from %v s to %v s", frames, video.From, video.To), fmt.Sprintf("%d, the episode's length", e.Length))
			}
		}
		for _, task := range e.Tasks {
			if !slices.Contains(v.report.Tasks, task) {
				v.failRow(SeverityWarning, "unknown task", "meta/episodes", "tasks", i, &e, fmt.Sprintf("%q", task), "a task of the list of tasks")
			}
		}
	}
}

// checkTotals holds info.json to what was read.
func (v *verifier) checkTotals() {
	for _, total := range []struct {
		key            string
		promised, have int
		severity       Severity
	}{
		{"total_episodes", v.Info.TotalEpisodes, len(v.Episodes), SeverityError},
		{"total_frames", v.Info.TotalFrames, v.report.Frames, SeverityError},
		{"total_tasks", v.Info.TotalTasks, len(v.Tasks), SeverityWarning},
	} {
		if total.promised != total.have {
			v.fail(total.severity, &Defect{File: infoFile, Column: total.key, Found: fmt.Sprint(total.promised), Expected: fmt.Sprintf("%d, as many as there are", total.have)})
		}
	}
	for _, name := range v.Info.FeatureNames() {
		f := v.Info.Features[name]
		want := f.Width()
		if f.Camera() {
			want = len(f.Shape)
		}
		if len(f.Names) > 0 && len(f.Names) != want {
			v.fail(SeverityWarning, &Defect{File: infoFile, Column: name, Found: fmt.Sprintf("%d names", len(f.Names)), Expected: fmt.Sprintf("%d for the shape %v", want, f.Shape)})
		}
	}
}

// describe fills the report's features.
func (v *verifier) describe() {
	for name, f := range v.Info.Features {
		described := FeatureReport{DType: f.DType, Shape: f.Shape}
		if m := v.moments[name]; m != nil && m.seen() {
			described.Min, described.Max = m.min, m.max
		}
		v.report.Features[name] = described
	}
}
