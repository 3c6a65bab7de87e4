package recording

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Writer records episodes into a LeRobotDataset v3.0. Its methods are called by one
// goroutine at a time.
//
//	w, err := recording.Create(ctx, dir, recording.Info{Robot: "so101", FPS: 30, Features: features})
//	err = w.BeginEpisode(ctx, "put the red cube in the bowl")
//	err = w.Offer(recording.Frame{Values: values, Images: images}) // for each row, never waits
//	err = w.EndEpisode()
//	err = w.Close(ctx)
//
// See the package comment for what is left of a recording whose writer was killed.
type Writer struct {
	Info *Info // what meta/info.json says; not to be changed

	meta     *metadata
	lock     *folderLock
	encoders map[string]int // position in videoEncoders, by camera
	free     chan *queued   // memory for frames
	episode  *openEpisode   // nil between episodes
}

// Frame is one row of an episode: a value for each feature of the recording but the
// columns that count episodes, rows, tasks and time, which the writer fills.
type Frame struct {
	// Time is in seconds since the episode began; 0 stands for frame_index/FPS, which is
	// what LeRobot expects of every row.
	Time float64

	Values map[string][]float32   // numeric features, [Feature.Width]; truth values are 0 and 1
	Images map[string]image.Image // cameras, of the promised size
}

// ErrOverflow means that frames came faster than the disk or the video encoder took them,
// for longer than the writer's memory could bridge.
var ErrOverflow = errors.New("frames came faster than they could be stored")

// queueFrames is how many frames wait in memory: two seconds at 30 a second.
const queueFrames = 64

// Create begins a recording in the folder dir, which must not exist or be empty. Of info
// it takes Robot, FPS, Features and the sizes of files, which may be 0; it adds the columns
// that count episodes, rows, tasks and time.
//
// Cameras are features of dtype "video" or "image" and of shape [height width 3]. The
// Codec of a video is "av1" or "h264", or empty for the best that ffmpeg has here; then,
// where there is no ffmpeg, the feature becomes one of dtype "image": PNG in the parquet.
func Create(ctx context.Context, dir string, info Info) (*Writer, error) {
	w, err := create(ctx, dir, info)
	if err != nil {
		return nil, fmt.Errorf("create recording %s: %w", dir, err)
	}
	return w, nil
}

func create(ctx context.Context, dir string, info Info) (*Writer, error) {
	info.Features = maps.Clone(info.Features)
	if err := checkNew(&info); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		for name, f := range info.Features {
			if f.DType == "video" && f.Codec == "" {
				f.DType = "image"
				info.Features[name] = f
			}
		}
	}
	encoders, err := chooseEncoders(ctx, &info)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	dir, lock, err := lockRecording(dir)
	if err != nil {
		return nil, err
	}
	meta, err := emptyRecording(dir, info)
	if err != nil {
		lock.unlock()
		return nil, err
	}
	return newWriter(meta, lock, encoders), nil
}

// emptyRecording makes an empty folder a recording without episodes.
func emptyRecording(dir string, info Info) (*metadata, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name() != workFolder { // which a killed Create leaves
			return nil, fmt.Errorf("the folder has %s already, want an empty one", entry.Name())
		}
	}
	meta, err := newMetadata(dir, info)
	if err != nil {
		return nil, err
	}
	return meta, meta.commit()
}

// Append opens the recording in the folder dir, a LeRobotDataset v3.0, to add episodes. An
// episode that a killed writer was in the middle of is gone.
func Append(ctx context.Context, dir string) (*Writer, error) {
	w, err := openToAppend(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("append to recording %s: %w", dir, err)
	}
	return w, nil
}

