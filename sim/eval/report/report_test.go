package report

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"image/gif"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"govla/actions"
	"govla/internal/testenv"
	"govla/robot"
	"govla/sim"
	"govla/sim/eval"
)

// pusher goes for a point of the table, whatever it sees.
type pusher struct {
	spec actions.PolicySpec
	x, y float32
}

func (p *pusher) Spec() actions.PolicySpec { return p.spec }

func (p *pusher) Predict(_ context.Context, in actions.Input) (actions.Chunk, error) {
	chunk := actions.NewChunk(in.Window[0].Time, 100*time.Millisecond, p.spec.Horizon, 2)
	for i := range chunk.Horizon() {
		chunk.At(i)[0], chunk.At(i)[1] = p.x, p.y
	}
	chunk.ModelCalls = 1
	return chunk, nil
}

// short is a table whose episodes end after a second, as if solved where odd says so.
type short struct {
	robot.Simulator
	seed int64
	odd  bool
}

func (s *short) Reset(ctx context.Context, seed int64) ([]float64, error) {
	s.seed = seed
	return s.Simulator.Reset(ctx, seed)
}

func (s *short) Score() robot.Score {
	score := s.Simulator.Score()
	if score.Step >= 10 {
		score.Done, score.Success = true, s.odd || s.seed%2 == 0
	}
	return score
}

