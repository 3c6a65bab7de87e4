package arm

import (
	"fmt"
	"testing"

	"govla/sim/render"
)

func BenchmarkLook(b *testing.B) {
	e, err := New(Config{Cameras: []string{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, camera := range Cameras() {
		for _, size := range [][2]int{{96, 96}, {640, 480}} {
			b.Run(fmt.Sprintf("%s/%dx%d", camera, size[0], size[1]), func(b *testing.B) {
				f := render.NewFrame(size[0], size[1])
				for b.Loop() {
					if err := e.Look(f, camera); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