func openToAppend(ctx context.Context, dir string) (_ *Writer, err error) {
	dir, lock, err := lockRecording(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.unlock()
		}
	}()
	d, err := open(dir)
	if err != nil {
		return nil, err
	}
	if d.Info.major() != 3 || len(episodeParts(dir, d.Info)) == 0 {
		return nil, fmt.Errorf("have LeRobotDataset %s with a file for each episode, want v3.0: merge it into a new recording", d.Info.Version)
	}
	for name, f := range d.Info.Features {
		_, err := f.column().node()
		switch {
		case f.Camera() && len(f.Shape) != 3:
			return nil, fmt.Errorf("feature %s: have shape %v, want three axes", name, f.Shape)
		case f.Camera():
		case !f.Numeric():
			return nil, fmt.Errorf("feature %s: have dtype %s, want numbers and cameras: a writer adds nothing else", name, f.DType)
		case err != nil:
			return nil, fmt.Errorf("feature %s: %w", name, err)
		}
	}
	encoders, err := chooseEncoders(ctx, d.Info)
	if err != nil {
		return nil, err
	}
	meta, err := loadMetadata(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := meta.completeStats(ctx, d); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, workFolder)); err != nil {
		return nil, err
	}
	if err := meta.removeStale(); err != nil {
		return nil, err
	}
	return newWriter(meta, lock, encoders), nil
}

func newWriter(meta *metadata, lock *folderLock, encoders map[string]int) *Writer {
	w := &Writer{Info: meta.info, meta: meta, lock: lock, encoders: encoders, free: make(chan *queued, queueFrames)}
	for range queueFrames {
		w.free <- &queued{values: make(map[string][]float32), images: make(map[string]*image.RGBA)}
	}
	return w
}

// checkNew makes sure that a recording can be made as info says, and adds the columns that
// every recording has.
func checkNew(info *Info) error {
	if !(info.FPS > 0) || !finite(info.FPS) {
		return fmt.Errorf("have %v rows a second, want a positive number", info.FPS)
	}
	for name, f := range info.Features {
		wrong := func(err error) error { return fmt.Errorf("feature %s: %w", name, err) }
		if name == "" || slices.Contains(bookkeeping, name) {
			return wrong(errors.New("have it as a feature, want only those that a frame brings"))
		}
		for _, n := range f.Shape {
			if n < 1 {
				return wrong(fmt.Errorf("have shape %v, want positive lengths", f.Shape))
			}
		}
		switch {
		case f.Camera():
			if len(f.Shape) != 3 || f.Shape[2] != 3 || f.Shape[0] > maxSide || f.Shape[1] > maxSide {
				return wrong(fmt.Errorf("have shape %v, want [height width 3] with sides of at most %d", f.Shape, maxSide))
			}
			if len(f.Names) == 0 {
				f.Names = []string{"height", "width", "channels"}
				info.Features[name] = f
			}
		case !f.Numeric():
			return wrong(fmt.Errorf("have dtype %q, want a number's type, bool, video or image", f.DType))
		case len(f.Shape) == 0:
			return wrong(errors.New("have no shape, want the lengths of a row's axes"))
		default:
			if _, err := f.column().node(); err != nil {
				return wrong(err)
			}
			if len(f.Shape) == 1 && len(f.Names) > 0 && len(f.Names) != f.Shape[0] {
				return wrong(fmt.Errorf("have %d names, want %d", len(f.Names), f.Shape[0]))
			}
		}
	}
	if info.Features == nil {
		info.Features = make(map[string]Feature)
	}
	maps.Copy(info.Features, bookkeepingFeatures())
	return nil
}

// bookkeepingFeatures are the columns that every recording has, with LeRobot's types.
func bookkeepingFeatures() map[string]Feature {
	features := make(map[string]Feature)
	for _, name := range bookkeeping {
		features[name] = Feature{DType: "int64", Shape: []int{1}}
	}
	features["timestamp"] = Feature{DType: "float32", Shape: []int{1}}
	return features
}

// chooseEncoders finds an encoder for every video. Features without a codec get that of
// the encoder found.
func chooseEncoders(ctx context.Context, info *Info) (map[string]int, error) {
	encoders := make(map[string]int)
	for name, f := range info.Features {
		if f.DType != "video" {
			continue
		}
		size := f.imageSize()
		encoder, err := findEncoder(ctx, codecName(f.Codec), size[1], size[0])
		if err != nil {
			return nil, fmt.Errorf("feature %s: %w", name, err)
		}
		encoders[name] = encoder
		f.Codec = videoEncoders[encoder].codec
		info.Features[name] = f
	}
	return encoders, nil
}

