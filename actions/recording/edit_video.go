package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// piece is a video whose frames belong to consecutive episodes of the new recording.
type piece struct {
	path     string
	made     bool      // by this edit: it may be moved
	frames   int       // all of them the episodes'
	size     int64     // bytes
	episodes []int     // positions among the episodes copied
	from     []float64 // where they begin, seconds
	joinable bool      // may be joined with others whose layout has the same description
	layout   *videoLayout
}

// copyVideos copies the frames of one camera. Files of which all is wanted are taken over
// as they are, others are cut; small ones are joined.
func (c *copier) copyVideos(ctx context.Context, camera string) error {
	var group []piece // to be joined
	var groupSize int64
	limit := int64(megabytes(c.meta.info.VideoFilesMB, defaultVideoFiles)) << 20
	at := place{}
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		err := c.placeVideo(ctx, camera, at, group)
		at = at.next(c.meta.info.ChunkSize)
		group, groupSize = nil, 0
		return err
	}
	for begin := 0; begin < len(c.picks); {
		end := begin + 1
		for end < len(c.picks) && c.picks[end].sameVideo(c.picks[begin], camera) {
			end++
		}
		pieces, err := c.pieces(ctx, camera, begin, end)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			join := len(group) > 0 && p.joinable && group[0].joinable && groupSize+p.size <= limit &&
				p.size < limit/2 && groupSize < limit/2 && bytes.Equal(p.layout.description, group[0].layout.description)
			if !join {
				if err := flush(); err != nil {
					return err
				}
			}
			group, groupSize = append(group, p), groupSize+p.size
		}
		begin = end
	}
	return flush()
}

// sameVideo reports whether two episodes lie in one video file.
func (p picked) sameVideo(o picked, camera string) bool {
	return p.dataset == o.dataset && p.episode().Videos[camera].File == o.episode().Videos[camera].File
}

// pieces returns the frames of the episodes begin to end, which lie in one file.
func (c *copier) pieces(ctx context.Context, camera string, begin, end int) ([]piece, error) {
	d := c.picks[begin].dataset
	fps := d.Info.FPS
	name := c.picks[begin].episode().Videos[camera].File
	path := filepath.Join(d.Dir, filepath.FromSlash(name))
	stat, err := os.Stat(path)
	if err != nil {
		return nil, missingFile(name, err)
	}
	layout, err := readLayout(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	whole := piece{path: path, size: stat.Size(), layout: layout}
	tidy := true // episode follows upon episode from the first frame on
	for i := begin; i < end; i++ {
		from := c.picks[i].episode().Videos[camera].From
		tidy = tidy && math.Abs(from*fps-float64(whole.frames)) < 0.5
		whole.episodes, whole.from = append(whole.episodes, i), append(whole.from, from)
		whole.frames += c.picks[i].episode().Length
	}
	owned := 0
	for _, e := range d.Episodes {
		if e.Videos[camera].File == name {
			owned++
		}
	}
	inOrder := true
	for i := begin + 1; i < end; i++ {
		inOrder = inOrder && c.picks[i].at > c.picks[i-1].at
	}
	if owned == end-begin && inOrder && whole.frames == layout.frames {
		_, err := exec.LookPath("ffmpeg")
		whole.joinable = err == nil && tidy && layout.steady(fps)
		return []piece{whole}, nil
	}

	var pieces []piece
	for i := begin; i < end; {
		// A copy begins with a key frame; what comes before the first is encoded anew.
		n, copied := 1, c.beginsWithKey(camera, i, layout)
		for i+n < end && c.follows(camera, i+n) && (copied || !c.beginsWithKey(camera, i+n, layout)) {
			n++
		}
		p, err := c.cut(ctx, camera, i, i+n, layout)
		if err != nil {
			return nil, fmt.Errorf("cut %s: %w", name, err)
		}
		pieces = append(pieces, p)
		i += n
	}
	return pieces, nil
}

// follows reports whether episode i begins in the video where the one before ends.
func (c *copier) follows(camera string, i int) bool {
	before, e := c.picks[i-1].episode().Videos[camera], c.picks[i].episode().Videos[camera]
	return before.To > 0 && math.Abs(e.From-before.To) < 0.25/c.picks[i].dataset.Info.FPS
}

// beginsWithKey reports whether a copy of the video can begin with episode i.
func (c *copier) beginsWithKey(camera string, i int, layout *videoLayout) bool {
	fps := c.meta.info.FPS
	return layout.steady(fps) && layout.keyAt(firstFrame(c.picks[i].episode().Videos[camera], fps))
}

// firstFrame returns the number of an episode's first frame in its video.
func firstFrame(v Video, fps float64) int { return int(math.Round(v.From * fps)) }

// cut makes a video of the episodes begin to end, whose frames follow upon each other: a
// copy where they begin with a key frame, else encoded anew.
func (c *copier) cut(ctx context.Context, camera string, begin, end int, layout *videoLayout) (piece, error) {
	d := c.picks[begin].dataset
	fps := d.Info.FPS
	p := piece{made: true, joinable: true}
	for i := begin; i < end; i++ {
		p.episodes, p.from = append(p.episodes, i), append(p.from, float64(p.frames)/fps)
		p.frames += c.picks[i].episode().Length
	}
	c.made++
	p.path = filepath.Join(c.work, fmt.Sprintf("piece-%d.mp4", c.made))
	video := c.picks[begin].episode().Videos[camera]
	copied := false
	if c.beginsWithKey(camera, begin, layout) {
		var err error
		source := filepath.Join(d.Dir, filepath.FromSlash(video.File))
		if copied, err = c.cutCopy(ctx, source, firstFrame(video, fps), p, fps); err != nil {
			return p, err
		}
	}
	if !copied {
		if err := c.cutEncode(ctx, camera, begin, end, p); err != nil {
			return p, err
		}
	}
	stat, err := os.Stat(p.path)
	if err != nil {
		return p, err
	}
	p.size = stat.Size()
	p.layout, err = readLayout(p.path)
	return p, err
}

// cutCopy copies p.frames frames of the video source, whose first one is a key frame, and
// reports whether the copy has all of them and can be decoded from its first one on.
func (c *copier) cutCopy(ctx context.Context, source string, first int, p piece, fps float64) (bool, error) {
	err := runFFmpeg(ctx, "-ss", seconds((float64(first)+0.5)/fps), "-i", "file:"+source, "-map", "0:v:0",
		"-frames:v", strconv.Itoa(p.frames), "-c", "copy", "-bsf:v", retime(fps), "-f", "mp4", "-y", "file:"+p.path)
	if err != nil {
		return false, err
	}
	made, err := readLayout(p.path)
	return err == nil && made.frames == p.frames && made.keyAt(0) && made.steady(fps), nil
}

// cutEncode decodes the episodes' frames and encodes them again.
func (c *copier) cutEncode(ctx context.Context, camera string, begin, end int, p piece) (err error) {
	d := c.picks[begin].dataset
	f := d.Info.Features[camera]
	if len(f.Shape) != 3 {
		return fmt.Errorf("have shape %v, want three axes", f.Shape)
	}
	size := f.imageSize()
	encoder, err := findEncoder(ctx, codecName(f.Codec), size[1], size[0])
	if err != nil && !errors.Is(err, ErrNoFFmpeg) {
		encoder, err = findEncoder(ctx, "", size[1], size[0]) // its own is one that we do not write
	}
	if err != nil {
		return err
	}
	video, err := startVideo(ctx, p.path, encoder, size[1], size[0], d.Info.FPS)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			video.abandon()
		}
	}()
	for i := begin; i < end; i++ {
		for frame, err := range d.Frames(ctx, c.picks[i].at, camera) {
			if err != nil {
				return err
			}
			if have := []int{frame.Rect.Dy(), frame.Rect.Dx()}; have[0] != size[0] || have[1] != size[1] {
				return fmt.Errorf("have a frame of %s, want %s", sizeText(have), sizeText(size))
			}
			if err := video.add(frame); err != nil {
				return err
			}
		}
	}
	return video.finish()
}

