package recording

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"govla/internal/testenv"
)

// writeVideos makes the v2.1 recording one with a camera: each episode's video has as many
// frames as the episode has rows, of 32x24 pixels, encoded by ffmpeg's encoder.
func writeVideos(t *testing.T, encoder string, frames []int) string {
	t.Helper()
	program := testenv.Tool(t, "ffmpeg")
	dir := writeV2(t)
	features := fixtureFeatures()
	features["observation.images.top"] = map[string]any{
		"dtype": "video", "shape": []int{24, 32, 3}, "names": []string{"height", "width", "channel"},
		"info": map[string]any{"video.codec": "h264"},
	}
	writeInfo(t, dir, map[string]any{
		"codebase_version": "v2.1", "features": features,
		"data_path":  "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
		"video_path": "videos/{video_key}/{episode_index}.mp4",
	})
	folder := filepath.Join(dir, "videos", "observation.images.top")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, n := range frames {
		// Frame f is grey of level 16*f.
		command := exec.Command(program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "32x24", "-r", "10",
			"-i", "pipe:0", "-pix_fmt", "yuv420p", "-c:v", encoder, filepath.Join(folder, string(rune('0'+i))+".mp4"))
		var raw bytes.Buffer
		for f := range n {
			raw.Write(bytes.Repeat([]byte{byte(16 * f)}, 32*24))
		}
		command.Stdin = &raw
		if output, err := command.CombinedOutput(); err != nil {
			if bytes.Contains(output, []byte("Unknown encoder")) && os.Getenv("GOVLA_REQUIRE") != "1" {
				t.Skipf("ffmpeg has no encoder %s", encoder)
			}
			t.Fatalf("%v: %s", err, output)
		}
	}
	return dir
}

func TestFramesOfH264AndMPEG4(t *testing.T) {
	for encoder, codec := range map[string]string{"libx264": "h264", "mpeg4": "mpeg4"} {
		t.Run(codec, func(t *testing.T) {
			dir := writeVideos(t, encoder, fixtureLengths)
			d, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for frame, err := range d.Frames(t.Context(), 2, "observation.images.top") {
				if err != nil {
					t.Fatal(err)
				}
				if frame.Rect.Dx() != 32 || frame.Rect.Dy() != 24 {
					t.Fatalf("have a frame of %v, want 32x24", frame.Rect)
				}
				if level := int(frame.RGBAAt(16, 12).G); level < 16*n-5 || level > 16*n+5 {
					t.Errorf("frame %d: have grey level %d, want %d", n, level, 16*n)
				}
				n++
			}
			if n != 5 {
				t.Errorf("have %d frames, want 5", n)
			}
			video, err := probeVideo(dir, "videos/observation.images.top/2.mp4")
			if want := (mp4Video{codec, 32, 24, 5}); err != nil || video != want {
				t.Errorf("have %v, %v, want %v", video, err, want)
			}

			// info.json promises H.264.
			report, err := Verify(t.Context(), dir, VerifyOptions{Frames: true})
			if err != nil {
				t.Fatal(err)
			}
			if report.Failed() || report.Images != 12 {
				t.Errorf("have %d images and problems %v, want 12 and no error", report.Images, report.Problems)
			}
			if told := tells(report, "have codec mpeg4, want h264"); told != (codec == "mpeg4") {
				t.Errorf("have problems %v with codec %s", report.Problems, codec)
			}
		})
	}
}

func TestFramesThatDoNotFitTheRows(t *testing.T) {
	dir := writeVideos(t, "mpeg4", []int{4, 2, 6})
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const file = "videos/observation.images.top/"
	wantDefect(t, lastError(d, t.Context(), 1), file+"1.mp4", "observation.images.top", "have 2 frames, want 3")
	wantDefect(t, lastError(d, t.Context(), 2), file+"2.mp4", "observation.images.top", "have more frames, want 5")

	writeFile(t, dir, file+"1.mp4", "not a video")
	wantDefect(t, lastError(d, t.Context(), 1), file+"1.mp4", "observation.images.top", "have 0 frames (ffmpeg: ")
	if err := os.Remove(filepath.Join(dir, filepath.FromSlash(file), "2.mp4")); err != nil {
		t.Fatal(err)
	}
	wantDefect(t, lastError(d, t.Context(), 2), file+"2.mp4", "", "no such file")

	report, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"1.mp4: column observation.images.top: have box", "2.mp4: column observation.images.top: have no such file"} {
		if !tells(report, says) {
			t.Errorf("have problems %v, want one that says %q", report.Problems, says)
		}
	}
}

func TestFramesStopWithTheContext(t *testing.T) {
	d, err := Open(writeVideos(t, "mpeg4", fixtureLengths))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, last = range d.Frames(ctx, 2, "observation.images.top") {
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("have error %v, want %v", last, context.Canceled)
	}

	// A loop that is left early has stopped ffmpeg, and waited for it and its goroutines.
	before := runtime.NumGoroutine()
	for range d.Frames(t.Context(), 2, "observation.images.top") {
		break
	}
	// Their last instructions come after the word that they are done.
	for patience := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(patience) {
			t.Fatalf("have %d goroutines after the loop, %d before it", runtime.NumGoroutine(), before)
		}
	}
}

