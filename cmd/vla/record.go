package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/actions/recording"
	"govla/policy"
	"govla/robot"
	"govla/sim"
)

// recordFlags say what is recorded, and who moves the robot.
type recordFlags struct {
	env         envFlags
	transport   transportFlags
	checkpoint  checkpointFlags
	teleop      string
	takeover    string
	instruction string
	episodes    int
	seed        int64
	rate        float64
	keep        string
	parallel    int
	out         string
	resume      bool
	codec       string
	json        bool

	seedGiven bool
}

func recordCommand() *cobra.Command {
	var flags recordFlags
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record episodes into a LeRobotDataset",
		Long: `Record episodes of a simulator or a robot into a LeRobotDataset v3.0 folder, which LeRobot
and vla train read. Whoever moves the robot is named by --teleop: the environment's scripted
expert, a person at the keyboard (docs/teleoperation.md has the keys), or a policy.

An expert or a policy plays a simulator in lockstep, as fast as it goes, several episodes at
a time; the recording does not depend on how many. At the keyboard time is real. Episode after
episode has the next seed, and each row has its seed, so that vla replay can repeat it.

With --take-over-from a policy begins each episode, and what is recorded is how --teleop goes on
from where that got to: demonstrations of how to leave the situations that the policy gets
itself into. They have no seed to repeat them by.

Failed episodes of an expert are left out, and --episodes counts those that are kept; a
person and a policy have all of theirs kept. --keep changes that.

An episode is on the disk when it has ended: Ctrl-C, or even a killed program, loses the
one in progress alone. --resume goes on in a folder that is there.`,
		Example: `  vla record --env pusht --teleop pusht-flow --cameras image --episodes 50 --out recordings/pusht
  vla record --env pusht --teleop keyboard --episodes 10 --out recordings/by-hand
  vla record --env pusht --teleop pusht-flow --episodes 50 --out recordings/pusht --resume
  vla record --env arm --take-over-from my-vla --episodes 300 --out recordings/recoveries
  vla record --nats nats://127.0.0.1:4222 --robot arm --teleop keyboard --instruction wave --out recordings/wave`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.normalise(cmd); err != nil {
				return err
			}
			report, err := flags.record(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			report.print(cmd.OutOrStdout())
			return nil
		},
	}
	flags.env.add(cmd)
	flags.transport.add(cmd)
	flags.checkpoint.add(cmd)
	directByDefault(cmd, &flags.transport)
	f := cmd.Flags()
	f.StringVar(&flags.teleop, "teleop", "", "who moves the robot: expert, keyboard, or the name or folder of a policy (default: the environment's expert, or else its embedded policy)")
	f.StringVar(&flags.takeover, "take-over-from", "", "name or folder of a policy that begins each episode, unrecorded, until --teleop takes over after a random time of up to 8 s")
	f.StringVar(&flags.instruction, "instruction", "", "the task in words (default: the robot's own, or the environment's name)")
	f.IntVar(&flags.episodes, "episodes", 10, "episodes to add to the recording")
	f.Int64Var(&flags.seed, "seed", 0, "seed of the first episode; the others count on from it (default with --resume: behind the last one recorded)")
	f.Float64Var(&flags.rate, "rate", 0, "control steps a second in real time; 0 is lockstep, as fast as it goes (default: lockstep, at the keyboard the robot's own rate)")
	f.StringVar(&flags.keep, "keep", "", "episodes of a simulator that are kept: all or success (default: success for the expert, all for others)")
	f.IntVar(&flags.parallel, "parallel", 0, "episodes that are simulated at a time, in lockstep without a transport (default: one a core)")
	f.StringVar(&flags.out, "out", "", "folder of the recording: a new one, or with --resume one that is there")
	f.BoolVar(&flags.resume, "resume", false, "add to the recording if it is there")
	f.StringVar(&flags.codec, "codec", "", "how pictures are stored: av1, h264 or png (default: the best that ffmpeg has here, png without it)")
	f.BoolVar(&flags.json, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("out") // fails only for a flag that does not exist
	return cmd
}

