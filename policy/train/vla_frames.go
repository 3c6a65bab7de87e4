package train

import (
	"context"
	"fmt"
	"hash/fnv"
	"image"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"govla/actions/recording"
	"govla/internal/compute"
)

func (d *demonstrations) imageBytes() int { return 3 * d.size * d.size }

// image returns the bytes of a camera's image at a row.
func (d *demonstrations) image(row, camera int) []byte {
	return d.pixels[(row*len(d.cameras)+camera)*d.imageBytes():][:d.imageBytes()]
}

// decode reads all images, several episodes at a time.
func (d *demonstrations) decode(ctx context.Context, dataset *recording.Dataset, o *VLAOptions) error {
	needed := int64(d.state.Rows) * int64(len(d.cameras)) * int64(d.imageBytes())
	if err := fits(needed, o.Memory); err != nil {
		return fmt.Errorf("%s: %d rows of %d images of %dx%d pixels: %w", o.Data, d.state.Rows, len(d.cameras), d.size, d.size, err)
	}
	d.pixels = make([]byte, needed)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var done atomic.Int64
	for e := range dataset.Episodes {
		group.Go(func() error {
			for camera := range d.cameras {
				if err := d.decodeEpisode(ctx, dataset, e, camera); err != nil {
					return fmt.Errorf("decode episode %d: %s: %w", dataset.Episodes[e].Index, d.cameras[camera], err)
				}
			}
			if n := int(done.Add(1)); o.OnLoad != nil {
				o.OnLoad(n, len(dataset.Episodes), needed)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write(d.pixels) // a hash takes everything
	if o.Tokenizer != "" {
		h.Write(d.tokenizer) // which is not made of the recording
	}
	d.digest ^= h.Sum64()
	return nil
}

func (d *demonstrations) decodeEpisode(ctx context.Context, dataset *recording.Dataset, episode, camera int) error {
	row := d.starts[episode]
	var resize *compute.Resize
	var planes []float32
	for img, err := range dataset.Frames(ctx, episode, d.cameras[camera]) {
		if err != nil {
			return err
		}
		to := d.image(row, camera)
		row++
		size := img.Rect.Size()
		if size == image.Pt(d.size, d.size) {
			for y := range d.size {
				line := img.Pix[y*img.Stride:]
				for x := range d.size {
					copy(to[3*(y*d.size+x):][:3], line[4*x:])
				}
			}
			continue
		}
		if resize == nil { // as inference does it
			if resize, err = compute.NewResize(size.Y, size.X, d.size, d.size); err != nil {
				return err
			}
			resize.Scale = 255
			planes = make([]float32, d.imageBytes())
		}
		resize.Bytes(planes, img.Pix, img.Stride, 4)
		area := d.size * d.size
		for i := range area {
			for c := range 3 {
				to[3*i+c] = byte(planes[c*area+i] + 0.5)
			}
		}
	}
	return nil
}

// fits reports images that would take more memory than allowed.
func fits(needed, limit int64) error {
	source := "allowed"
	if limit == 0 {
		available, ok := availableMemory()
		if !ok {
			return nil
		}
		limit, source = available/4*3, "three quarters of what the machine has to spare"
	}
	if needed > limit {
		return fmt.Errorf("they take %.1f GB of memory, and %.1f GB are %s; choose fewer cameras, a smaller image_size or part of the recording",
			float64(needed)/1e9, float64(limit)/1e9, source)
	}
	return nil
}
