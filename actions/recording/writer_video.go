package recording

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// videoEncoders are the encoders of ffmpeg that a writer uses, the preferred one of a codec
// first. All make key frames often, as LeRobot's do, so that training can jump to any
// frame, and none reorders frames, so that episodes can be cut out without encoding again.
var videoEncoders = []struct {
	name, codec string
	arguments   []string
	fits        func(width, height int) bool
}{
	{"libsvtav1", "av1", []string{"-preset", "10", "-crf", "30", "-g", "2"},
		func(width, height int) bool { return width >= 64 && height >= 64 && width%2 == 0 && height%2 == 0 }},
	{"libx264", "h264", []string{"-preset", "veryfast", "-crf", "20", "-g", "2", "-bf", "0"},
		func(width, height int) bool { return width%2 == 0 && height%2 == 0 }},
	{"libaom-av1", "av1", []string{"-cpu-used", "8", "-crf", "30", "-g", "2", "-lag-in-frames", "0"},
		func(width, height int) bool { return true }},
}

const pixelFormat = "yuv420p"

// VideoCodec returns the codec in which this machine can store the frames of a camera: the
// one asked for, "av1" or "h264", or with "" the best that there is. The error is or wraps
// ErrNoFFmpeg where no video can be made at all.
func VideoCodec(ctx context.Context, codec string, width, height int) (string, error) {
	encoder, err := findEncoder(ctx, codec, width, height)
	if err != nil {
		return "", err
	}
	return videoEncoders[encoder].codec, nil
}

// findEncoder returns a position in videoEncoders.
func findEncoder(ctx context.Context, codec string, width, height int) (int, error) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return 0, ErrNoFFmpeg
	}
	list, err := exec.CommandContext(ctx, program, "-v", "error", "-nostdin", "-encoders").Output()
	if err != nil {
		return 0, fmt.Errorf("list ffmpeg's encoders: %w", err)
	}
	have := strings.Fields(string(list))
	var known []string
	for i, encoder := range videoEncoders {
		known = append(known, encoder.codec+" by "+encoder.name)
		if (codec == "" || codec == encoder.codec) && encoder.fits(width, height) && slices.Contains(have, encoder.name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("have no encoder for codec %q and frames of %dx%d pixels in %s, want one of %s", codec, width, height, program, strings.Join(known, ", "))
}

// videoWriter is an ffmpeg that makes a video of frames as they come.
type videoWriter struct {
	path          string
	width, height int
	frames        int

	command    *exec.Cmd
	input      io.WriteCloser
	complaints *head
}

// startVideo begins the video file at path. It lives until finish or abandon, one of which
// must be called, and is ended early by ctx.
// encoder is a position in videoEncoders.
func startVideo(ctx context.Context, path string, encoder, width, height int, fps float64) (*videoWriter, error) {
	arguments := []string{"-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "rgba",
		"-s", fmt.Sprintf("%dx%d", width, height), "-r", strconv.FormatFloat(fps, 'f', -1, 64), "-i", "pipe:0",
		"-an", "-c:v", videoEncoders[encoder].name}
	arguments = append(arguments, videoEncoders[encoder].arguments...)
	arguments = append(arguments, "-pix_fmt", pixelFormat, "-f", "mp4", "-y", "file:"+path)
	v := &videoWriter{path: path, width: width, height: height, complaints: &head{limit: 500}}
	v.command = exec.CommandContext(ctx, "ffmpeg", arguments...)
	v.command.Env = append(os.Environ(), "SVT_LOG=1") // errors only
	v.command.Stderr = v.complaints
	shield(v.command)
	var err error
	if v.input, err = v.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := v.command.Start(); err != nil {
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	return v, nil
}

// add gives ffmpeg a frame, and waits until it has taken it. The frame has the video's
// size and no gaps between its rows.
func (v *videoWriter) add(frame *image.RGBA) error {
	if _, err := v.input.Write(frame.Pix); err != nil {
		return fmt.Errorf("give frame %d to ffmpeg: %w", v.frames, err)
	}
	v.frames++
	return nil
}

// finish waits until the video is on the disk and makes sure that it has every frame.
func (v *videoWriter) finish() error {
	err := v.input.Close()
	if waitErr := v.command.Wait(); waitErr != nil || err != nil {
		return v.complain(errors.Join(waitErr, err))
	}
	if err := v.check(); err != nil {
		return v.complain(err)
	}
	return syncFile(v.path)
}

func (v *videoWriter) check() error {
	video, err := probeVideo(filepath.Dir(v.path), filepath.Base(v.path))
	if err != nil {
		return err
	}
	if video.frames != v.frames || video.width != v.width || video.height != v.height {
		return fmt.Errorf("%s: have %d frames of %dx%d, want %d of %dx%d", v.path, video.frames, video.width, video.height, v.frames, v.width, v.height)
	}
	return nil
}

// abandon ends ffmpeg and leaves a file that is of no use.
func (v *videoWriter) abandon() {
	_ = v.command.Process.Kill()
	_ = v.input.Close()
	_ = v.command.Wait()
}

func (v *videoWriter) complain(err error) error {
	if text := strings.TrimSpace(string(v.complaints.content)); text != "" {
		return fmt.Errorf("encode %s: %w (ffmpeg: %s)", v.path, err, text)
	}
	return fmt.Errorf("encode %s: %w", v.path, err)
}

// syncFile brings a file that another program wrote to the disk.
func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = file.Sync()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