// completeStats computes the statistics of numbers that a recording does not ship, so that
// those of more episodes can be added to them.
func (m *metadata) completeStats(ctx context.Context, d *Dataset) error {
	complete := true
	for name, f := range m.info.Features {
		if s, shipped := m.stats[name]; f.Numeric() && (!shipped || s.Count != m.frames()) {
			complete = false
		}
	}
	if complete || len(d.Episodes) == 0 {
		return nil
	}
	m.stats = make(map[string]Stats)
	for i := range m.episodes {
		rows, err := d.readRows(ctx, i)
		if err != nil {
			return err
		}
		stats := rowStats(rows, m.info.Features)
		for name, s := range m.episodes[i].stats {
			if m.info.Features[name].Camera() {
				stats[name] = s
			}
		}
		m.episodes[i].stats = stats
	}
	return m.mergeStats()
}

// mergeStats makes the recording's statistics those of its episodes together.
func (m *metadata) mergeStats() error {
	m.stats = make(map[string]Stats)
	for _, e := range m.episodes {
		if err := m.addStats(e); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes the files of an episode whose writer was killed before its metadata
// were committed: they have the next names.
func (m *metadata) removeStale() error {
	stale, err := m.dataFile(m.nextData())
	if err != nil {
		return err
	}
	names := []string{stale}
	for name, f := range m.info.Features {
		if f.DType == "video" {
			file, err := m.videoFile(name, m.nextVideo(name))
			if err != nil {
				return err
			}
			names = append(names, file)
		}
	}
	for _, name := range names {
		err := os.Remove(filepath.Join(m.dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Episodes returns how many episodes the recording has.
func (w *Writer) Episodes() int { return len(w.meta.episodes) }

// Frames returns how many rows the recording has, without those of an episode in progress.
func (w *Writer) Frames() int { return w.meta.frames() }

// BeginEpisode starts an episode in which the robot does task. ctx ends the episode's
// ffmpeg processes: when it is done before EndEpisode, the episode is lost.
func (w *Writer) BeginEpisode(ctx context.Context, task string) error {
	fail := func(err error) error {
		return fmt.Errorf("begin episode %d of %s: %w", w.Episodes(), w.meta.dir, err)
	}
	switch {
	case w.lock == nil:
		return fail(fs.ErrClosed)
	case w.episode != nil:
		return fail(errors.New("the one before has not ended"))
	case task == "":
		return fail(errors.New("have no task, want an instruction"))
	}
	work := filepath.Join(w.meta.dir, workFolder)
	if err := os.MkdirAll(work, 0o755); err != nil {
		return fail(err)
	}
	episode, err := w.openEpisode(ctx, task, work)
	if err != nil {
		return fail(err)
	}
	w.episode = episode
	return nil
}

var errNoEpisode = errors.New("no episode has begun")

// Add stores a frame of the episode. It waits while the writer is busy with the frames
// before; a control loop calls Offer. The frame's memory is free for other uses afterwards.
// An error spoils the episode: EndEpisode returns it again.
func (w *Writer) Add(ctx context.Context, frame Frame) error {
	if err := w.checkFrame(frame); err != nil {
		return err
	}
	select {
	case memory := <-w.free:
		w.episode.enqueue(memory, frame)
		return nil
	case <-w.episode.ctx.Done():
		return context.Cause(w.episode.ctx)
	case <-ctx.Done():
		w.episode.spoil(ctx.Err())
		return ctx.Err()
	}
}

// Offer is Add for control loops: it never waits for the disk or the encoder. Where there
// is no room for the frame, the error wraps ErrOverflow.
func (w *Writer) Offer(frame Frame) error {
	if err := w.checkFrame(frame); err != nil {
		return err
	}
	select {
	case memory := <-w.free:
		w.episode.enqueue(memory, frame)
		return nil
	default:
		err := fmt.Errorf("frame %d: %w", w.episode.frames, ErrOverflow)
		w.episode.spoil(err)
		return err
	}
}

// checkFrame holds a frame to the features.
func (w *Writer) checkFrame(frame Frame) error {
	if w.episode == nil {
		return errNoEpisode
	}
	if err := w.episode.check(frame); err != nil {
		err = fmt.Errorf("frame %d: %w", w.episode.frames, err)
		w.episode.spoil(err)
		return err
	}
	return nil
}

// EndEpisode makes the episode part of the recording: when it returns nil, the episode is
// on the disk and no crash takes it away. When it returns an error, the episode is
// discarded: a frame was wrong or found no room, the disk is full, ffmpeg failed.
func (w *Writer) EndEpisode() error {
	if w.episode == nil {
		return errNoEpisode
	}
	e := w.episode
	w.episode = nil
	if err := w.commit(e); err != nil {
		return fmt.Errorf("end episode %d of %s: %w", w.Episodes(), w.meta.dir, err)
	}
	return nil
}

// commit stores an episode: its files take names that are free, and then the metadata
// that name them take the place of the old ones in one step.
func (w *Writer) commit(e *openEpisode) error {
	defer e.discard()
	if err := e.finish(); err != nil {
		return err
	}
	meta := w.meta.clone()
	stored := storedEpisode{
		index: len(meta.episodes), from: meta.frames(), length: e.rows.length, tasks: []string{e.task},
		data: meta.nextData(), videos: make(map[string]videoRecord),
	}
	e.rows.count(stored.index, stored.from, meta.taskIndex(e.task))
	stored.stats = rowStats(&e.rows, meta.info.Features)
	staged := filepath.Join(e.work, "rows.parquet")
	if err := writeData(staged, &e.rows, meta.info.Features); err != nil {
		return err
	}
	name, err := meta.dataFile(stored.data)
	if err != nil {
		return err
	}
	if err := moveInto(staged, filepath.Join(meta.dir, filepath.FromSlash(name))); err != nil {
		return err
	}
	for camera, c := range e.cameras {
		stored.stats[camera] = c.stats.stats()
		if c.video == nil {
			continue
		}
		place := meta.nextVideo(camera)
		name, err := meta.videoFile(camera, place)
		if err != nil {
			return err
		}
		if err := moveInto(c.video.path, filepath.Join(meta.dir, filepath.FromSlash(name))); err != nil {
			return err
		}
		stored.videos[camera] = videoRecord{place.chunk, place.file, 0, float64(e.rows.length) / meta.info.FPS}
	}
	if err := meta.add(stored); err != nil {
		return err
	}
	if err := meta.commit(); err != nil {
		return err
	}
	w.meta, w.Info = meta, meta.info
	return nil
}

// writeData writes a data file with one episode.
func writeData(path string, rows *episodeRows, features map[string]Feature) error {
	t, err := createData(path, features)
	if err != nil {
		return err
	}
	if err := t.writeEpisode(rows, features); err != nil {
		t.abandon()
		return err
	}
	return t.close()
}

// count fills the columns that count an episode's rows.
func (e *episodeRows) count(index, from, task int) {
	for _, name := range []string{"episode_index", "frame_index", "index", "task_index"} {
		e.values[name] = make([]parquet.Value, e.length)
	}
	for i := range e.length {
		e.values["episode_index"][i] = parquet.Int64Value(int64(index))
		e.values["frame_index"][i] = parquet.Int64Value(int64(i))
		e.values["index"][i] = parquet.Int64Value(int64(from + i))
		e.values["task_index"][i] = parquet.Int64Value(int64(task))
	}
}

// DiscardEpisode forgets the episode in progress.
func (w *Writer) DiscardEpisode() error {
	if w.episode == nil {
		return errNoEpisode
	}
	w.episode.discard()
	w.episode = nil
	return nil
}

// Close ends the recording, discards an episode in progress, and packs the episodes' files
// into larger ones. When ctx is done before, or packing fails, the recording is whole and
// its files stay small.
func (w *Writer) Close(ctx context.Context) error {
	if w.lock == nil {
		return nil
	}
	if w.episode != nil {
		w.episode.discard()
		w.episode = nil
	}
	lock := w.lock
	w.lock = nil
	defer lock.unlock()
	if err := os.RemoveAll(filepath.Join(w.meta.dir, workFolder)); err != nil {
		return fmt.Errorf("close recording %s: %w", w.meta.dir, err)
	}
	if err := pack(ctx, w.meta.dir); err != nil {
		return fmt.Errorf("close recording %s: pack its files, which are whole: %w", w.meta.dir, err)
	}
	return nil
}