// directByDefault makes direct the transport of a verb that is about episodes.
func directByDefault(cmd *cobra.Command, f *transportFlags) {
	f.transport = "direct"
	flag := cmd.Flags().Lookup("transport")
	flag.DefValue = "direct"
	flag.Usage += "; --nats chooses nats"
}

// normaliseTransport is transportFlags.normalise for such a verb.
func normaliseTransport(cmd *cobra.Command, f *transportFlags) error {
	if f.nats != "" && !cmd.Flags().Changed("transport") {
		f.transport = "nats"
	}
	return f.normalise(cmd)
}

// Who may move the robot, beside policies.
const byExpert, byKeyboard = "expert", "keyboard"

// largestSeed is that up to which float32, the numbers of a recording's rows, hold every
// whole number.
const largestSeed = 1 << 24

func (f *recordFlags) normalise(cmd *cobra.Command) error {
	if err := normaliseTransport(cmd, &f.transport); err != nil {
		return err
	}
	f.seedGiven = cmd.Flags().Changed("seed")
	switch {
	case f.episodes < 1:
		return fmt.Errorf("%d episodes, want at least 1", f.episodes)
	case f.parallel < 0:
		return fmt.Errorf("%d episodes at a time, want at least 1", f.parallel)
	case f.keep != "" && f.keep != "all" && f.keep != "success":
		return fmt.Errorf("--keep %q: want all or success", f.keep)
	case f.codec != "" && f.codec != "av1" && f.codec != "h264" && f.codec != "png":
		return fmt.Errorf("--codec %q: want av1, h264 or png", f.codec)
	case f.seed < 0 || f.seed > largestSeed:
		return fmt.Errorf("seed %d, want 0 to %d", f.seed, largestSeed)
	case !(f.rate >= 0) || f.rate > 1e6:
		return fmt.Errorf("--rate %v: want 0 for lockstep, or control steps a second", f.rate)
	case f.takeover != "" && (f.teleop == byKeyboard || f.rate != 0 || f.transport.transport != "direct"):
		return errors.New("--take-over-from wants a simulator in lockstep: no keyboard, no --rate and no transport")
	case f.teleop == byKeyboard && cmd.Flags().Changed("rate") && f.rate == 0:
		return errors.New("a person has no lockstep: --teleop keyboard wants a --rate above 0, or none")
	}
	return nil
}

