package recording

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoFFmpeg means that videos cannot be decoded on this machine.
var ErrNoFFmpeg = errors.New("the program ffmpeg is not there: install it to decode videos (apt-get install ffmpeg, brew install ffmpeg)")

// decodeVideo yields an episode's frames of one camera.
func decodeVideo(ctx context.Context, dir string, e Episode, feature string, fps float64) iter.Seq2[*image.RGBA, error] {
	return func(yield func(*image.RGBA, error) bool) {
		video := e.Videos[feature]
		wrong := func(found, expected string, cause error) {
			yield(nil, &Defect{File: video.File, Column: feature, Episode: new(e.Index), Found: found, Expected: expected, cause: cause})
		}
		path := filepath.Join(dir, filepath.FromSlash(video.File))
		if _, err := os.Stat(path); err != nil {
			yield(nil, missingFile(video.File, err))
			return
		}
		program, err := exec.LookPath("ffmpeg")
		if err != nil {
			yield(nil, ErrNoFFmpeg)
			return
		}

		// ffmpeg stops when the loop is left early, and is always waited for.
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		command := exec.CommandContext(ctx, program, ffmpegArguments(path, video, fps)...)
		complaints := &head{limit: 500}
		command.Stderr = complaints
		output, err := command.StdoutPipe()
		if err != nil {
			yield(nil, err)
			return
		}
		if err := command.Start(); err != nil {
			yield(nil, fmt.Errorf("start ffmpeg: %w", err))
			return
		}
		defer func() {
			stop()
			command.Wait() // again, where the loop below has waited already: then it does nothing
		}()

		reader := bufio.NewReaderSize(output, 1<<16)
		for n := 0; ; n++ {
			frame, err := readPAM(reader)
			switch {
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
				return
			case err == io.EOF:
				failure := command.Wait()
				if n == e.Length && failure == nil {
					return
				}
				found := fmt.Sprintf("%d frames", n)
				if text := strings.TrimSpace(string(complaints.content)); text != "" {
					found += " (ffmpeg: " + text + ")"
				}
				wrong(found, fmt.Sprintf("%d, the episode's length", e.Length), failure)
				return
			case err != nil:
				wrong(err.Error(), "frames from ffmpeg", err)
				return
			case n == e.Length:
				wrong("more frames", fmt.Sprintf("%d, the episode's length", e.Length), nil)
				return
			}
			if !yield(frame, nil) {
				return
			}
		}
	}
}

// ffmpegArguments asks for the frames of video as a stream of PAM images, which name
// their own size, none dropped and none doubled.
//
// The cuts lie half a frame before the first frame and before the one after the last:
// the timestamps are sums of 1/fps and fall on either side of the frame's own time.
func ffmpegArguments(path string, video Video, fps float64) []string {
	arguments := []string{"-v", "error", "-nostdin"}
	if video.To > 0 {
		half := 0.5 / fps
		start := max(0, video.From-half)
		arguments = append(arguments, "-ss", seconds(start), "-t", seconds(video.To-half-start))
	}
	// file: keeps a name with a colon from being read as a protocol.
	return append(arguments, "-i", "file:"+path, "-map", "0:v:0", "-fps_mode", "passthrough",
		"-f", "image2pipe", "-c:v", "pam", "-pix_fmt", "rgba", "pipe:1")
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 6, 64) }

// maxSide bounds a frame's width and height.
const maxSide = 1 << 14

// readPAM reads one image of a stream in the portable arbitrary map format
// (https://netpbm.sourceforge.net/doc/pam.html) with four channels of eight bits. It
// returns io.EOF at the end of the stream.
func readPAM(r *bufio.Reader) (*image.RGBA, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	header := make(map[string]string)
	for lines := 0; ; lines++ {
		line, err := r.ReadSlice('\n')
		if err != nil || lines > 16 {
			return nil, fmt.Errorf("frame: header does not end")
		}
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if key == "ENDHDR" {
			break
		}
		header[key] = value
	}
	width, errWidth := strconv.Atoi(header["WIDTH"])
	height, errHeight := strconv.Atoi(header["HEIGHT"])
	if _, magic := header["P7"]; !magic || header["DEPTH"] != "4" || header["MAXVAL"] != "255" ||
		errWidth != nil || errHeight != nil || width < 1 || height < 1 || width > maxSide || height > maxSide {
		return nil, fmt.Errorf("frame: have header %v, want P7 with a width and height of at most %d, depth 4, maximum 255", header, maxSide)
	}
	frame := image.NewRGBA(image.Rect(0, 0, width, height))
	if _, err := io.ReadFull(r, frame.Pix); err != nil {
		return nil, fmt.Errorf("frame of %dx%d: %w", width, height, err)
	}
	return frame, nil
}

// head keeps the first bytes written to it.
type head struct {
	content []byte
	limit   int
}

func (h *head) Write(b []byte) (int, error) {
	h.content = append(h.content, b[:min(len(b), h.limit-len(h.content))]...)
	return len(b), nil
}