// placeVideo gives a piece, or several that are joined, their name in the new recording.
func (c *copier) placeVideo(ctx context.Context, camera string, at place, group []piece) error {
	name, err := c.meta.videoFile(camera, at)
	if err != nil {
		return err
	}
	target := filepath.Join(c.meta.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	switch {
	case len(group) > 1:
		err = c.join(ctx, target, group)
	case group[0].made:
		if err = syncFile(group[0].path); err == nil {
			err = os.Rename(group[0].path, target)
		}
	case c.picks[group[0].episodes[0]].dataset == c.template && c.stable:
		err = link(group[0].path, target) // the old name goes with the old folder
	default:
		err = copyFile(group[0].path, target)
	}
	if err != nil {
		return err
	}
	fps, before := c.meta.info.FPS, 0
	for _, p := range group {
		for i, episode := range p.episodes {
			from := p.from[i] + float64(before)/fps
			length := c.picks[episode].episode().Length
			c.stored[episode].videos[camera] = videoRecord{at.chunk, at.file, from, from + float64(length)/fps}
		}
		before += p.frames
	}
	return syncFolder(filepath.Dir(target))
}

// join puts videos with the same parameters one behind the other, without encoding them.
func (c *copier) join(ctx context.Context, target string, group []piece) error {
	var list strings.Builder
	frames := 0
	for _, p := range group {
		path, err := filepath.Abs(p.path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "file '%s'\n", strings.ReplaceAll(path, "'", `'\''`))
		frames += p.frames
	}
	listing := filepath.Join(c.work, "join.txt")
	if err := os.WriteFile(listing, []byte(list.String()), 0o644); err != nil {
		return err
	}
	err := runFFmpeg(ctx, "-f", "concat", "-safe", "0", "-i", "file:"+listing, "-map", "0:v:0",
		"-c", "copy", "-bsf:v", retime(c.meta.info.FPS), "-f", "mp4", "-y", "file:"+target)
	if err != nil {
		return err
	}
	layout, err := readLayout(target)
	if err != nil {
		return err
	}
	if layout.frames != frames || !layout.steady(c.meta.info.FPS) {
		return fmt.Errorf("join %d videos into %s: have %d frames at %v a second, want %d at %v", len(group), target, layout.frames, layout.rate, frames, c.meta.info.FPS)
	}
	for _, p := range group {
		if p.made {
			_ = os.Remove(p.path) // goes with the work folder anyway
		}
	}
	return syncFile(target)
}

// retime makes frame i last from i/fps to (i+1)/fps, exactly: sums of rounded durations drift.
func retime(fps float64) string {
	return "setts=ts=N/(" + strconv.FormatFloat(fps, 'f', -1, 64) + "*TB)"
}

// runFFmpeg runs ffmpeg to its end.
func runFFmpeg(ctx context.Context, arguments ...string) error {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return ErrNoFFmpeg
	}
	command := exec.CommandContext(ctx, program, append([]string{"-v", "error", "-nostdin"}, arguments...)...)
	complaints := &head{limit: 500}
	command.Stderr = complaints
	shield(command)
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("ffmpeg: %w: %s", err, strings.TrimSpace(string(complaints.content)))
	}
	return nil
}