// record makes the recording. Whatever ends it, the robot is stopped, and finished
// episodes are in the recording.
func (f *recordFlags) record(ctx context.Context, log io.Writer) (report *recordReport, err error) {
	env, err := f.env.lookup()
	if err != nil {
		return nil, err
	}
	if f.teleop == "" && env.Expert != nil {
		f.teleop = byExpert
	}
	f.teleop = cmp.Or(f.teleop, env.Policy)
	if f.keep == "" {
		f.keep = "all"
		if f.teleop == byExpert {
			f.keep = "success"
		}
	}
	if err := f.checkOut(); err != nil {
		return nil, err
	}
	lockstep := f.teleop != byKeyboard && f.rate == 0
	session := &recordSession{flags: f, env: env, log: log, begun: time.Now()}
	var fit fitPolicy
	if f.teleop != byKeyboard {
		if fit, err = f.checkpoint.load(f.teleop, env, policy.Options{}); err != nil {
			return nil, err
		}
	}
	c, err := f.transport.dialAny(ctx, env, lockstep)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	session.adopt(c.Robot)

	var actor actions.Policy
	if fit != nil {
		var closeActor func() error
		if actor, closeActor, err = fit(session.env.Spec); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, closeActor()) }()
	}
	if f.takeover != "" {
		begin, err := f.checkpoint.load(f.takeover, env, policy.Options{})
		if err != nil {
			return nil, err
		}
		var closeBeginner func() error
		if session.beginner, closeBeginner, err = begin(session.env.Spec); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, closeBeginner()) }()
	}
	if session.layout, err = layoutOf(ctx, c.Robot, session.env); err != nil {
		return nil, err
	}
	if f.teleop == byExpert && lockstep {
		session.layout.features[strayFeature] = recording.Feature{DType: "bool", Shape: []int{1}}
	}
	if f.rate > 0 {
		if f.rate > session.layout.rate || f.transport.transport == "direct" && f.rate != session.layout.rate {
			return nil, fmt.Errorf("--rate %v: robot %s takes %v actions a second", f.rate, session.layout.robot, session.layout.rate)
		}
		session.layout.rate = f.rate
	}
	if session.writer, err = f.openWriter(ctx, session.layout); err != nil {
		return nil, err
	}
	session.next = f.seed
	if f.resume && !f.seedGiven {
		if session.next, err = nextSeed(ctx, f.out, session.writer); err != nil {
			return nil, errors.Join(err, session.writer.Close(context.WithoutCancel(ctx)))
		}
	}
	switch last := session.next + int64(f.episodes) - 1; {
	case last > largestSeed:
		err = fmt.Errorf("seeds up to %d, want at most %d", last, largestSeed)
	case f.teleop == byKeyboard:
		err = session.byKeyboard(ctx, c.Robot)
	case lockstep:
		err = session.inLockstep(ctx, c, actor)
	default:
		err = session.inRealTime(ctx, c.Robot, actor)
	}
	total := session.writer.Episodes()
	// What was recorded is packed also after Ctrl-C; a second one leaves it unpacked.
	err = errors.Join(err, session.writer.Close(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, fmt.Errorf("record: %w; %s has %d episodes, %d of them new", err, f.out, total, session.report.Episodes)
	}
	return session.finish(total), nil
}