// page compares two policies on PushT for a few seconds. The names are not to be trusted.
func page(t testing.TB) *Page {
	t.Helper()
	env, err := sim.Lookup("pusht", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan := eval.Plan{
		Options: eval.Options{Env: "pusht", Episodes: 6, Seed: 1000}, Tasks: []string{""},
		Latencies: []time.Duration{0, 200 * time.Millisecond, 5 * time.Second},
	}
	for i, name := range []string{`flow <b>"1"</b>`, "tokens & co"} {
		world := env
		world.Open = func() (robot.Simulator, error) {
			inner, err := env.Open()
			return &short{Simulator: inner, odd: i == 0}, err
		}
		p := &pusher{x: 100 + 200*float32(i), y: 256, spec: actions.PolicySpec{
			Name: name, State: env.Spec.State, Action: env.Spec.Action, ObservationSteps: 1, Horizon: 16, ExecuteSteps: 8, Rate: 10,
		}}
		plan.Entrants = append(plan.Entrants, eval.Entrant{Name: name, Spec: p.spec, Open: func(eval.Condition) (*eval.Player, error) {
			return &eval.Player{Policy: p, Env: world, Close: func() error { return nil }}, nil
		}})
	}
	c, err := eval.Compare(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	return &Page{
		Comparison: c, Command: "vla compare --policies 'a b'", Parallel: 2,
		Machine:     Machine{CPU: "Some CPU", Cores: 2, Platform: "linux/amd64", Program: "vla"},
		Made:        time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC),
		Environment: func(string) (sim.Environment, error) { return env, nil },
	}
}

func write(t testing.TB, p *Page) string {
	t.Helper()
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("GOVLA_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "report.html"), out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestPage: what a reader needs is there, as text, and nothing comes from elsewhere.
func TestPage(t *testing.T) {
	p := page(t)
	text := write(t, p)
	seen := html.UnescapeString(text)
	for _, words := range append(slices.Clone(p.Comparison.Conclusion),
		p.Command, "1000 to 1005", "Some CPU, 2 cores, linux/amd64; 2 episodes at a time", "24 November 2026",
		"tokens & co", `flow <b>"1"</b>`, "solved after 1.0 s", "not solved, best reward",
		"Left out: tokens & co at 5s", "prefers-color-scheme: dark",
	) {
		if !strings.Contains(seen, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if strings.Contains(text, "<b>\"1\"") || strings.Contains(text, "ZgotmplZ") {
		t.Error("names reach the page as they are, or data was taken for dangerous")
	}
	for _, banned := range []string{"<script", "<link", "@import", "url(", "<iframe"} {
		if strings.Contains(text, banned) {
			t.Errorf("the page has %q", banned)
		}
	}
	for _, source := range regexp.MustCompile(`(?:src|srcset|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(source[1], "data:image/") {
			t.Errorf("the page needs %.60s", source[1])
		}
	}
	for _, tag := range []string{"html", "main", "table", "figure", "details", "section", "svg", "picture", "dl", "ul"} {
		opened, closed := len(regexp.MustCompile("<"+tag+`[ >]`).FindAllString(text, -1)), strings.Count(text, "</"+tag+">")
		if opened == 0 || opened != closed {
			t.Errorf("%d <%s> and %d </%s>", opened, tag, closed, tag)
		}
	}
}

// TestFigures: every figure is well-formed by itself, says what it shows, and has no colour
// that a dark page would hide.
func TestFigures(t *testing.T) {
	text := write(t, page(t))
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(drawings) != 4 { // scores, rewards, differences, latency
		t.Errorf("%d figures, want 4", len(drawings))
	}
	for _, svg := range drawings {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		shapes, words := 0, 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %.200s", err, svg)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			switch start.Name.Local {
			case "svg":
				if attribute(start, "role") != "img" || len(attribute(start, "aria-label")) < 20 || attribute(start, "viewBox") == "" || attribute(start, "width") != "" {
					t.Errorf("figure with %v", start.Attr)
				}
			case "path":
				shapes++
			case "text":
				words++
			}
			if style := attribute(start, "style"); strings.Contains(style, "#000000") || strings.Contains(style, "#FFFFFF") {
				t.Errorf("%s has %s", start.Name.Local, style)
			}
		}
		if shapes < 5 || words < 5 {
			t.Errorf("%d shapes and %d words in %.200s", shapes, words, svg)
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// TestClips: for an episode in which the policies agree and one in which they do not, each
// has its animation, of the same length, a still of it, and words for it.
func TestClips(t *testing.T) {
	text := write(t, page(t))
	if !strings.Contains(text, "Seed 1000: solved by all") || !strings.Contains(html.UnescapeString(text), `Seed 1001: solved only by flow <b>"1"</b>`) {
		t.Error("the episodes shown are not the first of each kind")
	}
	pictures := regexp.MustCompile(`(?s)<picture>.*?srcset="data:image/png;base64,([^"]*)".*?<img src="data:image/gif;base64,([^"]*)" width="(\d+)" height="\d+" alt="(Animation of seed [^"]*)">`).FindAllStringSubmatch(text, -1)
	if len(pictures) != 4 {
		t.Fatalf("%d clips, want 4", len(pictures))
	}
	for _, p := range pictures {
		animation, err := gif.DecodeAll(decode(t, p[2]))
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, d := range animation.Delay {
			total += d
		}
		if total != 250 || len(animation.Image) < 5 || fmt.Sprint(animation.Config.Width) != p[3] { // a second and a half to look
			t.Errorf("%s: %d frames in %d hundredths of a second, %d px", p[4], len(animation.Image), total, animation.Config.Width)
		}
		if _, err := png.Decode(decode(t, p[1])); err != nil {
			t.Error(err)
		}
	}
}

func decode(t testing.TB, base string) io.Reader {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(html.UnescapeString(base))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 400_000 {
		t.Errorf("%d bytes of picture", len(data))
	}
	return bytes.NewReader(data)
}

func TestTelling(t *testing.T) {
	for _, test := range []struct {
		episodes   []string // a string for each policy, 1 where it solves the episode
		references []string
		want       []int
	}{
		{[]string{"0101", "0011"}, nil, []int{3, 1}},
		{[]string{"0100", "0010"}, nil, []int{0, 1}},
		{[]string{"00", "00"}, nil, []int{0}},
		{[]string{"10", "01"}, nil, []int{0}},
		{[]string{"001", "101", "111"}, []string{"2"}, []int{2, 0}},
	} {
		c := &eval.Comparison{References: test.references}
		for i, episodes := range test.episodes {
			r := &eval.Report{Summary: eval.Summary{Policy: fmt.Sprint(i)}}
			for _, outcome := range episodes {
				r.EpisodesDetail = append(r.EpisodesDetail, eval.Episode{Success: outcome == '1'})
			}
			c.Policies = append(c.Policies, r)
		}
		if have := telling(c); !slices.Equal(have, test.want) {
			t.Errorf("%v: %v, want %v", test.episodes, have, test.want)
		}
	}
}

// TestPageInABrowser: Chromium, without a network, shows the page, light and dark, wide and
// narrow.
func TestPageInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	chromium := testenv.Tool(t, "chromium")
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, []byte(write(t, page(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, look := range map[string]struct {
		width int
		dark  bool
	}{"wide": {1200, false}, "narrow": {400, false}, "dark": {1200, true}} {
		picture := filepath.Join(dir, name+".png")
		arguments := []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
			"--user-data-dir=" + filepath.Join(dir, name), "--screenshot=" + picture, fmt.Sprintf("--window-size=%d,2000", look.width),
		}
		if look.dark {
			arguments = append(arguments, "--blink-settings=preferredColorScheme=0")
		}
		if out, err := exec.CommandContext(t.Context(), chromium, append(arguments, "file://"+file)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		data, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		shot, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("GOVLA_PICTURES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "report_"+name+".png"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		count := map[[3]uint8]int{}
		for y := range shot.Bounds().Dy() {
			for x := range shot.Bounds().Dx() {
				r, g, b, _ := shot.At(x, y).RGBA()
				count[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
			}
		}
		paper := [3]uint8{255, 255, 255}
		if look.dark {
			paper = [3]uint8{0x11, 0x15, 0x1a}
		}
		pixels := shot.Bounds().Dx() * shot.Bounds().Dy()
		if share := float64(count[paper]) / float64(pixels); share < 0.4 || share > 0.95 {
			t.Errorf("%s: %.2f of the picture is blank", name, share)
		}
		for _, colour := range [][3]uint8{{0x1f, 0x77, 0xb4}, {0xff, 0x7f, 0x0e}} { // the bars
			if count[colour] < 300 {
				t.Errorf("%s: %d pixels of colour %x", name, count[colour], colour)
			}
		}
	}
}
