package recording

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // image features hold JPEG
	_ "image/png"  // or PNG
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Frames yields the images of one camera in episode d.Episodes[i], one for each row and in
// their order, each in memory of its own. Features of dtype "video" are decoded by the
// program ffmpeg while the loop runs; those of dtype "image" are PNG or JPEG in the
// parquet or in files beside it.
//
// An error ends the loop: it is ctx's own, ErrNoFFmpeg, or wraps a *Defect, as when there
// are more or fewer images than rows.
func (d *Dataset) Frames(ctx context.Context, i int, feature string) iter.Seq2[*image.RGBA, error] {
	return func(yield func(*image.RGBA, error) bool) {
		fail := func(err error) {
			yield(nil, fmt.Errorf("frames of %s in episode %d of %s: %w", feature, i, d.Dir, err))
		}
		if i < 0 || i >= len(d.Episodes) {
			fail(fmt.Errorf("have %d episodes", len(d.Episodes)))
			return
		}
		e, dtype := d.Episodes[i], d.Info.Features[feature].DType
		var frames iter.Seq2[*image.RGBA, error]
		switch dtype {
		case "video":
			frames = decodeVideo(ctx, d.Dir, e, feature, d.Info.FPS)
		case "image":
			frames = d.decodeImages(ctx, e, feature)
		default:
			fail(fmt.Errorf("have a feature of dtype %q, want a video or an image", dtype))
			return
		}
		for frame, err := range frames {
			if err != nil {
				fail(err)
				return
			}
			if !yield(frame, nil) {
				return
			}
		}
	}
}

// decodeImages yields the images of a feature of dtype "image".
func (d *Dataset) decodeImages(ctx context.Context, e Episode, feature string) iter.Seq2[*image.RGBA, error] {
	return func(yield func(*image.RGBA, error) bool) {
		encoded, err := d.readImages(ctx, e, feature)
		if err != nil {
			yield(nil, err)
			return
		}
		for i, content := range encoded {
			decoded, _, err := image.Decode(bytes.NewReader(content))
			if err != nil {
				yield(nil, &Defect{File: e.File, Column: feature, Row: new(e.Row + i), Found: err.Error(), Expected: "a PNG or a JPEG", cause: err})
				return
			}
			frame := image.NewRGBA(image.Rect(0, 0, decoded.Bounds().Dx(), decoded.Bounds().Dy()))
			draw.Draw(frame, frame.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if !yield(frame, nil) {
				return
			}
		}
	}
}

// readImages returns the content of the image file in each row of an episode: a structure
// of bytes and path, of which one is set, or a column of bytes.
func (d *Dataset) readImages(ctx context.Context, e Episode, feature string) ([][]byte, error) {
	p, err := openParquet(d.Dir, e.File)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	read := func(path ...string) ([][]byte, error) {
		at := slices.IndexFunc(p.leaves, func(l leaf) bool {
			return slices.Equal(l.path, path) && l.kind == parquet.ByteArray && !l.list
		})
		if at < 0 {
			return nil, nil
		}
		values := make([][]byte, 0, min(e.Length, 1<<16))
		err := p.scan(ctx, p.leaves[at], e.Row, e.Length, func(_ int, v parquet.Value) error {
			values = append(values, bytes.Clone(v.ByteArray()))
			return nil
		})
		return values, err
	}

	images, err := read(feature, "bytes")
	if err != nil {
		return nil, err
	}
	paths, err := read(feature, "path")
	if err != nil {
		return nil, err
	}
	if images == nil && paths == nil {
		if images, err = read(feature); err != nil {
			return nil, err
		}
	}
	if images == nil && paths == nil {
		_, err := p.leaf(feature, "a structure of bytes and path")
		return nil, err
	}
	if images == nil {
		images = make([][]byte, len(paths))
	}
	for i := range images {
		if len(images[i]) > 0 {
			continue
		}
		if i >= len(paths) || !filepath.IsLocal(string(paths[i])) {
			return nil, &Defect{File: p.name, Column: feature, Row: new(e.Row + i), Found: "no bytes", Expected: "the bytes of an image, or its path inside the dataset's folder"}
		}
		if images[i], err = os.ReadFile(filepath.Join(d.Dir, string(paths[i]))); err != nil {
			return nil, missingFile(string(paths[i]), err)
		}
	}
	return images, nil
}