func TestFramesWithoutFFmpeg(t *testing.T) {
	d, err := Open(writeVideos(t, "mpeg4", fixtureLengths))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := lastError(d, t.Context(), 0); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("have error %v, want ErrNoFFmpeg", err)
	}
}

func lastError(d *Dataset, ctx context.Context, episode int) (last error) {
	for _, last = range d.Frames(ctx, episode, "observation.images.top") {
	}
	return last
}

func tells(report *Report, says string) bool {
	for _, p := range report.Problems {
		if bytes.Contains([]byte(p.Error()), []byte(says)) {
			return true
		}
	}
	return false
}

// Features of dtype "image" are files inside the parquet, or beside it.
func TestImagesInParquet(t *testing.T) {
	type file struct {
		Bytes []byte `parquet:"bytes,optional"`
		Path  string `parquet:"path,optional"`
	}
	type row struct {
		Image   file  `parquet:"observation.image,optional"`
		Frame   int64 `parquet:"frame_index"`
		Episode int64 `parquet:"episode_index"`
	}
	write := func(t *testing.T, episode2 func(i int, content []byte) file) string {
		dir := writeV3(t)
		writeInfo(t, dir, map[string]any{"features": map[string]any{
			"observation.image": map[string]any{"dtype": "image", "shape": []int{3, 6, 8}, "names": []string{"channels", "height", "width"}},
			"frame_index":       map[string]any{"dtype": "int64", "shape": []int{1}},
			"episode_index":     map[string]any{"dtype": "int64", "shape": []int{1}},
		}})
		var first, second []row
		for e, rows := range fixtureRows() {
			for i, r := range rows {
				encoded := greyImage(t, byte(r.Index*20), e == 1)
				switch {
				case e == 2:
					second = append(second, row{episode2(i, encoded), r.Frame, r.Episode})
				default:
					first = append(first, row{file{Bytes: encoded}, r.Frame, r.Episode})
				}
			}
		}
		writeParquet(t, dir, "data/chunk-000/file-000.parquet", first)
		writeParquet(t, dir, "data/chunk-000/file-001.parquet", second)
		return dir
	}

	t.Run("sound", func(t *testing.T) {
		var dir string
		contents := make(map[string][]byte)
		dir = write(t, func(i int, content []byte) file {
			name := "images/" + string(rune('0'+i)) + ".png"
			contents[name] = content
			return file{Path: name}
		})
		for name, content := range contents {
			writeFile(t, dir, name, string(content))
		}
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		index := 0
		for i := range d.Episodes {
			for frame, err := range d.Frames(t.Context(), i, "observation.image") {
				if err != nil {
					t.Fatal(err)
				}
				if level := int(frame.RGBAAt(3, 3).R); frame.Rect != image.Rect(0, 0, 8, 6) || level < 20*index-2 || level > 20*index+2 {
					t.Errorf("row %d: have level %d in %v, want %d in 8x6", index, level, frame.Rect, 20*index)
				}
				index++
			}
		}
		if index != 12 {
			t.Errorf("have %d images, want 12", index)
		}
		report, err := Verify(t.Context(), dir, VerifyOptions{Frames: true})
		if err != nil {
			t.Fatal(err)
		}
		if tells(report, "file-001") || tells(report, "observation.image") || report.Images != 12 {
			t.Errorf("have %d images and problems %v, want 12 without a problem", report.Images, report.Problems)
		}
	})
	for name, c := range map[string]struct {
		file func(i int, content []byte) file
		says string
	}{
		"neither bytes nor path": {func(int, []byte) file { return file{} }, "row 0: have no bytes"},
		"path that leads out":    {func(int, []byte) file { return file{Path: "../../secret.png"} }, "row 0: have no bytes"},
		"not an image":           {func(int, []byte) file { return file{Bytes: []byte("GIF?")} }, "row 0: have image: unknown format"},
		"cut off":                {func(_ int, content []byte) file { return file{Bytes: content[:40]} }, "want a PNG or a JPEG"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.file)
			d, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			var last error
			for _, last = range d.Frames(t.Context(), 2, "observation.image") {
			}
			wantDefect(t, last, "data/chunk-000/file-001.parquet", "observation.image", c.says)
			report, err := Verify(t.Context(), dir, VerifyOptions{Frames: true})
			if err != nil {
				t.Fatal(err)
			}
			if !tells(report, c.says) {
				t.Errorf("have problems %v, want one that says %q", report.Problems, c.says)
			}
		})
	}
}

// greyImage returns an image of 8x6 pixels of one grey, as a PNG or a JPEG.
func greyImage(t *testing.T, level byte, asJPEG bool) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 8, 6))
	for i := range picture.Pix {
		picture.Pix[i] = color.Gray{Y: level}.Y
	}
	var encoded bytes.Buffer
	var err error
	if asJPEG {
		err = jpeg.Encode(&encoded, picture, nil)
	} else {
		err = png.Encode(&encoded, picture)
	}
	if err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}
