package render

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Renderer draws frames. It keeps what it needs for that, so that a picture allocates
// nothing once one with as many pixels and objects has been drawn by one worker. It is not
// safe for concurrent use. Make it with New.
type Renderer struct {
	// Workers is how many goroutines draw at a time; 1 where it is less. The pictures do
	// not depend on it.
	Workers int

	grain    *grain
	tones    *tones
	view     view
	light    Light
	sky      ramp // of the background, from its bottom to its top
	solids   []solid
	order    []int32 // of solids: nearest first, planes last
	spans    []span
	segments []segment
	extents  []extent
	shadows  shadows
	surface  []uint64 // of each pixel: see surfaceOf
	colors   []uint32 // of each pixel, by the ray through its centre
}

// New returns a renderer.
func New() *Renderer { return &Renderer{grain: newGrain(), tones: newTones()} }

// view is the camera, ready to cast rays: that through pixel (x, y) has the direction
// corner + x·right + y·down, in the world, and depth as its parameter.
type view struct {
	width, height       int
	intrinsics          Intrinsics
	eye                 Vec
	axes                axes
	corner, right, down Vec
	near, far           float64
}

// Draw fills all of the frame with what the camera sees of the scene.
func (r *Renderer) Draw(f *Frame, scene *Scene, camera *Camera) error {
	width, height, err := f.size()
	if err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	if err := camera.check(); err != nil {
		return fmt.Errorf("draw: camera: %w", err)
	}
	if err := scene.check(); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	r.prepare(width, height, scene, camera)
	r.eachRow(f, (*Renderer).drawRow)
	r.eachRow(f, (*Renderer).finishRow)
	return nil
}

func (r *Renderer) prepare(width, height int, scene *Scene, camera *Camera) {
	v := &r.view
	*v = view{width: width, height: height, intrinsics: camera.Intrinsics(width, height), eye: camera.Pose.Position, axes: camera.Pose.axes()}
	v.near, v.far = camera.depths()
	v.corner = v.axes.out(v.intrinsics.ray(0, 0))
	v.right, v.down = v.axes.x.scale(1/v.intrinsics.Fx), v.axes.y.scale(1/v.intrinsics.Fy)
	r.light = scene.Light
	r.light.Toward = r.light.Toward.unit()
	r.sky = newRamp(linear(scene.Background.Bottom), linear(scene.Background.Top), RGB{})
	r.surface = resized(r.surface, width*height)
	r.colors = resized(r.colors, width*height)

	r.solids = resized(r.solids, len(scene.Objects))
	r.spans, r.order = r.spans[:0], r.order[:0]
	for i := range scene.Objects {
		s := &r.solids[i]
		*s = newSolid(&scene.Objects[i], v, r.light.Toward)
		r.outline(s)
		// Sorted by insertion: from picture to picture little changes, and equals keep
		// their order.
		r.order = append(r.order, int32(i))
		for j := i; j > 0 && r.solids[r.order[j-1]].farthest > s.farthest; j-- {
			r.order[j], r.order[j-1] = r.order[j-1], r.order[j]
		}
	}
	r.shadows.prepare(r.solids, &r.light, v)
}

// resized returns a slice of n elements, s where it is large enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// eachRow calls draw with every row, and returns when all of them are done.
func (r *Renderer) eachRow(f *Frame, draw func(r *Renderer, f *Frame, y int)) {
	if r.Workers <= 1 {
		for y := range r.view.height {
			draw(r, f, y)
		}
		return
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range r.Workers {
		group.Go(func() {
			for y := int(next.Add(1)) - 1; y < r.view.height; y = int(next.Add(1)) - 1 {
				draw(r, f, y)
			}
		})
	}
	group.Wait()
}
