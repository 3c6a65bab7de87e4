package recording

import (
	"context"
	"fmt"
	"image"
	"slices"
)

// checkVideos holds every video file's head to the metadata: it is there, and has the
// promised codec, size and number of frames.
func (v *verifier) checkVideos() {
	for _, name := range v.Info.FeatureNames() {
		f := v.Info.Features[name]
		if f.DType != "video" {
			continue
		}
		var files []string
		rows := make(map[string]int)
		for _, e := range v.Episodes {
			file := e.Videos[name].File
			if rows[file] == 0 {
				files = append(files, file)
			}
			rows[file] += e.Length
		}
		for _, file := range files {
			v.checkVideo(file, name, f, rows[file])
		}
	}
}

func (v *verifier) checkVideo(file, name string, f Feature, rows int) {
	wrong := func(severity Severity, found, expected string) {
		v.fail(severity, &Defect{File: file, Column: name, Found: found, Expected: expected})
	}
	video, err := probeVideo(v.Dir, file)
	if err != nil {
		d := *unreadable(file, err, "a video")
		d.Column = name
		v.fail(SeverityError, &d)
		return
	}
	if f.Codec != "" && video.codec != codecName(f.Codec) {
		wrong(SeverityWarning, "codec "+video.codec, codecName(f.Codec)+", as promised in "+infoFile)
	}
	if size := []int{video.height, video.width}; len(f.Shape) == 3 && !slices.Equal(size, f.imageSize()) {
		wrong(SeverityError, sizeText(size), sizeText(f.imageSize())+", as promised in "+infoFile)
	}
	if video.frames != rows {
		wrong(SeverityError, fmt.Sprintf("%d frames", video.frames), fmt.Sprintf("%d, the lengths of its episodes added", rows))
	}
}

// imageSize returns the height and width that a feature with three axes promises: the
// channels stand last, or first where the names or the numbers say so.
func (f Feature) imageSize() []int {
	first := f.Shape[0] <= 4 && f.Shape[2] > 4
	if len(f.Names) == 3 {
		first = f.Names[0] == "channel" || f.Names[0] == "channels"
	}
	if first {
		return f.Shape[1:3]
	}
	return f.Shape[:2]
}

func sizeText(size []int) string { return fmt.Sprintf("%dx%d pixels", size[1], size[0]) }

// checkFrames decodes every image of every camera.
func (v *verifier) checkFrames(ctx context.Context) error {
	for i := range v.Episodes {
		v.progress(i)
		for _, name := range v.Info.FeatureNames() {
			if !v.Info.Features[name].Camera() {
				continue
			}
			if err := v.checkEpisodeFrames(ctx, i, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) checkEpisodeFrames(ctx context.Context, i int, name string) error {
	f, e := v.Info.Features[name], &v.Episodes[i]
	if v.moments[name] == nil {
		v.moments[name] = newMoments(3)
	}
	m := v.moments[name]
	row := 0
	for frame, err := range v.Frames(ctx, i, name) {
		if err != nil {
			return v.failError(ctx, err)
		}
		size := []int{frame.Rect.Dy(), frame.Rect.Dx()}
		if f.DType == "image" && len(f.Shape) == 3 && !slices.Equal(size, f.imageSize()) {
			v.failRow(SeverityError, "size", e.File, name, e.Row+row, e, sizeText(size), sizeText(f.imageSize())+", as promised in "+infoFile)
		}
		for channel, span := range colourSpans(frame) {
			m.add(channel, float64(span[0])/255)
			m.add(channel, float64(span[1])/255)
		}
		v.report.Images++
		row++
	}
	return nil
}

// colourSpans returns the smallest and largest value of red, green and blue in a frame.
func colourSpans(frame *image.RGBA) [3][2]uint8 {
	spans := [3][2]uint8{{255, 0}, {255, 0}, {255, 0}}
	for pixel := range slices.Chunk(frame.Pix, 4) {
		for c := range spans {
			spans[c][0] = min(spans[c][0], pixel[c])
			spans[c][1] = max(spans[c][1], pixel[c])
		}
	}
	return spans
}
