package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// openEpisode is an episode in progress. A goroutine of its own takes the frames from the
// queue, gives images to the encoders and keeps the rows.
type openEpisode struct {
	task    string
	work    string // folder of this episode's unfinished files
	fps     float64
	numbers map[string]Feature
	cameras map[string]*openCamera
	frames  int // put into the queue

	// ctx ends when the episode is spoilt, with what spoilt it as its cause.
	ctx   context.Context
	spoil context.CancelCauseFunc

	queue  chan *queued
	free   chan *queued  // where the goroutine returns memory
	done   chan struct{} // closed when the goroutine has ended; what is below is its own until then
	closed bool          // the queue

	rows episodeRows
}

// openCamera is a camera of an episode in progress.
type openCamera struct {
	feature Feature
	video   *videoWriter // nil where the rows keep the images
	stats   imageStats
}

// queued is a copy of a frame that waits for the goroutine. It is used again and again.
type queued struct {
	time   float64
	values map[string][]float32
	images map[string]*image.RGBA
}

// openEpisode starts an episode, its encoders and its goroutine.
func (w *Writer) openEpisode(ctx context.Context, task, work string) (*openEpisode, error) {
	work, err := os.MkdirTemp(work, "episode-")
	if err != nil {
		return nil, err
	}
	e := &openEpisode{
		task: task, work: work, fps: w.Info.FPS,
		numbers: make(map[string]Feature), cameras: make(map[string]*openCamera),
		queue: make(chan *queued, queueFrames), free: w.free, done: make(chan struct{}),
		rows: episodeRows{values: make(map[string][]parquet.Value)},
	}
	e.ctx, e.spoil = context.WithCancelCause(ctx)
	for name, f := range w.Info.Features {
		switch {
		case slices.Contains(bookkeeping, name):
		case f.Camera():
			camera := &openCamera{feature: f}
			e.cameras[name] = camera
			if f.DType == "image" {
				continue
			}
			size := f.imageSize()
			camera.video, err = startVideo(e.ctx, filepath.Join(work, name+".mp4"), w.encoders[name], size[1], size[0], w.Info.FPS)
			if err != nil {
				delete(e.cameras, name)
				close(e.done)
				e.discard()
				return nil, fmt.Errorf("feature %s: %w", name, err)
			}
		default:
			e.numbers[name] = f
		}
	}
	go e.run()
	return e, nil
}

// check holds a frame to the features.
func (e *openEpisode) check(frame Frame) error {
	if !finite(frame.Time) || frame.Time < 0 {
		return fmt.Errorf("have time %v s, want one since the episode began", frame.Time)
	}
	for name, f := range e.numbers {
		values, ok := frame.Values[name]
		if width := f.Width(); !ok || len(values) != width {
			return fmt.Errorf("feature %s: have %d numbers, want %d for the shape %v", name, len(values), width, f.Shape)
		}
		for i, v := range values {
			if !finite(float64(v)) {
				return fmt.Errorf("feature %s: have %v in dimension %d, want a finite number", name, v, i)
			}
		}
	}
	for name, c := range e.cameras {
		frame := frame.Images[name]
		if frame == nil {
			return fmt.Errorf("feature %s: have no image", name)
		}
		size := []int{frame.Bounds().Dy(), frame.Bounds().Dx()}
		if want := c.feature.imageSize(); !slices.Equal(size, want) {
			return fmt.Errorf("feature %s: have %s, want %s", name, sizeText(size), sizeText(want))
		}
	}
	if len(frame.Values) > len(e.numbers) {
		for name := range frame.Values {
			if _, known := e.numbers[name]; !known {
				return fmt.Errorf("feature %s: have values, want only those of the recording's features", name)
			}
		}
	}
	if len(frame.Images) > len(e.cameras) {
		for name := range frame.Images {
			if e.cameras[name] == nil {
				return fmt.Errorf("feature %s: have an image, want only those of the recording's cameras", name)
			}
		}
	}
	return nil
}

// enqueue copies a frame into memory and puts it into the queue, which has room for all
// memory that there is.
func (e *openEpisode) enqueue(memory *queued, frame Frame) {
	memory.time = frame.Time
	for name := range e.numbers {
		memory.values[name] = append(memory.values[name][:0], frame.Values[name]...)
	}
	for name := range e.cameras {
		source := frame.Images[name]
		bounds := source.Bounds()
		kept := memory.images[name]
		if kept == nil {
			kept = image.NewRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
			memory.images[name] = kept
		}
		draw.Draw(kept, kept.Rect, source, bounds.Min, draw.Src)
	}
	e.frames++
	e.queue <- memory
}

// run takes frames until the queue is closed.
func (e *openEpisode) run() {
	defer close(e.done)
	for frame := range e.queue {
		if e.ctx.Err() == nil {
			if err := e.take(frame); err != nil {
				e.spoil(fmt.Errorf("frame %d: %w", e.rows.length, err))
			}
		}
		e.free <- frame
	}
}

// take stores one frame.
func (e *openEpisode) take(frame *queued) error {
	values := e.rows.values
	for name, f := range e.numbers {
		for _, v := range frame.values[name] {
			values[name] = append(values[name], toDType(f.DType, float64(v)))
		}
	}
	time := frame.time
	if time == 0 {
		time = float64(e.rows.length) / e.fps
	}
	values["timestamp"] = append(values["timestamp"], parquet.FloatValue(float32(time)))
	for name, c := range e.cameras {
		picture := frame.images[name]
		for i := 3; i < len(picture.Pix); i += 4 {
			picture.Pix[i] = 255 // cameras see nothing transparent
		}
		c.stats.add(picture)
		if c.video != nil {
			if err := c.video.add(picture); err != nil {
				return fmt.Errorf("feature %s: %w", name, err)
			}
			continue
		}
		var content bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		if err := encoder.Encode(&content, picture); err != nil {
			return fmt.Errorf("feature %s: %w", name, err)
		}
		values[name] = append(values[name], parquet.ByteArrayValue(content.Bytes()))
	}
	e.rows.length++
	return nil
}

// drain waits until every frame is taken.
func (e *openEpisode) drain() {
	if !e.closed {
		e.closed = true
		close(e.queue)
	}
	<-e.done
}

// finish waits until every frame is taken and every video is whole.
func (e *openEpisode) finish() error {
	e.drain()
	if e.ctx.Err() != nil {
		err := context.Cause(e.ctx)
		for name, c := range e.cameras {
			if c.video == nil {
				continue
			}
			c.video.abandon()
			if len(c.video.complaints.content) > 0 { // it is to blame, in its own words
				err = fmt.Errorf("feature %s: %w", name, c.video.complain(err))
			}
		}
		return err
	}
	if e.rows.length == 0 {
		return errors.New("have no frames, want at least one")
	}
	for name, c := range e.cameras {
		if c.video == nil {
			continue
		}
		if err := c.video.finish(); err != nil {
			return fmt.Errorf("feature %s: %w", name, err)
		}
	}
	return nil
}

// discard ends everything that belongs to the episode and removes its unfinished files.
func (e *openEpisode) discard() {
	e.spoil(nil)
	e.drain()
	for _, c := range e.cameras {
		if c.video != nil {
			c.video.abandon()
		}
	}
	_ = os.RemoveAll(e.work) // or the next Append does
}