// checkOut refuses a folder that is there without --resume.
func (f *recordFlags) checkOut() error {
	info, err := os.Stat(f.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--out: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--out %s is not a folder", f.out)
	}
	entries, err := os.ReadDir(f.out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if len(entries) > 0 && !f.resume {
		return fmt.Errorf("--out %s is there already: --resume adds to it, another name begins anew", f.out)
	}
	return nil
}

// openWriter begins the recording, or goes on with it.
func (f *recordFlags) openWriter(ctx context.Context, l *layout) (*recording.Writer, error) {
	_, err := os.Stat(filepath.Join(f.out, "meta"))
	if errors.Is(err, fs.ErrNotExist) {
		features := l.features
		for name, feature := range features {
			switch {
			case !feature.Camera():
			case f.codec == "png":
				feature.DType = "image"
			default:
				feature.Codec = f.codec
			}
			features[name] = feature
		}
		return recording.Create(ctx, f.out, recording.Info{Robot: l.robot, FPS: l.rate, Features: features})
	}
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	w, err := recording.Append(ctx, f.out)
	if err != nil {
		return nil, err
	}
	if err := l.sameAs(w.Info); err != nil {
		return nil, errors.Join(fmt.Errorf("--resume: recording %s: %w", f.out, err), w.Close(context.WithoutCancel(ctx)))
	}
	return w, nil
}

// nextSeed is the one behind that of the last episode, or 0.
func nextSeed(ctx context.Context, dir string, w *recording.Writer) (int64, error) {
	if _, ok := w.Info.Features[seedFeature]; !ok || w.Episodes() == 0 {
		return 0, nil
	}
	d, err := recording.Open(dir)
	if err != nil {
		return 0, err
	}
	rows, err := d.LoadEpisode(ctx, len(d.Episodes)-1, seedFeature)
	if err != nil {
		return 0, err
	}
	seed := int64(rows.Columns[seedFeature].Values[0])
	if seed < 0 {
		seed = takenOver(seed)
	}
	return seed + 1, nil
}

// recordSession is one run of vla record.
type recordSession struct {
	flags  *recordFlags
	env    sim.Environment
	layout *layout
	writer *recording.Writer

	beginner actions.Policy // moves the robot before it is recorded; nil where nobody does

	log    io.Writer
	clear  string // wipes a line that changes off the terminal; empty where there is none
	next   int64  // seed
	begun  time.Time
	report recordReport
}

// adopt takes over what a robot says of itself. One that is none of ours has no jog and no
// expert, and senses all of its state.
func (s *recordSession) adopt(r robot.Robot) {
	spec := r.Spec()
	if spec.State.SameNames(s.env.Spec.State) != nil || spec.Action.SameNames(s.env.Spec.Action) != nil {
		s.env = sim.Environment{Name: spec.Name, Spec: spec, RobotState: len(spec.State)}
		return
	}
	s.env.Spec = spec // some transports carry no pictures
}

// instruction is what an episode's robot is asked to do, in words.
func (s *recordSession) instruction(o *actions.Observation) string {
	return cmp.Or(s.flags.instruction, o.Instruction, s.layout.task)
}

// recordReport is what vla record --json prints.
type recordReport struct {
	Recording string  `json:"recording"`
	Robot     string  `json:"robot"`
	Teleop    string  `json:"teleop"`
	Episodes  int     `json:"episodes"`       // added to the recording
	Total     int     `json:"total_episodes"` // in the recording now
	Frames    int     `json:"frames"`         // added
	Left      int     `json:"left_out"`       // failed, or discarded
	Missed    int     `json:"missed_ticks"`   // for which rows are missing, in real time
	Seconds   float64 `json:"seconds"`

	EpisodesDetail []recordedEpisode `json:"episodes_detail"`
}

type recordedEpisode struct {
	Seed      *int64  `json:"seed,omitempty"` // none of a robot that is no simulator
	Kept      bool    `json:"kept"`
	Steps     int     `json:"steps"`
	MaxReward float64 `json:"max_reward"`
	Success   bool    `json:"success"`
}

// done notes an episode and tells of it.
func (s *recordSession) done(e recordedEpisode, missed int) {
	r := &s.report
	r.EpisodesDetail = append(r.EpisodesDetail, e)
	what := fmt.Sprintf("episode %d/%d", r.Episodes+1, s.flags.episodes)
	if e.Kept {
		r.Episodes++
		r.Frames += e.Steps
		r.Missed += missed
	} else {
		what, r.Left = "left out", r.Left+1
	}
	if e.Seed != nil {
		outcome := "not solved"
		if e.Success {
			outcome = "solved"
		}
		what += fmt.Sprintf("  seed %d  %s", *e.Seed, outcome)
	}
	what += fmt.Sprintf("  %d steps", e.Steps)
	if missed > 0 {
		what += fmt.Sprintf("  %d ticks missed", missed)
	}
	if left := s.flags.episodes - r.Episodes; left > 0 && r.Episodes > 0 && s.flags.teleop != byKeyboard {
		eta := time.Since(s.begun) / time.Duration(r.Episodes) * time.Duration(left)
		what += fmt.Sprintf("  ETA %v", eta.Round(time.Second))
	}
	fmt.Fprintln(s.log, s.clear+what)
}

func (s *recordSession) finish(total int) *recordReport {
	r := &s.report
	r.Recording, r.Robot, r.Teleop, r.Total = s.flags.out, s.layout.robot, s.flags.teleop, total
	r.Seconds = time.Since(s.begun).Seconds()
	return r
}

func (r *recordReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d episodes added, %d frames, %.1f s", r.Recording, r.Episodes, r.Frames, r.Seconds)
	if r.Left > 0 {
		fmt.Fprintf(w, "; %d left out", r.Left)
	}
	if r.Missed > 0 {
		fmt.Fprintf(w, "; %d ticks missed", r.Missed)
	}
	fmt.Fprintf(w, "; %d in all\n", r.Total)
}

// workers is how many episodes are simulated at a time.
func (f *recordFlags) workers() int {
	if f.transport.transport != "direct" {
		return 1 // there is one robot
	}
	return min(cmp.Or(f.parallel, runtime.GOMAXPROCS(0)), f.episodes)
}
