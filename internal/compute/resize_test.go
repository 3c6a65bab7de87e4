package compute

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"govla/internal/safetensors"
	"govla/internal/testenv"
)

// TestResizeGolden holds both forms of the resize against SmolVLA's preprocessing in
// PyTorch, which ends with values of -1 to 1.
func TestResizeGolden(t *testing.T) {
	file, err := safetensors.Open(testenv.Shared(t, "golden/smolvla/golden_preprocess.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	images := 0
	for _, tensor := range file.Tensors {
		name, ok := strings.CutSuffix(tensor.Name, ".u8")
		if !ok {
			continue
		}
		images++
		t.Run(name, func(t *testing.T) {
			const to = 64
			want, err := file.Float32(name+".to64x64", 1, 3, to, to)
			if err != nil {
				t.Fatal(err)
			}
			height, width := tensor.Shape[2], tensor.Shape[3]
			r, err := NewResize(height, width, to, to)
			if err != nil {
				t.Fatal(err)
			}
			r.Scale, r.Shift = 2, -1
			got := make([]float32, 3*to*to)

			planar := make([]float32, len(tensor.Data))
			for i, v := range tensor.Data {
				planar[i] = float32(v) / 255
			}
			poison(got)
			r.Floats(got, planar, 3)
			compareImages(t, "floats", float64s(got), float64s(want), 1e-6)

			for _, pixelStride := range []int{3, 4} {
				rowStride := width*pixelStride + 5
				pixels := make([]byte, height*rowStride-5) // no more than it must have
				for i, v := range tensor.Data {
					c, p := i/(height*width), i%(height*width)
					pixels[p/width*rowStride+p%width*pixelStride+c] = v
				}
				poison(got)
				r.Bytes(got, pixels, rowStride, pixelStride)
				compareImages(t, fmt.Sprintf("bytes by %d", pixelStride), float64s(got), float64s(want), 1e-6)
			}
		})
	}
	if images == 0 {
		t.Fatal("no images in the golden file")
	}
}

// TestResizePads shows where the filling goes and what it is.
func TestResizePads(t *testing.T) {
	for _, c := range []struct {
		height, width, toHeight, toWidth int
		want                             []float32
	}{
		{1, 2, 2, 2, []float32{7, 7, 1, 2}},       // on top
		{2, 1, 2, 3, []float32{7, 7, 1, 7, 7, 2}}, // on the left
		{1, 2, 2, 4, []float32{1, 1.25, 1.75, 2, 1, 1.25, 1.75, 2}},
		{2, 1, 3, 1, []float32{7, 1, 2}},
	} {
		r, err := NewResize(c.height, c.width, c.toHeight, c.toWidth)
		if err != nil {
			t.Fatal(err)
		}
		r.Pad, r.Scale, r.Shift = 3, 2, 1 // 2·3+1 = 7
		dst := make([]float32, c.toHeight*c.toWidth)
		poison(dst)
		r.Floats(dst, []float32{0, 0.5}, 1)
		if !slices.Equal(dst, c.want) {
			t.Errorf("%dx%d to %dx%d: %v, want %v", c.height, c.width, c.toHeight, c.toWidth, dst, c.want)
		}
	}
}

func TestResizeRefuses(t *testing.T) {
	for _, s := range [][4]int{{0, 5, 4, 4}, {5, 0, 4, 4}, {5, 5, 0, 4}, {5, 5, 4, -1}, {1, 1000, 64, 64}, {1000, 1, 64, 64}} {
		if _, err := NewResize(s[0], s[1], s[2], s[3]); err == nil {
			t.Errorf("%dx%d to %dx%d: accepted", s[0], s[1], s[2], s[3])
		}
	}
	r, err := NewResize(3, 5, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	dst, pixels := make([]float32, 48), make([]byte, 3*5*3)
	for name, f := range map[string]func(){
		"short output": func() { r.Bytes(dst[1:], pixels, 15, 3) },
		"short input":  func() { r.Bytes(dst, pixels[1:], 15, 3) },
		"short rows":   func() { r.Bytes(dst, pixels, 14, 3) },
		"grey pixels":  func() { r.Bytes(dst, pixels, 15, 1) },
		"floats":       func() { r.Floats(dst, make([]float32, 44), 3) },
		"channels":     func() { r.Floats(dst, make([]float32, 45), 2) },
	} {
		if !panics(f) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestResizeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	r, err := NewResize(48, 64, 32, 32)
	if err != nil {
		t.Fatal(err)
	}
	dst, pixels, floats := make([]float32, 3*32*32), make([]byte, 48*64*4), make([]float32, 3*48*64)
	if n := testing.AllocsPerRun(100, func() {
		r.Bytes(dst, pixels, 64*4, 4)
		r.Floats(dst, floats, 3)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzResize gives sizes of any kind: NewResize refuses them or every number of the output
// is written, by what lies between the smallest and the largest of the input and Pad.
func FuzzResize(f *testing.F) {
	f.Add(uint16(480), uint16(640), uint16(64), uint16(64), byte(7))
	f.Add(uint16(1), uint16(1), uint16(1), uint16(9), byte(0))
	f.Add(uint16(7), uint16(300), uint16(300), uint16(7), byte(255))
	f.Fuzz(func(t *testing.T, height, width, toHeight, toWidth uint16, seed byte) {
		h, w, th, tw := int(height%600), int(width%600), int(toHeight%300), int(toWidth%300)
		r, err := NewResize(h, w, th, tw)
		if err != nil {
			return
		}
		r.Pad = 0.5
		pixels := make([]byte, h*w*3)
		for i := range pixels {
			pixels[i] = byte(i) ^ seed
		}
		dst := make([]float32, 3*th*tw)
		poison(dst)
		r.Bytes(dst, pixels, w*3, 3)
		for i, v := range dst {
			if !(v >= -1e-6 && v <= 1+1e-6) {
				t.Fatalf("%dx%d to %dx%d: number %d is %v", h, w, th, tw, i, v)
			}
		}
	})
}

// BenchmarkResize is a camera's image for SmolVLA.
func BenchmarkResize(b *testing.B) {
	r, err := NewResize(480, 640, 512, 512)
	if err != nil {
		b.Fatal(err)
	}
	r.Scale, r.Shift = 2, -1
	dst, pixels := make([]float32, 3*512*512), make([]byte, 480*640*4)
	for b.Loop() {
		r.Bytes(dst, pixels, 640*4, 4)
	}
}
